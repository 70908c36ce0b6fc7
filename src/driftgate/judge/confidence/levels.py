"""Confidence limits: where the true value of a metric may lie, given the rows that were seen.

Every limit is one-sided and has a level of its own: the upper one decides what is shown (PASS), the lower one what is beyond its
bound (FAIL). Rows are taken as drawn at random from the texts that the encoder is used on.

The records are here, and what needs no SciPy, which is slow to import; limits are found by the modules named `*_limits`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from driftgate.arrays import FloatArray

SHOW_LEVEL = 0.05
"""Of the upper limit. All metrics have to pass, so that it is not divided among them (Berger 1982)."""

LEAST_ROWS = 29
"""From here on a fault of a tenth of the rows, or more, is among the rows with a probability of 95%."""

DRIFT_ROWS = 99
"""From here on, too, a fault of three in a hundred rows: drift of fewer different texts is not shown, however little it is."""

_MOST_ROWS = 10**9
_MORE_ROWS = 1.5  # 1 - 0.05 ** (1 / rows), what no success in so many rows leaves, is nearly 3 / (rows + 1.5)


@dataclass(frozen=True, slots=True)
class Levels:
    """How often each limit may be wrong: `low` above the true value, `high` below it; each above 0 and below 1/2."""

    low: float
    high: float = SHOW_LEVEL

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            if not 0 < getattr(self, name) < 0.5:  # noqa: PLR2004 - an error rate
                raise ValueError(f"level {name} {getattr(self, name)}: expected a share above 0 and below 0.5")


@dataclass(frozen=True, slots=True)
class Limits:
    """A metric with its confidence limits, all in the metric's own unit.

    Args:
        value: what was measured; NaN where nothing could be.
        low, high: one-sided limits of the true value; infinite where these rows set none.
        low_level, high_level: how often each may be wrong; 0 where the value needs no inference.
        rows: how many were seen; 0 where that plays no part.
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


def exact_limits(value: float) -> Limits:
    """Of a number that speaks of the rows seen and no others, such as a maximum held to a ceiling: nothing is inferred."""
    return Limits(value, value, value, 0.0, 0.0, rows=0)


def unknown_limits(rows: int, levels: Levels, least_rows: int = 1) -> Limits:
    """Of what these rows say nothing about: neither shown nor beyond any bound."""
    return Limits(math.nan, -math.inf, math.inf, levels.low, levels.high, rows, least_rows=least_rows)


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
        None where no number of rows would, or more than a thousand million: the value is at the bound, or beyond it. Where there
        is no value, the rows that it takes to have one, if that is known.
    """
    if math.isnan(limits.value):
        return _round_up(limits.least_rows) if limits.least_rows > limits.rows else None
    return _rows_showing(limits, bound, max(limits.least_rows, limits.rows + 1))


def rows_enough(limits: Limits, bound: float) -> int | None:
    """How many of these rows would have shown as much of the same value and spread; rounded up to two significant digits.

    Returns:
        None where the value needs no inference, or these rows do not show it.
    """
    if not limits.rows or not limits.high_level or math.isinf(bound) or not limits.high <= bound:
        return None
    found = _rows_showing(limits, bound, limits.least_rows)
    return None if found is None else min(found, limits.rows)


def _rows_showing(limits: Limits, bound: float, least: int) -> int | None:
    settled = limits.value if limits.tends_to is None else limits.tends_to
    margin = bound - settled
    if not margin > 0 or math.isinf(margin):
        return None
    if math.isinf(limits.high):
        return _round_up(least)
    distance = limits.high - settled
    a = min(critical(limits.high_level) * limits.spread, distance * math.sqrt(limits.rows))
    b = (distance - a / math.sqrt(limits.rows)) * (limits.rows + _MORE_ROWS)
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


def critical(level: float) -> float:
    """What a standard normal variate is above with probability `level`; 0 for a value that needs no inference."""
    return -NormalDist().inv_cdf(level) if level > 0 else 0.0


def _round_up(rows: int) -> int:
    """To two significant digits."""
    unit: int = 10 ** max(0, len(str(rows)) - 2)
    return -(-rows // unit) * unit
