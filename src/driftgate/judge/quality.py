"""Metrics against true labels, and which rows gain or lose their whole label set."""

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from driftgate.arrays import Decisions, LabelMatrix
from driftgate.judge.confidence.counted_limits import mcnemar_exact, paired_difference
from driftgate.judge.probabilities import require_same_shape

MIN_SUPPORT = 50
"""A label with fewer positive rows has an F1 that one flip moves by percents."""


@dataclass(frozen=True, slots=True)
class Quality:
    """Quality of decisions. Macro-F1 is the mean of per-label F1 (Opitz & Burst 2019), 0 for a label nobody has or gets.

    Args:
        subset_accuracy: share of rows whose whole label set is right; for single-label encoders plain accuracy.
        macro_f1_supported: macro-F1 over labels with at least `MIN_SUPPORT` true rows; 0 where there are none.
        supported_labels: how many those are.
        mcc: Matthews correlation: of the class for single-label encoders (Gorodkin 2004), else the mean over labels. 0 where
            all rows have, or get, the same.
        per_label_f1: F1 by label name. `support`: true rows by label name.
    """

    micro_precision: float
    micro_recall: float
    micro_f1: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    macro_f1_supported: float
    supported_labels: int
    subset_accuracy: float
    mcc: float
    per_label_f1: dict[str, float]
    support: dict[str, int]


def measure_quality(decisions: Decisions, truth: LabelMatrix, labels: tuple[str, ...], *, multi_label: bool) -> Quality:
    """Compare decisions with true labels, both bool, (rows, labels).

    Raises:
        ValueError: different shapes, or no rows.
    """
    require_same_shape(decisions, truth)
    columns = truth.shape[1]
    # scikit-learn takes a single column for two classes, no and yes, and would count both.
    options = {"labels": list(range(columns)) if columns > 1 else [1], "zero_division": 0}
    micro = precision_recall_fscore_support(truth, decisions, average="micro", **options)
    macro = precision_recall_fscore_support(truth, decisions, average="macro", **options)
    per_label = precision_recall_fscore_support(truth, decisions, average=None, **options)[2]
    support = truth.sum(axis=0)
    supported = support >= MIN_SUPPORT
    return Quality(
        micro_precision=float(micro[0]),
        micro_recall=float(micro[1]),
        micro_f1=float(micro[2]),
        macro_precision=float(macro[0]),
        macro_recall=float(macro[1]),
        macro_f1=float(macro[2]),
        macro_f1_supported=float(per_label[supported].mean()) if supported.any() else 0.0,
        supported_labels=int(supported.sum()),
        subset_accuracy=float(accuracy_score(truth, decisions)),
        mcc=_correlate(truth, decisions, multi_label=multi_label),
        per_label_f1=dict(zip(labels, np.asarray(per_label, dtype=float).tolist(), strict=True)),
        support=dict(zip(labels, support.tolist(), strict=True)),
    )


def _correlate(truth: LabelMatrix, decisions: Decisions, *, multi_label: bool) -> float:
    """Matthews correlation, from bool, (rows, labels): of the class (Gorodkin 2004), or the mean over labels.

    scikit-learn's own warns where only one label occurs.
    """
    true, found = truth - truth.mean(axis=0), decisions - decisions.mean(axis=0)
    axis = 0 if multi_label else None
    covariance, spread = (true * found).sum(axis), np.sqrt((true**2).sum(axis) * (found**2).sum(axis))
    return float(np.mean(np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)))


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
