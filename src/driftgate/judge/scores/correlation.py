"""How well scores go with those that people gave, by either side: Pearson's and Spearman's correlation, and what is lost of them.

A correlation is no mean over rows, but to first order it is one: of each row's influence (Hampel 1974). That on Spearman's is in
Croux & Dehon, "Influence functions of the Spearman and Kendall correlation measures" (2010). Places are counted among the rows
themselves here, and rows of equal scores share the middle of their places.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from driftgate.arrays import FloatArray, Logits
from driftgate.errors import CorpusError
from driftgate.judge.probabilities import require_comparable
from driftgate.judge.scores.score_drift import rank

_Covary = Callable[[FloatArray, FloatArray], tuple[float, FloatArray]]
"""The covariance of two sides, float64, (rows,), and each row's influence on it, float64, (rows,), whose mean is 0."""


@dataclass(frozen=True, slots=True)
class ScoreQuality:
    """Correlation of one side's scores with those that people gave, from -1 to 1; 0 where all its scores are the same."""

    pearson: float
    spearman: float


@dataclass(frozen=True, slots=True, eq=False)
class RowLosses:
    """What a backend loses of a correlation, row by row.

    Args:
        values: each row's part in the loss, float64, (rows,); their mean is the loss.
        largest: the largest part of a row in the correlation of the reference: what is lost where a backend has that row wrong.
    """

    values: FloatArray
    largest: float


def measure_score_quality(logits: Logits, targets: FloatArray) -> ScoreQuality:
    """Correlate scores, float32, (rows, 1), with those that people gave, float64, (rows,).

    Raises:
        CorpusError: people gave all rows the same score.
    """
    scores = _column(logits, targets)
    return ScoreQuality(_correlate(_pearson, scores, targets)[0], _correlate(_spearman, scores, targets)[0])


def correlation_losses(reference: Logits, backend: Logits, targets: FloatArray) -> dict[str, RowLosses]:
    """Losses by the name of the correlation, "pearson" and "spearman", of scores, float32, (rows, 1).

    Args:
        targets: scores that people gave, float64, (rows,).

    Raises:
        ValueError: different shapes, no rows, or values that are not finite.
        CorpusError: see `measure_score_quality`.
    """
    require_comparable(reference, backend)
    sides = [_column(side, targets) for side in (reference, backend)]
    losses = {}
    for name, covary in (("pearson", _pearson), ("spearman", _spearman)):
        (ours, parts), (theirs, own) = (_correlate(covary, side, targets) for side in sides)
        losses[name] = RowLosses(ours - theirs + parts - own, float(np.abs(ours + parts).max()))
    return losses


def _column(logits: Logits, targets: FloatArray) -> FloatArray:
    """The scores, float64, (rows,); refused where there is nothing to compare them with."""
    if np.ptp(targets) == 0:
        raise CorpusError(
            f"expected rows to which people gave different scores, found {targets[0]:g} for all {len(targets)}; "
            "judge the encoder on rows that differ, or leave their scores out"
        )
    return logits[:, 0].astype(np.float64)


def _correlate(covary: _Covary, one: FloatArray, other: FloatArray) -> tuple[float, FloatArray]:
    """Covariance over the root of both variances, and each row's influence on it, float64, (rows,)."""
    (both, parts), (first, of_first), (second, of_second) = covary(one, other), covary(one, one), covary(other, other)
    if not first > 0:
        return 0.0, np.zeros(len(one))
    size = float(np.sqrt(first * second))
    found = both / size
    return found, parts / size - found / 2 * (of_first / first + of_second / second)


def _pearson(one: FloatArray, other: FloatArray) -> tuple[float, FloatArray]:
    products = (one - one.mean()) * (other - other.mean())
    return float(products.mean()), products - products.mean()


def _spearman(one: FloatArray, other: FloatArray) -> tuple[float, FloatArray]:
    """Of places as shares of the rows: a row moves those of the others by being below them."""
    first, second = ((rank(side) + 0.5) / len(side) for side in (one, other))
    products = first * second
    parts = products + _mean_above(one, second) + _mean_above(other, first) - 3 * products.mean()
    return float(products.mean()) - 0.25, parts


def _mean_above(scores: FloatArray, weights: FloatArray) -> FloatArray:
    """For each row the sum of the weights of rows with larger scores, and half of those with its own, over the rows."""
    _, places = np.unique(scores, return_inverse=True)
    sums = np.bincount(places, weights=weights)
    return np.asarray(((sums.sum() - np.cumsum(sums) + sums / 2) / len(scores))[places], dtype=np.float64)
