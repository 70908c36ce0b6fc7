"""Who moved: the reference or the backend."""

import numpy as np
import pytest

from driftgate.arrays import Logits
from driftgate.judge.movement import measure_movement

BASE = Logits(np.zeros((3, 2), dtype=np.float32))
MOVED = Logits(np.array([[0, 0], [0, 0.4], [0, 0]], dtype=np.float32))


@pytest.mark.parametrize(
    ("reference_now", "backend_now", "who"),
    [
        (BASE, BASE, "nothing"),
        (MOVED, BASE, "the reference"),
        (BASE, MOVED, "the backend"),
        (MOVED, MOVED, "both"),
    ],
    ids=["nothing", "reference", "backend", "both"],
)
def test_it_says_who_moved(reference_now: Logits, backend_now: Logits, who: str) -> None:
    assert measure_movement(BASE, reference_now, BASE, backend_now, multi_label=True).who == who


def test_movement_is_the_largest_probability_difference_to_the_own_past() -> None:
    movement = measure_movement(BASE, BASE, BASE, MOVED, multi_label=True)
    expected = 1 / (1 + np.exp(-0.4)) - 0.5
    assert movement.backend == pytest.approx(expected, rel=1e-6)
    assert movement.mean_backend == pytest.approx(expected / 3, rel=1e-6)
    assert (movement.drift_then, movement.drift_now) == (0.0, pytest.approx(expected, rel=1e-6))


def test_rounding_is_not_movement() -> None:
    almost = Logits(BASE + np.float32(1e-5))
    assert measure_movement(BASE, almost, BASE, almost, multi_label=True).who == "nothing"


def test_rows_that_do_not_match_and_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        measure_movement(BASE, BASE, BASE, Logits(BASE[:2]), multi_label=True)
    with pytest.raises(ValueError, match="finite"):
        measure_movement(BASE, BASE, BASE, Logits(BASE + np.float32(np.nan)), multi_label=True)
