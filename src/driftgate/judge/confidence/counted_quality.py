"""Quality metrics from sums over rows, each row with a weight of its own: what resampling needs, many times over."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.arrays import BoolArray, Decisions, FloatArray, LabelMatrix

_ROUNDING = 1e-7  # the spread of a label that one row in ten million has

RowCounts = NDArray[np.float32]
"""What each row adds to the counts, float32, (rows, 3 x labels + 1): hits, predictions and truths of each label, then whether
all of it is right."""


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """Sums over (weighted) rows, float64: `tp`, `predicted`, `true` of shape (resamples, labels), the rest (resamples,)."""

    tp: FloatArray
    predicted: FloatArray
    true: FloatArray
    exact: FloatArray
    rows: FloatArray


Metric = Callable[[Counts], FloatArray]
"""A metric of each resample, float64, (resamples,); a ratio without denominator is 0."""


def count_rows(decisions: Decisions, truth: LabelMatrix) -> RowCounts:
    """What each row adds, from bool, (rows, labels)."""
    exact = (decisions == truth).all(axis=1, keepdims=True)
    return np.concatenate([decisions & truth, decisions, truth, exact], axis=1).astype(np.float32)


def split_totals(totals: NDArray[Any], rows: NDArray[Any]) -> Counts:
    """Sums of `RowCounts`, (resamples, 3 x labels + 1), with the weight of all rows, (resamples,), by name, all float64."""
    labels = totals.shape[1] // 3
    exact = totals.astype(np.float64)
    tp, predicted, true = (exact[:, start * labels : (start + 1) * labels] for start in range(3))
    return Counts(tp, predicted, true, exact[:, -1], rows.astype(np.float64))


def counted_metrics(supported: BoolArray, *, multi_label: bool) -> Mapping[str, Metric]:
    """Every quality metric by name, defined as in `measure_quality`.

    Args:
        supported: the labels of `macro_f1_supported`, bool, (labels,).
        multi_label: MCC is the mean over labels; else that of the class (Gorodkin 2004).
    """
    return {
        "micro_precision": lambda counts: ratio(counts.tp.sum(axis=1), counts.predicted.sum(axis=1)),
        "micro_recall": lambda counts: ratio(counts.tp.sum(axis=1), counts.true.sum(axis=1)),
        "micro_f1": lambda counts: ratio(2 * counts.tp.sum(axis=1), (counts.predicted + counts.true).sum(axis=1)),
        "macro_precision": lambda counts: ratio(counts.tp, counts.predicted).mean(axis=1),
        "macro_recall": lambda counts: ratio(counts.tp, counts.true).mean(axis=1),
        "macro_f1": lambda counts: _f1(counts).mean(axis=1),
        "macro_f1_supported": lambda counts: (
            _f1(counts)[:, supported].mean(axis=1) if supported.any() else np.zeros(len(counts.rows))
        ),
        "subset_accuracy": lambda counts: counts.exact / counts.rows,
        "mcc": lambda counts: _mcc_per_label(counts).mean(axis=1) if multi_label else _mcc_of_class(counts),
    }


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """`numerator / denominator`, 0 where that is not above 0."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _f1(counts: Counts) -> FloatArray:
    """F1 of each label, float64, (resamples, labels)."""
    return ratio(2 * counts.tp, counts.predicted + counts.true)


def _mcc_per_label(counts: Counts) -> FloatArray:
    """Matthews correlation of each label, float64, (resamples, labels)."""
    rows = counts.rows[:, None]
    covariance = rows * counts.tp - counts.predicted * counts.true
    spread = counts.predicted * (rows - counts.predicted) * counts.true * (rows - counts.true)
    return _correlation(covariance, spread, rows)


def _mcc_of_class(counts: Counts) -> FloatArray:
    """Matthews correlation of the predicted class, float64, (resamples,); Gorodkin 2004."""
    rows = counts.rows
    covariance = rows * counts.tp.sum(axis=1) - (counts.predicted * counts.true).sum(axis=1)
    predicted, true = (rows**2 - (side**2).sum(axis=1) for side in (counts.predicted, counts.true))
    return _correlation(covariance, predicted * true, rows)


def _correlation(covariance: FloatArray, spread: FloatArray, rows: FloatArray) -> FloatArray:
    """`covariance / sqrt(spread)`; 0 where all rows have, or get, the same: with weights, rounding errors are left of it."""
    spread = np.where(spread > (_ROUNDING * rows**2) ** 2, spread, 0.0)
    return ratio(covariance, np.sqrt(spread))
