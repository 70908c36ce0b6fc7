"""Confidence limits of what decisions lose: F1, accuracy and Matthews correlation of the reference, less the backend's.

A loss comes from rows whose decisions changed, and few do: a bootstrap of a corpus in which none changed is a point at 0, however
few rows it has. Both limits therefore reckon with one more row, which the reference gets right and the backend wrong, of the
label where that costs most.

Upper limit: Rubin's bootstrap (1981; rows get random weights, those of a Dirichlet distribution) with that row added, as in
`mean_limits.upper_limit`. For accuracy where no row is gained it is Clopper & Pearson's limit: with no row changed, 3 / rows.

Lower limit: betting (`mean_limits.lower_limit`) on each row's part in the loss, from the jackknife (Tukey 1958), where no part is
taken to be larger than the costliest row's. Valid for accuracy, which is a mean over rows; for the other metrics to first order.
A row at most doubles the capital, which is the sign test's caution: to be certain of a loss takes more than log2(1 / level)
changed rows, nearly all for the worse.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.arrays import Decisions, FloatArray, IntArray, LabelMatrix
from driftgate.judge.confidence.counted_quality import Metric, count_rows, counted_metrics, split_totals
from driftgate.judge.confidence.levels import Levels, Limits, unknown_limits
from driftgate.judge.confidence.mean_limits import lower_limit
from driftgate.judge.probabilities import require_same_shape
from driftgate.judge.quality import MIN_SUPPORT

METRICS = ("micro_f1", "macro_f1", "macro_f1_supported", "subset_accuracy", "mcc")
"""Those that are held to a bound."""

_RESAMPLES = 2000
_CHUNK_CELLS = 2_000_000  # weights held at a time: 16 MB
_SEED = 0


def paired_loss_limits(
    reference: Decisions,
    backend: Decisions,
    truth: LabelMatrix,
    levels: Levels,
    *,
    multi_label: bool,
    metrics: Sequence[str] = METRICS,
) -> dict[str, Limits]:
    """Limits of the loss of each metric, defined as in `measure_quality`.

    Macro-F1 has no upper limit below 1 / labels while a label has no row: nobody has seen what is lost of it.

    Args:
        reference, backend, truth: bool, (rows, labels).
        multi_label: whether a row can have several labels; where it cannot, a label that is lost is another's gain.

    Raises:
        ValueError: different shapes, or no rows.
    """
    require_same_shape(reference, backend, truth)
    rows, support = len(truth), truth.sum(axis=0)
    supported = support >= MIN_SUPPORT
    seen = _distinct_rows(reference, backend, truth)
    worst = _worst_rows(seen, multi_label=multi_label)
    measured = {
        name: metric
        for name, metric in counted_metrics(supported, multi_label=multi_label).items()
        if name in metrics and (name != "macro_f1_supported" or supported.any())
    }
    parts = {name: _parts(seen, worst, metric) for name, metric in measured.items()}
    highs = _upper_limits(seen, worst, measured, parts, levels.high)
    found = dict.fromkeys(metrics, unknown_limits(rows, levels, _rows_for_support(support, rows)))
    for name, part in parts.items():
        end = max(float(np.abs(part.of_rows).max()), float(part.of_worst[support > 0].max(initial=0.0)))
        found[name] = Limits(
            value=part.value,
            low=lower_limit(np.repeat(part.of_rows, seen.sizes), -end, levels.low),
            high=max(highs[name], part.value),
            low_level=levels.low,
            high_level=levels.high,
            rows=rows,
            spread=float(np.sqrt(np.average((part.of_rows - part.value) ** 2, weights=seen.sizes))),
        )
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What rows add on both sides, as `RowCounts` but float64, and how many of each there are: many rows are alike."""

    reference: FloatArray
    backend: FloatArray
    sizes: IntArray


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """A loss, each distinct row's part in it, float64, (distinct rows,), and each worst row's if it was there, (labels,)."""

    value: float
    of_rows: FloatArray
    of_worst: FloatArray


