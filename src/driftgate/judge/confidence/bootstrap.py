"""Paired bootstrap of quality: what the backend loses to the reference on the same rows, with an interval; and whether that is
"almost identical" by two one-sided tests (Schuirmann 1987).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from driftgate.arrays import Decisions, FloatArray, LabelMatrix
from driftgate.judge.confidence.counted_quality import (
    Counts,
    Metric,
    RowCounts,
    count_rows,
    counted_metrics,
    ratio,
    split_totals,
)
from driftgate.judge.probabilities import require_same_shape
from driftgate.judge.quality import MIN_SUPPORT, SubsetAccuracyChange

METRICS = (
    "micro_precision", "micro_recall", "micro_f1", "macro_precision", "macro_recall", "macro_f1", "macro_f1_supported",
    "subset_accuracy", "mcc",
)  # fmt: skip
CONFIDENCE = 0.95
POWER = 0.8
_CHUNK_CELLS = 2_000_000  # multiplicities held at a time: some 70 MB with what draws them


@dataclass(frozen=True, slots=True)
class PairedLoss:
    """A metric of both sides and its loss, `reference - backend`.

    Args:
        low, high: 5th and 95th percentile of the loss over resampled rows. `high` is the one-sided 95% upper limit that
            non-inferiority is judged by; both together are the interval of two one-sided tests.
        detectable: the smallest true loss that this corpus would have told from zero with 80% power. Where little flipped it
            rests on what one lost true positive costs, or one row: a run without flips has not shown that it sees everything.
    """

    reference: float
    backend: float
    loss: float
    low: float
    high: float
    detectable: float


def paired_losses(
    reference: Decisions,
    backend: Decisions,
    truth: LabelMatrix,
    *,
    multi_label: bool,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, PairedLoss]:
    """Loss of every metric of `METRICS`, defined as in `measure_quality`.

    Rows are resampled, the same for both sides, never single decisions: those of one row depend on each other. The labels
    that count as supported are those of the whole corpus.

    Args:
        reference, backend, truth: bool, (rows, labels).
        multi_label: MCC is the mean over labels; else that of the class (Gorodkin 2004).

    Raises:
        ValueError: different shapes, no rows, or no resamples.
    """
    require_same_shape(reference, backend, truth)
    if resamples < 1:
        raise ValueError(f"expected at least one resample, found {resamples}")
    supported = truth.sum(axis=0) >= MIN_SUPPORT
    metrics = counted_metrics(supported, multi_label=multi_label)
    sides = (count_rows(reference, truth), count_rows(backend, truth))
    rows = len(truth)
    once = np.ones((1, rows), dtype=np.float32)
    points = [_evaluate(metrics, once, side) for side in sides]
    # A row on which both sides decide alike moves no loss, but it does move the denominators: all rows are drawn.
    drawn: dict[str, list[FloatArray]] = {name: [] for name in METRICS}
    for weights in _multiplicities(rows, resamples, seed):
        ours, theirs = (_evaluate(metrics, weights, side) for side in sides)
        for name in METRICS:
            drawn[name].append(ours[name] - theirs[name])
    resolution = _resolution(sides[0], metrics, points[0], multi_label=multi_label)
    factor = float(ndtri(CONFIDENCE) + ndtri(POWER))
    losses = {}
    for name in METRICS:
        values = np.concatenate(drawn[name])
        low, high = np.percentile(values, [100 * (1 - CONFIDENCE), 100 * CONFIDENCE])
        before, after = (float(point[name][0]) for point in points)
        detectable = factor * max(float(values.std()), resolution[name])
        losses[name] = PairedLoss(before, after, before - after, float(low), float(high), detectable)
    return losses


def _evaluate(metrics: Mapping[str, Metric], weights: NDArray[np.float32], per_row: RowCounts) -> dict[str, FloatArray]:
    # float32 holds whole numbers up to 2^24 exactly; nothing here counts further.
    counts = split_totals(weights @ per_row, weights.sum(axis=1, dtype=np.float64))
    return {name: metric(counts) for name, metric in metrics.items()}


def _multiplicities(rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each resample draws each row, float32, (some resamples, rows)."""
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_CELLS // rows)
    for start in range(0, resamples, chunk):
        count = min(chunk, resamples - start)
        picked = generator.integers(0, rows, (count, rows)) + np.arange(count)[:, None] * rows
        yield np.bincount(picked.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float32)


def _resolution(
    reference: RowCounts, metrics: Mapping[str, Metric], before: Mapping[str, FloatArray], *, multi_label: bool
) -> dict[str, float]:
    """Mean loss of each metric when one true positive of the reference becomes a miss, every one as likely.

    1 / rows where there is none, or where none moves the metric (precision, if no prediction is wrong).
    """
    rows, labels = len(reference), reference.shape[1] // 3
    totals = reference.sum(axis=0, dtype=np.float64)
    hits = totals[:labels]
    if not hits.any():
        return dict.fromkeys(METRICS, 1 / rows)
    # One resample a label: the counts after that label has lost one hit. It matters as often as it has hits.
    tp, predicted, true = (np.tile(totals[start * labels : (start + 1) * labels], (labels, 1)) for start in range(3))
    lost = np.diag((hits > 0).astype(np.float64))
    # A row has one class: who leaves it enters another, here each of the others in part.
    entered = 0.0 if multi_label else (hits > 0)[:, None] * (1 - np.eye(labels)) / max(labels - 1, 1)
    was_exact = ratio((reference[:, :labels] * reference[:, -1:]).sum(axis=0, dtype=np.float64), hits)
    counts = Counts(tp - lost, predicted - lost + entered, true, totals[-1] - was_exact, np.full(labels, float(rows)))
    losses = {name: float(np.average(before[name][0] - metrics[name](counts), weights=hits)) for name in METRICS}
    return {name: loss if loss > 1e-12 else 1 / rows for name, loss in losses.items()}  # noqa: PLR2004 - nothing but rounding


MARGIN = 0.01
"""Model cards call a loss of a hundredth "almost identical"."""
JUDGED_METRICS = ("micro_f1", "macro_f1")


def judge_equivalence(rows: SubsetAccuracyChange, losses: Mapping[str, PairedLoss], margin: float = MARGIN) -> str:
    """Say "yes" where all intervals lie within `margin` of no loss, "no" where one lies outside, else "not shown"; and why.

    A 90% interval within the margin is the two one-sided tests at 5% each. Subset accuracy is judged by its score interval,
    which is no point where nothing flipped: a few rows that agree show nothing.
    """
    intervals = {"subset_accuracy": (rows.low, rows.high)}
    intervals |= {name: (losses[name].low, losses[name].high) for name in JUDGED_METRICS}
    described = {name: f"{name} loss [{low:+.4f}, {high:+.4f}]" for name, (low, high) in intervals.items()}
    for name, (low, high) in intervals.items():
        if low > margin or high < -margin:
            return f"no: {described[name]}"
    for name, (low, high) in intervals.items():
        if not -margin <= low <= high <= margin:
            return f"not shown: {described[name]}"
    return "yes"
