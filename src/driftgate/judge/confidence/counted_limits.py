"""Confidence limits of what is counted or ordered, exact at any level: shares of rows, and quantiles."""

import math

import numpy as np
from scipy.special import bdtr

from driftgate.arrays import FloatArray
from driftgate.judge.confidence.intervals import clopper_pearson
from driftgate.judge.confidence.levels import SHOW_LEVEL, Levels, Limits, critical, require_finite


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
