"""Error against float64 where float32's own is nothing, and what is refused."""

import numpy as np
import pytest

from driftgate.arrays import Logits
from driftgate.judge.noise import ErrorRatio, measure_error

EXACT = np.random.default_rng(0).normal(0, 3, (50, 4))
ROUNDED = Logits(EXACT.astype(np.float32))


def test_root_mean_squares_are_those_by_hand() -> None:
    exact = np.array([[1.0, 2.0]])
    reference, backend = (Logits(np.array([row], dtype=np.float32)) for row in ([1.0, 2.5], [1.0, 4.0]))
    found = measure_error(exact, reference, backend)
    assert (found.rows, found.ratio) == (1, 4.0)
    assert (found.reference_rms, found.backend_rms) == pytest.approx((0.5 / 2**0.5, 2**0.5))


def test_rounding_exact_logits_errs_by_less_than_the_floor() -> None:
    """So that a reference at the floor is as good as float32 can be, and a backend like it is no worse."""
    found = measure_error(EXACT, ROUNDED, ROUNDED)
    assert 0.1 < found.ratio < 1


def test_an_error_of_logits_that_are_all_zero_has_a_finite_ratio() -> None:
    zero, one = (Logits(np.full((2, 1), value, dtype=np.float32)) for value in (0, 1))
    assert np.isfinite(measure_error(np.zeros((2, 1)), zero, one).ratio)
    assert measure_error(np.zeros((2, 1)), zero, zero) == ErrorRatio(2, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("shape", [(3, 4), (50, 1), (50,)], ids=str)
def test_logits_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    other = Logits(np.zeros(shape, dtype=np.float32))
    with pytest.raises(ValueError, match=r"one shape \(rows, labels\), .*found \(50, 4\), \(50, 4\)"):
        measure_error(EXACT, ROUNDED, other)


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one shape \(rows, labels\)"):
        measure_error(EXACT[:0], Logits(ROUNDED[:0]), Logits(ROUNDED[:0]))


@pytest.mark.parametrize("side", [0, 1, 2], ids=["exact", "reference", "backend"])
def test_infinity_is_refused_on_every_side(side: int) -> None:
    sides = [EXACT.copy(), ROUNDED.copy(), ROUNDED.copy()]
    sides[side][7, 2] = np.inf
    with pytest.raises(ValueError, match="finite logits"):
        measure_error(sides[0], Logits(sides[1]), Logits(sides[2]))
