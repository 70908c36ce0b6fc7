"""Confidence limits of the mean of one number a row, where few rows are large and most are small.

Student's t and the plain bootstrap promise too much there: the rows that would make the mean large are those that were not
drawn.

Upper limit: Gaffke's (2005; Learned-Miller & Thomas 2019, arXiv 1905.06208). Rows get random weights, those of a Dirichlet
distribution (Rubin's bootstrap, 1981), and one more row is added, as large as a row can be. For values of 0 and 1 it is exactly
Clopper & Pearson's limit, so that rows that all agree leave what three in `rows` may do. It is proven for some distributions and
no other is known that breaks it. Where nobody knows how large a row can be, twice the largest one seen is taken; simulated
coverage (`studies/verdict`) is then 95% or more from ten rows on for exponential values and for lognormal ones up to sigma 1.
Values many times larger than any seen, in fewer than three of `rows` rows, are covered by no limit of this kind.

Lower limit: by betting (Waudby-Smith & Ramdas 2024, arXiv 2010.09686). If the mean was `m`, nobody could grow a capital by
betting on rows against it; the limit is where a mixture of constant bets reaches 1 / level. It is valid for independent rows of
any distribution, at any level, and needs no upper end. A mixture of bets needs no order of rows and no guess at their variance:
that guess makes the paper's predictable plug-in bets useless on 30 rows of a hundredth (`studies/verdict`).
"""

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from driftgate.arrays import FloatArray, IntArray
from driftgate.judge.confidence.levels import LEAST_ROWS, Levels, Limits, require_finite

BEYOND_SEEN = 2.0
"""How many times the largest row seen a row may be, where nothing else is known."""

_ROOT_OF_TWO_PI = math.sqrt(2 * math.pi)
_GROUPS = 2048
"""More rows than these are taken together with those next in size."""


def mean_limits(
    values: FloatArray, levels: Levels, *, smallest: float | None = None, largest: float | None = None
) -> Limits:
    """Limits of the mean.

    Args:
        values: one number a row, float64, (rows,).
        smallest, largest: ends that no row can be beyond; 0 and None for drift. None for `BEYOND_SEEN` times the largest absolute
            value: then there is no upper limit below `LEAST_ROWS` rows, since nothing bounds what they did not show.

    Raises:
        ValueError: no rows, a value that is not finite, or one beyond an end.
    """
    rows = require_finite(values)
    assumed = BEYOND_SEEN * float(np.abs(rows).max())
    bottom, top = -assumed if smallest is None else smallest, assumed if largest is None else largest
    if not (bottom <= rows.min() and rows.max() <= top):
        raise ValueError(f"expected values from {bottom:g} to {top:g}, found {rows.min():g} to {rows.max():g}")
    least = LEAST_ROWS if largest is None else 1
    return Limits(
        value=float(rows.mean()),
        low=lower_limit(rows, bottom, levels.low),
        high=upper_limit(rows, top, levels.high) if len(rows) >= least else math.inf,
        low_level=levels.low,
        high_level=levels.high,
        rows=len(rows),
        spread=float(rows.std()),
        least_rows=least,
    )


def upper_limit(values: FloatArray, largest: float, level: float) -> float:
    """The point that the Dirichlet-weighted mean of `values`, float64, (rows,), and `largest` is above with probability `level`.

    P(mean > m) is that of a sum of exponentials, by Lugannani & Rice's (1980) saddlepoint formula, some thousandths of its limit
    too wide. The saddlepoint s is what is searched: with t = s / (1 + s m), m is itself a weighted mean, weights 1 / (1 - t x).
    """
    bottom = float(values.min())
    scale = largest - bottom
    if not scale > 0:
        return largest
    sizes, starts, ordered = _group(values)
    x = np.append((np.add.reduceat(ordered, starts) / sizes - bottom) / scale, 1.0)
    sizes = np.append(sizes, 1)

    def mean_at(t: float) -> tuple[float, FloatArray]:
        shrunk = 1 - t * x
        weights = sizes / shrunk
        return float(weights @ x / weights.sum()), shrunk

    def excess(log_tilt: float) -> float:
        t = -math.expm1(-math.exp(log_tilt))
        mean, shrunk = mean_at(t)
        s = t / (1 - t * mean)
        factors = shrunk / (1 - t * mean)  # 1 - s (x - mean)
        root = math.sqrt(2 * max(float(sizes @ np.log(factors)), 0.0))
        deviation = s * math.sqrt(float(sizes @ ((x - mean) / factors) ** 2))
        if root < 1e-3:  # noqa: PLR2004 - at the mean, both terms below grow without end
            return 0.5 - level
        density = math.exp(-(root**2) / 2) / _ROOT_OF_TWO_PI
        return float(ndtr(-root)) + density * (1 / deviation - 1 / root) - level

    log_tilt = brentq(excess, math.log(1e-9), math.log(30.0), xtol=1e-5)
    return bottom + scale * mean_at(-math.expm1(-math.exp(log_tilt)))[0]


def lower_limit(values: FloatArray, smallest: float, level: float) -> float:
    """The largest mean that betting on `values`, float64, (rows,), none of them below `smallest`, refutes at `level`."""
    sizes, starts, ordered = _group(values)
    above = ordered[starts] - smallest  # a smaller value only makes the capital smaller
    mean = float(sizes @ above) / len(values)
    least = mean * 1e-6
    if not least >= np.finfo(np.float64).tiny:  # nothing can be divided by it
        return smallest
    # Fractions of the capital at risk in each row, from so little that all rows together hardly count to nearly all of it.
    bets = np.append(2.0 ** -np.arange(1, math.log2(len(values)) + 3), [0.75, 0.9, 0.98])[:, None]

    def evidence(m: float) -> float:
        gains = np.log1p(bets * (above / m - 1)) @ sizes
        return float(np.logaddexp.reduce(gains)) - math.log(len(bets)) + math.log(level)

    return smallest + (float(brentq(evidence, least, mean, xtol=least)) if evidence(least) > 0 else 0.0)


def _group(values: FloatArray) -> tuple[FloatArray, IntArray, FloatArray]:
    """Groups of rows that are next to each other in size: how many are in each, where each starts, and all rows, ordered."""
    starts = np.unique(np.linspace(0, len(values), min(len(values), _GROUPS), endpoint=False, dtype=np.int64))
    sizes = np.diff(np.append(starts, len(values))).astype(np.float64)
    return sizes, starts, np.sort(values)