def _distinct_rows(reference: Decisions, backend: Decisions, truth: LabelMatrix) -> _Rows:
    packed = np.packbits(np.concatenate([reference, backend, truth], axis=1), axis=1)
    _, first, sizes = np.unique(packed, axis=0, return_index=True, return_counts=True)
    theirs, own = (
        count_rows(Decisions(side[first]), LabelMatrix(truth[first])).astype(np.float64)
        for side in (reference, backend)
    )
    return _Rows(theirs, own, sizes.astype(np.int64))


def _worst_rows(seen: _Rows, *, multi_label: bool) -> _Rows:
    """For each label a row that the reference gets right and the backend wrong.

    It has as many labels as the rows have, on average, that the reference gets any of right: its own, and parts of the others.
    """
    labels = seen.reference.shape[1] // 3
    hits = seen.reference[:, :labels]
    per_row = hits.sum(axis=1)
    mean = seen.sizes @ hits / max(int(seen.sizes[per_row > 0].sum()), 1)
    others = mean * (1 - 1 / max(float(mean.sum()), 1.0))
    own = np.minimum(np.eye(labels) + others, 1.0)
    wrong = np.zeros_like(own) if multi_label else (1 - np.eye(labels)) / max(labels - 1, 1)
    right, missed = np.ones((labels, 1)), np.zeros((labels, 1))
    return _Rows(
        np.concatenate([own, own, own, right], axis=1),
        np.concatenate([np.zeros_like(own), wrong, own, missed], axis=1),
        np.ones(labels, dtype=np.int64),
    )


def _lose(metric: Metric, reference: NDArray[Any], backend: NDArray[Any], rows: NDArray[Any]) -> FloatArray:
    """What the backend loses of a metric, float64, (resamples,), from both sides' sums and the weight of all rows."""
    return metric(split_totals(reference, rows)) - metric(split_totals(backend, rows))


def _parts(seen: _Rows, worst: _Rows, metric: Metric) -> _Parts:
    """By leaving each row out (Tukey's pseudo-values, whose mean is the loss if that is one), and putting each worst row in."""
    rows = int(seen.sizes.sum())
    reference, backend = (seen.sizes @ side for side in (seen.reference, seen.backend))
    value = float(_lose(metric, reference[None], backend[None], np.array([rows]))[0])
    with_worst = _lose(
        metric, reference + worst.reference, backend + worst.backend, np.full(len(worst.sizes), rows + 1)
    )
    of_worst = (rows + 1) * with_worst - rows * value
    if rows == 1:
        return _Parts(value, np.array([value]), of_worst)
    without = _lose(metric, reference - seen.reference, backend - seen.backend, np.full(len(seen.sizes), rows - 1))
    return _Parts(value, rows * value - (rows - 1) * without, of_worst)


def _upper_limits(
    seen: _Rows, worst: _Rows, metrics: Mapping[str, Metric], parts: Mapping[str, _Parts], level: float
) -> dict[str, float]:
    drawn: dict[str, list[FloatArray]] = {name: [] for name in metrics}
    costliest = {name: int(parts[name].of_worst.argmax()) for name in metrics}
    for weights, extra in _dirichlet_weights(seen.sizes):
        reference, backend, rows = weights @ seen.reference, weights @ seen.backend, weights.sum(axis=1) + extra
        for name, metric in metrics.items():
            theirs, own = (np.outer(extra, side[costliest[name]]) for side in (worst.reference, worst.backend))
            drawn[name].append(_lose(metric, reference + theirs, backend + own, rows))
    return {
        name: float(np.quantile(np.concatenate(values), 1 - level, method="higher")) for name, values in drawn.items()
    }


def _dirichlet_weights(sizes: IntArray) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Weights of the distinct rows, float64, (some resamples, distinct rows), and of one row more, (some resamples,).

    They are not scaled to a sum of 1: metrics are ratios of sums. The weight of alike rows together is a gamma variate.
    """
    generator = np.random.default_rng(_SEED)
    chunk = max(1, _CHUNK_CELLS // len(sizes))
    for start in range(0, _RESAMPLES, chunk):
        count = min(chunk, _RESAMPLES - start)
        extra = generator.standard_exponential(count)
        yield generator.standard_gamma(sizes, (count, len(sizes))), extra


def _rows_for_support(support: IntArray, rows: int) -> int:
    """How many rows would have `MIN_SUPPORT` of the most frequent label."""
    return -(-MIN_SUPPORT * rows // max(int(support.max()), 1))
