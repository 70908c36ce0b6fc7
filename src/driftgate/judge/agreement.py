"""Whether both sides rank the labels of a text alike."""

from dataclasses import dataclass

import numpy as np

from driftgate.arrays import BoolArray, FloatArray, Logits
from driftgate.judge.probabilities import require_comparable

TOP = 3


@dataclass(frozen=True, slots=True)
class Agreement:
    """Ranking of labels, reference against backend.

    Args:
        top1: share of rows with the same most probable label.
        top3_overlap: mean over rows of the shared part (Jaccard) of the three most probable labels.
        rank_correlation_mean, rank_correlation_p1: mean and 1st percentile over rows of Kendall's tau-b of all labels; None
            where it is undefined for every row (one label, or all tied).
    """

    top1: float
    top3_overlap: float
    rank_correlation_mean: float | None
    rank_correlation_p1: float | None


def measure_agreement(reference: Logits, backend: Logits) -> Agreement:
    """Compare logits, float32, (rows, labels); probabilities rank the same way.

    Raises:
        ValueError: different shapes, no rows, or values that are not finite.
    """
    require_comparable(reference, backend)
    top = min(TOP, reference.shape[1])
    first, second = (np.argsort(-side, axis=1, kind="stable")[:, :top] for side in (reference, backend))
    shared = (first[:, :, None] == second[:, None, :]).any(axis=2).sum(axis=1)
    tau = kendall_of_rows(reference, backend)
    tau = tau[~np.isnan(tau)]
    return Agreement(
        top1=1 - float(top_changed(reference, backend).mean()),
        top3_overlap=float((shared / (2 * top - shared)).mean()),
        rank_correlation_mean=float(tau.mean()) if tau.size else None,
        rank_correlation_p1=float(np.percentile(tau, 1)) if tau.size else None,
    )


def top_changed(reference: Logits, backend: Logits) -> BoolArray:
    """Whether the most probable label of each row is another one, bool, (rows,)."""
    return np.asarray(reference.argmax(axis=1) != backend.argmax(axis=1), dtype=np.bool_)


def kendall_of_rows(one: Logits | FloatArray, other: Logits | FloatArray) -> FloatArray:
    """Kendall's tau-b of each row of (rows, labels), float64, (rows,), NaN where a side is all tied (Kendall 1945)."""
    untied_one, untied_other, concordant = (np.zeros(len(one)) for _ in range(3))
    # Every pair of labels once, for all rows, in the memory of a few copies of the logits.
    for offset in range(1, one.shape[1]):
        first, second = (np.sign(side[:, offset:] - side[:, :-offset]) for side in (one, other))
        concordant += (first * second).sum(axis=1)
        untied_one += np.abs(first).sum(axis=1)
        untied_other += np.abs(second).sum(axis=1)
    pairs = np.sqrt(untied_one * untied_other)
    tau = np.full(len(one), np.nan)
    np.divide(concordant, pairs, out=tau, where=pairs > 0)
    return tau
