"""How far a backend's scores are from the reference's, in units of the spread of the reference's own, and in their order."""

from dataclasses import dataclass

import numpy as np

from driftgate.arrays import FloatArray, Logits
from driftgate.errors import CorpusError
from driftgate.judge.drift import ALIKE, WORST_ROWS, Distribution, summarize
from driftgate.judge.probabilities import require_comparable


@dataclass(frozen=True, slots=True)
class WorstScore:
    """One of the rows that moved most: its score on both sides, and by how many spreads it moved."""

    row: int
    drift: float
    reference: float
    backend: float


@dataclass(frozen=True, slots=True)
class ScoreDrift:
    """Drift of one backend whose answers are scores.

    Args:
        spread: standard deviation of the reference's scores over the rows, in their own unit.
        drift: over rows, of |score difference| / spread.
        bias: mean signed difference / spread: drift that has a direction.
        rank_correlation: Spearman's, of both sides' scores over all rows; ties have mean ranks.
        rank_displacement: see `rank_displacements`; the mean over rows.
        worst: the rows that moved most, worst first.
    """

    rows: int
    spread: float
    drift: Distribution
    bias: float
    rank_correlation: float
    rank_displacement: float
    worst: tuple[WorstScore, ...]


def measure_scores(reference: Logits, backend: Logits) -> ScoreDrift:
    """Compare scores, float32, (rows, 1), row by row.

    Raises:
        ValueError: different shapes, no rows, or values that are not finite.
        CorpusError: the reference gives all rows the same score, so that there is nothing to compare with.
    """
    before, after = _columns(reference, backend)
    spread = find_spread(reference)
    moved = np.abs(after - before) / spread
    worst = np.argsort(-moved, kind="stable")[:WORST_ROWS].tolist()
    return ScoreDrift(
        rows=len(before),
        spread=spread,
        drift=summarize(moved),
        bias=float((after - before).mean() / spread),
        rank_correlation=rank_correlation(before, after),
        rank_displacement=float(rank_displacements(reference, backend).mean()),
        worst=tuple(WorstScore(row, float(moved[row]), float(before[row]), float(after[row])) for row in worst),
    )


def rank_correlation(one: FloatArray, other: FloatArray) -> float:
    """Spearman's rank correlation of scores, float64, (rows,): Pearson's of their places; 0 where a side is all tied."""
    first, second = (places - places.mean() for places in (rank(one), rank(other)))
    size = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / size if size else 0.0


def score_drifts(reference: Logits, backend: Logits) -> FloatArray:
    """Each row's |score difference| in multiples of the spread of the reference's scores, float64, (rows,).

    Raises:
        CorpusError: see `measure_scores`.
    """
    before, after = _columns(reference, backend)
    return np.asarray(np.abs(after - before) / find_spread(reference), dtype=np.float64)


def rank_displacements(reference: Logits, backend: Logits) -> FloatArray:
    """Six times the square of how far each row moves in the order of all, as a share of the rows, float64, (rows,).

    Their mean is 1 less Spearman's rank correlation, where neither side has ties and rows are many: rho = 1 - 6 E[(U - V)^2] for
    uniform U and V (Nelsen, "An Introduction to Copulas", 2006, section 5.1.2). It is a mean over rows, whose limits are known.
    """
    before, after = _columns(reference, backend)
    return np.asarray(6 * ((rank(before) - rank(after)) / len(before)) ** 2, dtype=np.float64)


def find_spread(reference: Logits) -> float:
    """The standard deviation over the rows of the reference's scores, float32, (rows, 1).

    Raises:
        CorpusError: there is none, or rounding alone.
    """
    scores = reference.astype(np.float64)
    spread = float(scores.std())
    if not spread > ALIKE * float(np.sqrt((scores**2).mean())):
        raise CorpusError(
            f"expected rows to which the reference gives different scores, found {scores.flat[0]:.6g} for all {len(scores)}; "
            "judge the encoder on texts that differ"
        )
    return spread


def rank(scores: FloatArray) -> FloatArray:
    """Places from 0 in ascending order, float64, (rows,); those of equal scores are their mean."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return np.asarray((ends - (counts + 1) / 2)[places], dtype=np.float64)


def _columns(reference: Logits, backend: Logits) -> tuple[FloatArray, FloatArray]:
    require_comparable(reference, backend)
    if reference.shape[1] != 1:
        raise ValueError(f"expected one score a row, found {reference.shape[1]}")
    before, after = (side[:, 0].astype(np.float64) for side in (reference, backend))
    return before, after
