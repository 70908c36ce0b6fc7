"""Whether a tensor is what it should be, in the sense of `numpy.allclose`: |found - expected| <= atol + rtol * |expected|."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.errors import OptionError


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a number may be from the expected one: `atol`, in its own unit, plus `rtol` of its size."""

    rtol: float
    atol: float

    def __post_init__(self) -> None:
        for name in ("rtol", "atol"):
            value = getattr(self, name)
            if not (value >= 0 and math.isfinite(value)):
                raise OptionError(f"{name} {value}: expected a finite number of at least 0")


EXACT = Tolerance(0, 0)
"""For integers, truth values and strings: there is no rounding to allow for."""


@dataclass(frozen=True, slots=True)
class Closeness:
    """How near two tensors of one shape are.

    Args:
        elements: how many were compared. `beyond`: those outside the tolerance, NaN among them; equal infinities are near.
        non_finite: elements of the one found that are NaN or infinite.
        max_abs: the largest |found - expected|. `max_rel`: the largest of |found - expected| / |expected| where that is not 0.
            NaN where a difference is NaN.
    """

    elements: int
    beyond: int
    non_finite: int
    max_abs: float
    max_rel: float


def measure_closeness(expected: NDArray[Any], found: NDArray[Any], tolerance: Tolerance) -> Closeness:
    """Compare element by element, in float64; what is no floating-point number must be equal.

    Raises:
        ValueError: arrays of different shape or type: neither is broadcast or cast.
    """
    if expected.shape != found.shape or expected.dtype != found.dtype:
        raise ValueError(f"expected {expected.dtype}{expected.shape}, found {found.dtype}{found.shape}")
    if expected.dtype.kind in "biuOSU":
        differ = int(np.count_nonzero(expected != found))
        if expected.dtype.kind in "OSU":
            return Closeness(expected.size, differ, 0, 0.0, 0.0)
        distance = np.abs(found.astype(np.float64) - expected.astype(np.float64))  # without wrapping around
        return Closeness(expected.size, differ, 0, float(np.max(distance, initial=0.0)), 0.0)
    told, given = expected.astype(np.float64), found.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.where(told == given, 0.0, np.abs(given - told))  # equal infinities have no difference
        allowed = np.where(np.isfinite(told), tolerance.atol + tolerance.rtol * np.abs(told), 0.0)
    beyond = ~(distance <= allowed)  # NaN is never within anything
    counted = np.isfinite(told) & (told != 0)
    relative = distance[counted] / np.abs(told[counted])
    return Closeness(
        elements=expected.size,
        beyond=int(np.count_nonzero(beyond)),
        non_finite=int(np.count_nonzero(~np.isfinite(given))),
        max_abs=float(np.max(distance, initial=0.0)),
        max_rel=float(np.max(relative, initial=0.0)),
    )
