"""Confidence limits of what is counted or ordered, exact at any level: shares of rows, quantiles, tests on paired decisions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import bdtr, bdtrc, betainccinv, betaincinv, ndtri

from driftgate.arrays import FloatArray
from driftgate.judge.confidence.levels import SHOW_LEVEL, Levels, Limits, critical, require_finite


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; `confidence` is 0.95 for 95%."""

    low: float
    high: float
    confidence: float


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Exact two-sided interval of a proportion (Clopper & Pearson 1934).

    Raises:
        ValueError: no trials, fewer than 0 successes, or more than trials.
    """
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"expected 0 to {trials} successes in at least one trial, found {successes}")
    # By the beta distribution. scipy.stats searches for the same limits, and takes half a second to import.
    tail, failures = (1 - confidence) / 2, trials - successes
    low = float(betaincinv(successes, failures + 1, tail)) if successes else 0.0
    high = float(betainccinv(successes + 1, failures, tail)) if failures else 1.0
    return Interval(low, high, confidence)


def mcnemar_exact(lost: int, gained: int) -> float:
    """Two-sided p of the exact McNemar test that both directions are equally likely; 1 where nothing differs."""
    return min(1.0, 2 * float(bdtr(min(lost, gained), lost + gained, 0.5)))


def mcnemar_one_sided(lost: int, gained: int) -> float:
    """One-sided p of the same test that losses are no likelier than gains; 1 where nothing differs."""
    return float(bdtrc(lost - 1, lost + gained, 0.5)) if lost else 1.0


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """p values adjusted for testing all of them, in the order given (Holm 1979)."""
    given = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(given)
    stepped = np.maximum.accumulate(given[order] * (len(given) - np.arange(len(given))))
    adjusted = np.empty_like(given)
    adjusted[order] = np.minimum(stepped, 1.0)
    return tuple(adjusted.tolist())


def paired_difference(lost: int, gained: int, pairs: int, confidence: float = 0.95) -> Interval:
    """Score interval of (lost - gained) / pairs, the loss of a proportion between two paired sides (Tango 1998).

    It holds where nothing was lost or gained too: the Wald interval would be a point there.

    Raises:
        ValueError: counts that are not possible.
    """
    if lost < 0 or gained < 0 or pairs < 1 or lost + gained > pairs:
        raise ValueError(f"expected counts of at least 0 among {pairs} pairs, found {lost} lost and {gained} gained")
    critical = float(ndtri((1 + confidence) / 2))
    estimate = (lost - gained) / pairs

    def excess(difference: float, sign: int) -> float:
        return sign * _score(lost, gained, pairs, difference) - critical

    low = -1.0 if excess(-1 + 1e-12, 1) < 0 else brentq(excess, -1 + 1e-12, estimate, args=(1,))
    high = 1.0 if excess(1 - 1e-12, -1) < 0 else brentq(excess, estimate, 1 - 1e-12, args=(-1,))
    return Interval(float(low), float(high), confidence)


def _score(lost: int, gained: int, pairs: int, difference: float) -> float:
    """Tango's score statistic of the hypothesis that the loss is `difference`, with the restricted estimate of q21."""
    numerator = lost - gained - pairs * difference
    linear = -lost - gained + (2 * pairs - lost + gained) * difference
    constant = -gained * difference * (1 - difference)
    root = np.sqrt(max(linear**2 - 8 * pairs * constant, 0.0))
    restricted = (root - linear) / (4 * pairs)
    variance = pairs * (2 * restricted + difference * (1 - difference))
    if variance <= 0:
        return 0.0 if numerator == 0 else float(np.copysign(np.inf, numerator))
    return float(numerator / np.sqrt(variance))


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
        spread=(high - value) * math.sqrt(rows) / critical(levels.high) if upper.size else 0.0,
        least_rows=rows_for_quantile(share, levels.high),
    )


def rows_for_quantile(share: float, level: float = SHOW_LEVEL) -> int:
    """Fewest rows whose maximum is an upper limit of the quantile: 29 for 0.9, 59 for 0.95 and 299 for 0.99 at 5%."""
    return math.ceil(math.log(level) / math.log(share))
