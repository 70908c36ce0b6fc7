"""Error in units of float32's own noise, with float64 as the arbiter between reference and backend."""

from dataclasses import dataclass

import numpy as np

from driftgate.arrays import FloatArray, Logits
from driftgate.judge.probabilities import require_comparable


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
