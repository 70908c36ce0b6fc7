"""Rows whose whole label set is right: which the backend loses, which it gains."""

from dataclasses import dataclass

import numpy as np

from driftgate.arrays import Decisions, LabelMatrix
from driftgate.judge.comparable import require_same_shape
from driftgate.judge.confidence.intervals import mcnemar_exact, paired_difference


@dataclass(frozen=True, slots=True)
class SubsetAccuracyChange:
    """Paired comparison of whole rows.

    Args:
        lost: rows that only the reference gets right. `gained`: rows that only the backend gets right.
        mcnemar_p: exact two-sided McNemar test of lost against gained.
        low, high: 90% score interval (Tango 1998) of the loss of subset accuracy.
    """

    rows: int
    lost: int
    gained: int
    mcnemar_p: float
    low: float
    high: float


def compare_subset_accuracy(reference: Decisions, backend: Decisions, truth: LabelMatrix) -> SubsetAccuracyChange:
    """Compare decisions of both sides with the truth, all bool, (rows, labels).

    Raises:
        ValueError: different shapes.
    """
    require_same_shape(reference, backend, truth)
    right, still = (np.all(side == truth, axis=1) for side in (reference, backend))
    lost, gained = int((right & ~still).sum()), int((still & ~right).sum())
    interval = paired_difference(lost, gained, len(truth), confidence=0.9)
    return SubsetAccuracyChange(len(truth), lost, gained, mcnemar_exact(lost, gained), interval.low, interval.high)
