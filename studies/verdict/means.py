"""Limits of a mean that were tried and are not used. All take one number a row, float64, (rows,)."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm, t

Values = NDArray[np.float64]


def student_upper(values: Values, level: float) -> float:
    """Student's t."""
    return float(values.mean() + t.isf(level, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))


def chen_upper(values: Values, level: float) -> float:
    """The normal limit, corrected for the skewness of the sample (Chen 1995)."""
    z, rows = norm.isf(level), len(values)
    skewness = ((values - values.mean()) ** 3).mean() / values.std() ** 3
    return float(
        values.mean() + (z + skewness * (1 + 2 * z**2) / (6 * np.sqrt(rows))) * values.std(ddof=1) / np.sqrt(rows)
    )


def bootstrap_upper(values: Values, level: float) -> float:
    """Percentile bootstrap, 500 resamples."""
    drawn = np.random.default_rng(0).integers(0, len(values), (500, len(values)))
    return float(np.quantile(values[drawn].mean(axis=1), 1 - level))


def bernstein_lower(values: Values, level: float) -> float:
    """Empirical Bernstein bound (Maurer & Pontil 2009, arXiv 0907.3740), of values from 0 to 1."""
    rows, log = len(values), np.log(2 / level)
    return float(values.mean() - np.sqrt(2 * values.var(ddof=1) * log / rows) - 7 * log / (3 * (rows - 1)))


def plug_in_lower(values: Values, level: float) -> float:
    """Betting with predictable plug-in bets, in a seeded order (Waudby-Smith & Ramdas 2024), of values from 0 to 1."""
    rows, drawn = len(values), np.random.default_rng(0).permutation(values)
    counted = np.arange(1, rows + 1)
    means = (0.5 + np.cumsum(drawn)) / (counted + 1)
    variances = (0.25 + np.cumsum((drawn - means) ** 2)) / (counted + 1)
    stakes = np.sqrt(2 * np.log(1 / level) / (rows * np.append(0.25, variances[:-1])))

    def evidence(mean: float) -> float:
        return float(np.log1p(np.minimum(stakes, 0.75 / mean) * (drawn - mean)).sum() + np.log(level))

    least = 1e-6 * values.mean()
    return float(brentq(evidence, least, values.mean())) if evidence(least) > 0 else 0.0
