"""What this machine's processor does with integers."""

from functools import cache

import numpy as np
import pytest

from driftgate.backends import Precision
from driftgate.run.device import RunSettings
from driftgate.run.integer_products import multiply

_CUT_OFF = frozenset({Precision.INT8_DYNAMIC, Precision.INT8_STATIC})


@cache
def cuts_sums_off() -> bool:
    """Whether ONNX Runtime's sums of unsigned activations and signed weights are cut off here, as without VNNI."""
    activations, weights = np.full((1, 2), 255, np.uint8), np.full((2, 1), 127, np.int8)
    (found,) = multiply([(activations, weights)], RunSettings(1))
    return int(found[0, 0]) != 2 * 255 * 127


def require_exact_sums(precision: str) -> None:
    """Skip where this processor makes other sums of a class than one with VNNI."""
    if precision in _CUT_OFF and cuts_sums_off():
        pytest.skip(f"{precision}: this processor has no VNNI and cuts sums of integers off")
