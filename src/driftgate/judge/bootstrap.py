"""Paired bootstrap of quality: what the backend loses to the reference on the same rows, with an interval."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from driftgate.arrays import Decisions, FloatArray, LabelMatrix
from driftgate.judge.quality import MIN_SUPPORT

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


@dataclass(frozen=True, slots=True, eq=False)
class _Counts:
    """Sums over (weighted) rows, float64: `tp`, `predicted`, `true` of shape (resamples, labels), the rest (resamples,)."""

    tp: FloatArray
    predicted: FloatArray
    true: FloatArray
    exact: FloatArray
    rows: FloatArray


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
    if not reference.shape == backend.shape == truth.shape or not truth.size:
        raise ValueError(
            f"expected three arrays of one shape (rows, labels), found {reference.shape}, {backend.shape}, {truth.shape}"
        )
    if resamples < 1:
        raise ValueError(f"expected at least one resample, found {resamples}")
    supported = truth.sum(axis=0) >= MIN_SUPPORT
    sides = (_per_row(reference, truth), _per_row(backend, truth))
    rows, labels = truth.shape
    once = np.ones((1, rows), dtype=np.float32)
    points = [_metrics(_sum(once, side, labels), supported, multi_label=multi_label) for side in sides]
    # A row on which both sides decide alike moves no loss, but it does move the denominators: all rows are drawn.
    drawn: dict[str, list[FloatArray]] = {name: [] for name in METRICS}
    for weights in _multiplicities(rows, resamples, seed):
        ours, theirs = (_metrics(_sum(weights, side, labels), supported, multi_label=multi_label) for side in sides)
        for name in METRICS:
            drawn[name].append(ours[name] - theirs[name])
    resolution = _resolution(sides[0], supported, points[0], labels, multi_label=multi_label)
    factor = float(norm.ppf(CONFIDENCE) + norm.ppf(POWER))
    losses = {}
    for name in METRICS:
        values = np.concatenate(drawn[name])
        low, high = np.percentile(values, [100 * (1 - CONFIDENCE), 100 * CONFIDENCE])
        before, after = (float(point[name][0]) for point in points)
        detectable = factor * max(float(values.std()), resolution[name])
        losses[name] = PairedLoss(before, after, before - after, float(low), float(high), detectable)
    return losses


def _per_row(decisions: Decisions, truth: LabelMatrix) -> NDArray[np.float32]:
    """What a row adds to the counts: hits, predictions and truths of each label, then whether all of it is right."""
    exact = (decisions == truth).all(axis=1, keepdims=True)
    return np.concatenate([decisions & truth, decisions, truth, exact], axis=1).astype(np.float32)


def _sum(weights: NDArray[np.float32], per_row: NDArray[np.float32], labels: int) -> _Counts:
    # float32 holds whole numbers up to 2^24 exactly; nothing here counts further.
    totals = (weights @ per_row).astype(np.float64)
    tp, predicted, true = (totals[:, start * labels : (start + 1) * labels] for start in range(3))
    return _Counts(tp, predicted, true, totals[:, -1], weights.sum(axis=1, dtype=np.float64))


def _multiplicities(rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each resample draws each row, float32, (some resamples, rows)."""
    generator = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_CELLS // rows)
    for start in range(0, resamples, chunk):
        count = min(chunk, resamples - start)
        picked = generator.integers(0, rows, (count, rows)) + np.arange(count)[:, None] * rows
        yield np.bincount(picked.ravel(), minlength=count * rows).reshape(count, rows).astype(np.float32)


def _metrics(counts: _Counts, supported: NDArray[np.bool_], *, multi_label: bool) -> dict[str, FloatArray]:
    """Every metric of each resample, float64, (resamples,); a ratio without denominator is 0."""
    tp, predicted, true = counts.tp, counts.predicted, counts.true
    f1 = _ratio(2 * tp, predicted + true)
    zero = np.zeros(len(tp))
    return {
        "micro_precision": _ratio(tp.sum(axis=1), predicted.sum(axis=1)),
        "micro_recall": _ratio(tp.sum(axis=1), true.sum(axis=1)),
        "micro_f1": _ratio(2 * tp.sum(axis=1), (predicted + true).sum(axis=1)),
        "macro_precision": _ratio(tp, predicted).mean(axis=1),
        "macro_recall": _ratio(tp, true).mean(axis=1),
        "macro_f1": f1.mean(axis=1),
        "macro_f1_supported": f1[:, supported].mean(axis=1) if supported.any() else zero,
        "subset_accuracy": counts.exact / counts.rows,
        "mcc": _mcc_per_label(counts).mean(axis=1) if multi_label else _mcc_of_class(counts),
    }


def _mcc_per_label(counts: _Counts) -> FloatArray:
    """Matthews correlation of each label, float64, (resamples, labels)."""
    rows = counts.rows[:, None]
    covariance = rows * counts.tp - counts.predicted * counts.true
    spread = counts.predicted * (rows - counts.predicted) * counts.true * (rows - counts.true)
    return _ratio(covariance, np.sqrt(spread))


def _mcc_of_class(counts: _Counts) -> FloatArray:
    """Matthews correlation of the predicted class, float64, (resamples,); Gorodkin 2004."""
    rows = counts.rows
    covariance = rows * counts.tp.sum(axis=1) - (counts.predicted * counts.true).sum(axis=1)
    predicted, true = (rows**2 - (side**2).sum(axis=1) for side in (counts.predicted, counts.true))
    return _ratio(covariance, np.sqrt(predicted * true))


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _resolution(
    reference: NDArray[np.float32],
    supported: NDArray[np.bool_],
    before: dict[str, FloatArray],
    labels: int,
    *,
    multi_label: bool,
) -> dict[str, float]:
    """Mean loss of each metric when one true positive of the reference becomes a miss, every one as likely.

    1 / rows where there is none, or where none moves the metric (precision, if no prediction is wrong).
    """
    rows = len(reference)
    totals = reference.sum(axis=0, dtype=np.float64)
    hits = totals[:labels]
    if not hits.any():
        return dict.fromkeys(METRICS, 1 / rows)
    # One resample a label: the counts after that label has lost one hit. It matters as often as it has hits.
    tp, predicted, true = (np.tile(totals[start * labels : (start + 1) * labels], (labels, 1)) for start in range(3))
    lost = np.diag((hits > 0).astype(np.float64))
    # A row has one class: who leaves it enters another, here each of the others in part.
    entered = 0.0 if multi_label else (hits > 0)[:, None] * (1 - np.eye(labels)) / max(labels - 1, 1)
    was_exact = _ratio((reference[:, :labels] * reference[:, -1:]).sum(axis=0, dtype=np.float64), hits)
    counts = _Counts(tp - lost, predicted - lost + entered, true, totals[-1] - was_exact, np.full(labels, float(rows)))
    after = _metrics(counts, supported, multi_label=multi_label)
    losses = {name: float(np.average(before[name][0] - after[name], weights=hits)) for name in METRICS}
    return {name: loss if loss > 1e-12 else 1 / rows for name, loss in losses.items()}
