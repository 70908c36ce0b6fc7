"""Whether probabilities still mean what they say, and labels are as frequent as they were."""

from dataclasses import dataclass

import numpy as np

from driftgate.arrays import Decisions, FloatArray, LabelMatrix, Probabilities
from driftgate.judge.probabilities import require_same_shape

BINS = 15
CURVE_BINS = 10


@dataclass(frozen=True, slots=True)
class CurveBin:
    """Decisions, which are pairs of a row and a label, whose probabilities lie in one interval of equal width.

    Args:
        low, high: the interval, closed below; the last one is closed above as well.
        decisions: how many lie in it.
        mean_probability: of them. `share_true`: how many of them are true; both None where there is none.
    """

    low: float
    high: float
    decisions: int
    mean_probability: float | None
    share_true: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """Probabilities against true labels.

    Args:
        curve: the reliability curve (DeGroot and Fienberg 1983) over all rows and labels together.
        brier: mean squared difference over rows and labels (Brier 1950).
        expected_calibration_error: per label, rows in bins of equal mass by probability: mean |share true - mean
            probability|; then the mean over labels (Nixon et al. 2019, adaptive and class-wise).
    """

    brier: float
    expected_calibration_error: float
    curve: tuple[CurveBin, ...] = ()


@dataclass(frozen=True, slots=True)
class PrevalenceShift:
    """How much more or less frequent the backend makes labels.

    Args:
        per_label: shift of the mean probability, by label. `largest_shift`: the largest of them, without sign.
        predicted_reference, predicted_backend: how often either says yes to a label.
        ratio: the backend's over the reference's; None where the reference never says yes.
    """

    per_label: dict[str, float]
    largest_shift: float
    predicted_reference: int
    predicted_backend: int
    ratio: float | None


def measure_calibration(probabilities: Probabilities, truth: LabelMatrix) -> Calibration:
    """Compare probabilities, float64, with truth, bool, both (rows, labels).

    Raises:
        ValueError: different shapes, no rows, or values outside [0, 1].
    """
    require_same_shape(probabilities, truth)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("expected probabilities between 0 and 1")
    return Calibration(
        brier=float(((probabilities - truth) ** 2).mean()),
        expected_calibration_error=float(calibration_gaps(probabilities, truth).mean()),
        curve=_draw_curve(probabilities, truth),
    )


def calibration_gaps(probabilities: Probabilities, truth: LabelMatrix) -> FloatArray:
    """Numbers whose mean is the expected calibration error, float64, (rows,): each row's gap, with the sign of its bin's."""
    rows = len(truth)
    order = np.argsort(probabilities, axis=0, kind="stable")
    gaps = np.take_along_axis(truth - probabilities, order, axis=0)
    sizes = [len(part) for part in np.array_split(np.arange(rows), min(BINS, rows))]
    starts = np.cumsum([0, *sizes[:-1]])
    signs = np.repeat(np.sign(np.add.reduceat(gaps, starts, axis=0)), sizes, axis=0)
    parts = np.empty_like(gaps)
    np.put_along_axis(parts, order, signs * gaps, axis=0)
    return np.asarray(parts.mean(axis=1), dtype=np.float64)


def _draw_curve(probabilities: Probabilities, truth: LabelMatrix) -> tuple[CurveBin, ...]:
    edges = np.linspace(0, 1, CURVE_BINS + 1)
    places = np.minimum((probabilities.ravel() * CURVE_BINS).astype(np.int64), CURVE_BINS - 1)
    counts = np.bincount(places, minlength=CURVE_BINS)
    sums = np.bincount(places, weights=probabilities.ravel(), minlength=CURVE_BINS)
    trues = np.bincount(places, weights=truth.ravel(), minlength=CURVE_BINS)
    return tuple(
        CurveBin(
            round(float(edges[at]), 6),
            round(float(edges[at + 1]), 6),
            int(count),
            float(sums[at] / count) if count else None,
            float(trues[at] / count) if count else None,
        )
        for at, count in enumerate(counts.tolist())
    )


def measure_prevalence(
    reference: Probabilities, backend: Probabilities, before: Decisions, after: Decisions, labels: tuple[str, ...]
) -> PrevalenceShift:
    """Compare probabilities, float64, and decisions (`before` the reference's), bool, all (rows, labels).

    Raises:
        ValueError: different shapes, or no rows.
    """
    require_same_shape(reference, backend, before, after)
    shift = (backend - reference).mean(axis=0)
    was, now = int(before.sum()), int(after.sum())
    return PrevalenceShift(
        per_label=dict(zip(labels, shift.tolist(), strict=True)),
        largest_shift=float(np.abs(shift).max()),
        predicted_reference=was,
        predicted_backend=now,
        ratio=now / was if was else None,
    )
