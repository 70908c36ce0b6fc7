"""Whether probabilities still mean what they say, and labels are as frequent as they were."""

from dataclasses import dataclass

import numpy as np

from driftgate.arrays import BoolArray, Decisions, FloatArray, LabelMatrix, Probabilities

BINS = 15


@dataclass(frozen=True, slots=True)
class Calibration:
    """Probabilities against true labels.

    Args:
        brier: mean squared difference over rows and labels (Brier 1950).
        expected_calibration_error: per label, rows in bins of equal mass by probability: mean |share true - mean
            probability|; then the mean over labels (Nixon et al. 2019, adaptive and class-wise). Rows of one probability
            count as equally true, so that their order says nothing.
    """

    brier: float
    expected_calibration_error: float


@dataclass(frozen=True, slots=True)
class PrevalenceShift:
    """How much more or less frequent the backend makes labels.

    Args:
        per_label: shift of the mean probability, by label. `largest_shift`: the largest of them, without sign.
        predicted_positives_reference, predicted_positives_backend: how often either says yes to a label.
        ratio: the backend's over the reference's; None where the reference never says yes.
    """

    per_label: dict[str, float]
    largest_shift: float
    predicted_positives_reference: int
    predicted_positives_backend: int
    ratio: float | None


def measure_calibration(probabilities: Probabilities, truth: LabelMatrix) -> Calibration:
    """Compare probabilities, float64, with truth, bool, both (rows, labels).

    Raises:
        ValueError: different shapes, no rows, or values outside [0, 1].
    """
    if probabilities.shape != truth.shape or not truth.size:
        raise ValueError(
            f"expected two arrays of one shape (rows, labels), found {probabilities.shape} and {truth.shape}"
        )
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError("expected probabilities between 0 and 1")
    errors = [_label_error(probabilities[:, column], truth[:, column]) for column in range(truth.shape[1])]
    return Calibration(float(((probabilities - truth) ** 2).mean()), float(np.mean(errors)))


def _label_error(probabilities: FloatArray, truth: BoolArray) -> float:
    """Expected calibration error of one label, from float64 and bool, both (rows,)."""
    _, same, counts = np.unique(probabilities, return_inverse=True, return_counts=True)
    gaps = np.repeat(np.bincount(same, truth - probabilities) / counts, counts)  # by rising probability
    bins = np.array_split(gaps, min(BINS, len(gaps)))
    return float(sum(abs(part.sum()) for part in bins) / len(gaps))


def measure_prevalence(
    reference: Probabilities, backend: Probabilities, before: Decisions, after: Decisions, labels: tuple[str, ...]
) -> PrevalenceShift:
    """Compare probabilities, float64, and decisions (`before` the reference's), bool, all (rows, labels).

    Raises:
        ValueError: different shapes, or no rows.
    """
    shapes = [side.shape for side in (reference, backend, before, after)]
    if len(set(shapes)) != 1 or not reference.size:
        raise ValueError(f"expected four arrays of one shape (rows, labels), found {shapes}")
    shift = (backend - reference).mean(axis=0)
    was, now = int(before.sum()), int(after.sum())
    return PrevalenceShift(
        per_label=dict(zip(labels, shift.tolist(), strict=True)),
        largest_shift=float(np.abs(shift).max()),
        predicted_positives_reference=was,
        predicted_positives_backend=now,
        ratio=now / was if was else None,
    )
