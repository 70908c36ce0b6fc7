"""Confidence limits: where the true value of a metric may lie, given the rows that were seen.

Every limit is one-sided and has a level of its own: the upper one decides what is shown (PASS), the lower one what is beyond its
bound (FAIL). Rows are taken as drawn at random from the texts that the encoder is used on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import bdtr
from scipy.stats import norm

from driftgate.arrays import FloatArray
from driftgate.judge.intervals import clopper_pearson

SHOW_LEVEL = 0.05
"""Of the upper limit. All metrics have to pass, so that it is not divided among them (Berger 1982)."""

LEAST_ROWS = 29
"""From here on a fault of a tenth of the rows, or more, is among the rows with a probability of 95%."""

_MOST_ROWS = 10**9
_FIRST = 1.5  # 1 - 0.05 ** (1 / rows), what no success in so many rows leaves, is nearly 3 / (rows + 1.5)


@dataclass(frozen=True, slots=True)
class Levels:
    """How often each limit may be wrong: `low` above the true value, `high` below it; each above 0 and below 1/2."""

    low: float
    high: float = SHOW_LEVEL

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if not 0 < getattr(self, name) < 0.5:
                raise ValueError(f"level {name} {getattr(self, name)}: expected a share above 0 and below 0.5")


@dataclass(frozen=True, slots=True)
class Limits:
    """A metric with its confidence limits, all in the metric's own unit.

    Args:
        value: what was measured; NaN where nothing could be.
        low, high: one-sided limits of the true value; infinite where these rows set none.
        low_level, high_level: how often each may be wrong; 0 where the value needs no inference.
        rows: how many were seen.
        spread: standard deviation of one row's part in the value; says how the limits narrow with more rows.
        least_rows: with fewer rows, no value at all has an upper limit.
        tends_to: what the upper limit narrows down to with more rows; None for the value itself.
    """

    value: float
    low: float
    high: float
    low_level: float
    high_level: float
    rows: int
    spread: float = 0.0
    least_rows: int = 1
    tends_to: float | None = None


def exact_limits(value: float, rows: int) -> Limits:
    """Of a number that speaks of these rows alone, such as a maximum held to a ceiling: there is nothing to infer."""
    return Limits(value, value, value, 0.0, 0.0, rows)


def unknown_limits(rows: int, levels: Levels, least_rows: int = 1) -> Limits:
    """Of what these rows say nothing about: neither shown nor beyond any bound."""
    return Limits(math.nan, -math.inf, math.inf, levels.low, levels.high, rows, least_rows=least_rows)


def proportion_limits(successes: int, rows: int, levels: Levels) -> Limits:
    """Limits of a share of rows, exact at any level (Clopper & Pearson 1934).

    Raises:
        ValueError: no rows, fewer than 0 successes, or more than rows.
    """
    low = clopper_pearson(successes, rows, 1 - 2 * levels.low).low
    high = clopper_pearson(successes, rows, 1 - 2 * levels.high).high
    share = successes / rows
    return Limits(share, low, high, levels.low, levels.high, rows, math.sqrt(share * (1 - share)))


def quantile_limits(values: FloatArray, share: float, levels: Levels) -> Limits:
    """Limits of a quantile by order statistics: exact for any distribution, conservative where values tie (Thompson 1936).

    The upper limit is infinite below `rows_for_quantile(share, levels.high)` rows.

    Args:
        values: one number a row, float64, (rows,). `share`: 0.9 for the 90th percentile.

    Raises:
        ValueError: no rows, or a value that is not finite.
    """
    ordered = np.sort(require_finite(values))
    rows = len(ordered)
    # Fewer than k of the rows are below the quantile with probability bdtr(k - 1): the k-th smallest is then at or above it.
    below = bdtr(np.arange(rows, dtype=np.float64), rows, share)  # [k - 1] for k = 1 ... rows
    upper = np.flatnonzero(below >= 1 - levels.high)
    lower = np.flatnonzero(below <= levels.low)
    value = float(np.quantile(ordered, share))
    high = float(ordered[upper[0]]) if upper.size else math.inf
    return Limits(
        value=value,
        low=float(ordered[lower[-1]]) if lower.size else -math.inf,
        high=high,
        low_level=levels.low,
        high_level=levels.high,
        rows=rows,
        spread=(high - value) * math.sqrt(rows) / _critical(levels.high) if upper.size else 0.0,
        least_rows=rows_for_quantile(share, levels.high),
    )


def rows_for_quantile(share: float, level: float = SHOW_LEVEL) -> int:
    """Fewest rows whose maximum is an upper limit of the quantile: 29 for 0.9, 59 for 0.95 and 299 for 0.99 at 5%."""
    return math.ceil(math.log(level) / math.log(share))


def largest_limits(parts: Sequence[Limits]) -> Limits:
    """Limits of the largest of several values, such as one a label or a slice.

    All of the parts have to be within a bound for their largest to be: the upper level is not divided (Berger 1982). One beyond
    it is enough: the lower level of each part has to be the metric's own, divided by how many parts there are.

    Raises:
        ValueError: no parts.
    """
    if not parts:
        raise ValueError("expected the limits of at least one part, found none")
    widest = max(parts, key=lambda part: part.high)
    return Limits(
        value=float(np.max([part.value for part in parts])),  # NaN where one of them is
        low=max(part.low for part in parts),
        high=float(np.max([part.high for part in parts])),
        low_level=sum(part.low_level for part in parts),
        high_level=widest.high_level,
        rows=widest.rows,
        spread=widest.spread,
        least_rows=max(part.least_rows for part in parts),
    )


def rows_needed(limits: Limits, bound: float) -> int | None:
    """How many rows, more than these, would show the same value to be at most `bound`; rounded up to two significant digits.

    The distance from value to upper limit is taken as a / sqrt(rows) + b / (rows + 1.5): `a` follows from the spread of the rows,
    `b`, what is left of the distance, from what the rows did not show.

    Returns:
        None where no number of rows would, or more than a thousand million: the value is at the bound, beyond it, or NaN.
    """
    settled = limits.value if limits.tends_to is None else limits.tends_to
    margin = bound - settled
    if not margin > 0 or math.isinf(margin):
        return None
    least = max(limits.least_rows, limits.rows + 1)
    if math.isinf(limits.high):
        return _round_up(least)
    distance = limits.high - settled
    a = min(_critical(limits.high_level) * limits.spread, distance * math.sqrt(limits.rows))
    b = (distance - a / math.sqrt(limits.rows)) * (
        limits.rows + 1.5
    )  # 1 - level ** (1 / rows) is nearly 3 / (rows + 1.5)
    root = (a + math.sqrt(a * a + 4 * b * margin)) / (2 * margin)  # of the rows
    return _round_up(max(least, math.ceil(root**2))) if root**2 < _MOST_ROWS else None


def require_finite(values: FloatArray) -> FloatArray:
    """One number a row, float64, (rows,), at least one, all finite.

    Raises:
        ValueError: they are not.
    """
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise ValueError(f"expected finite numbers, one a row and at least one, found an array of shape {values.shape}")
    return values.astype(np.float64)


def _critical(level: float) -> float:
    return float(norm.isf(level)) if level > 0 else 0.0


def _round_up(rows: int) -> int:
    """To two significant digits."""
    unit: int = 10 ** max(0, len(str(rows)) - 2)
    return -(-rows // unit) * unit
