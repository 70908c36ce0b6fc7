"""How much answers depend on batch composition and padding; and error in units of float32's own noise, measured by float64."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftgate.arrays import FloatArray, Logits
from driftgate.judge.probabilities import require_comparable, to_probabilities


@dataclass(frozen=True, slots=True)
class Noise:
    """Spread of answers over runs: the largest minus the smallest, for each row and label.

    Args:
        max_abs_logit: the largest spread of a logit. `max_abs_probability`: of a probability.
        p99_probability: 99th percentile over rows of each row's largest probability spread.
        rows_changed: rows whose logits are not equal in all runs.
    """

    rows: int
    runs: int
    max_abs_logit: float
    max_abs_probability: float
    p99_probability: float
    rows_changed: int


def measure_noise(answers: Sequence[Logits], *, multi_label: bool) -> Noise:
    """Compare the logits of the same rows from several runs, each float32, (rows, labels).

    Raises:
        ValueError: fewer than two runs, different shapes, no rows, or values that are not finite.
    """
    if len(answers) < 2:  # noqa: PLR2004 - one to differ from
        raise ValueError(f"expected at least two runs to compare, found {len(answers)}")
    require_comparable(*answers)
    logits = np.ptp(np.stack(answers).astype(np.float64), axis=0)
    probabilities = np.ptp(np.stack([to_probabilities(answer, multi_label=multi_label) for answer in answers]), axis=0)
    largest = probabilities.max(axis=1)
    return Noise(
        rows=len(largest),
        runs=len(answers),
        max_abs_logit=float(logits.max()),
        max_abs_probability=float(largest.max()),
        p99_probability=float(np.percentile(largest, 99)),
        rows_changed=int(logits.any(axis=1).sum()),
    )


@dataclass(frozen=True, slots=True)
class ErrorRatio:
    """Root mean square error against float64 logits.

    Args:
        rows: how many were compared.
        reference_rms: error of the float32 reference. `backend_rms`: of the backend. `ratio`: backend over reference.
    """

    rows: int
    reference_rms: float
    backend_rms: float
    ratio: float


def measure_error(exact: FloatArray, reference: Logits, backend: Logits) -> ErrorRatio:
    """Compare logits with float64 ones, all (rows, labels), as torch's compiler tests do (`same()` in its dynamo utilities).

    Raises:
        ValueError: different shapes, no rows, or values that are not finite.
    """
    floor = _noise_floor(exact, reference, backend)
    return ErrorRatio(len(exact), _rms(reference - exact), _rms(backend - exact), _rms(backend - exact) / floor)


def squared_error_ratios(exact: FloatArray, reference: Logits, backend: Logits) -> FloatArray:
    """Each row's mean square error of the backend, in multiples of the reference's over all rows, float64, (rows,).

    Raises:
        ValueError: see `measure_error`.
    """
    floor = _noise_floor(exact, reference, backend)
    return np.asarray((((backend - exact) / floor) ** 2).mean(axis=1), dtype=np.float64)


def _noise_floor(exact: FloatArray, reference: Logits, backend: Logits) -> float:
    """What the backend's error is measured in.

    The reference's error counts as at least what rounding exact logits to float32 can cost (eps / 2 of their size): no float32
    answer is better than that but by chance, and the ratio stays finite.
    """
    require_comparable(exact, reference, backend)
    rounding = float(np.finfo(np.float32).eps) / 2 * _rms(exact)
    return max(_rms(reference - exact), rounding, float(np.finfo(np.float32).tiny))


def _rms(values: FloatArray) -> float:
    return float(np.sqrt((values**2).mean()))
