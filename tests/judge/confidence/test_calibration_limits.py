"""Limits of what calibration loses."""

import numpy as np
import pytest

from driftgate.arrays import LabelMatrix, Logits, Probabilities
from driftgate.judge.calibration import measure_calibration
from driftgate.judge.confidence.calibration_limits import calibration_limits
from driftgate.judge.confidence.levels import Levels, rows_needed
from driftgate.judge.probabilities import to_probabilities

LEVELS = Levels(1e-4)
Sides = tuple[Probabilities, Probabilities, LabelMatrix]


def draw(rows: int, random: np.random.Generator, *, sharpened: float = 1.0, noise: float = 0.0) -> Sides:
    """A reference that is calibrated, and a backend whose logits are sharpened and noisy."""
    logits = random.normal(-1, 1.5, (rows, 5))
    reference, backend = (
        to_probabilities(Logits(side.astype(np.float32)), multi_label=True)
        for side in (logits, sharpened * logits + noise * random.normal(size=logits.shape))
    )
    return reference, backend, LabelMatrix(random.random(reference.shape) < reference)


def increases(sides: Sides) -> dict[str, float]:
    before, after = (measure_calibration(side, sides[2]) for side in sides[:2])
    return {
        "brier_increase": after.brier - before.brier,
        "calibration_error_increase": after.expected_calibration_error - before.expected_calibration_error,
    }


@pytest.mark.parametrize("rows", [7, 40, 1000])
def test_values_are_what_measure_calibration_says(rows: int) -> None:
    sides = draw(rows, np.random.default_rng(0), sharpened=1.5)
    for name, limits in calibration_limits(*sides, LEVELS).items():
        assert limits.value == pytest.approx(increases(sides)[name], abs=1e-12)
        assert limits.low <= limits.value <= limits.high


@pytest.mark.parametrize("change", [{"sharpened": 1.5}, {"noise": 0.5}, {"sharpened": 0.8}])
@pytest.mark.parametrize("rows", [30, 100, 300])
def test_limits_hold_what_rises_in_truth(rows: int, change: dict[str, float]) -> None:
    true = increases(draw(200_000, np.random.default_rng(1), **change))
    random = np.random.default_rng(2)
    found = [calibration_limits(*draw(rows, random, **change), LEVELS) for _ in range(60)]
    for name, value in true.items():
        assert np.mean([limits[name].high < value for limits in found]) <= 0.1, name  # 5%, and chance
        assert not any(limits[name].low > value for limits in found), name


def test_the_calibration_error_of_few_rows_falls_where_it_rises_in_truth() -> None:
    """Why its upper limit is not made from its value."""
    random = np.random.default_rng(3)
    assert increases(draw(200_000, random, sharpened=1.3))["calibration_error_increase"] > 0.02
    few = [increases(draw(30, random, sharpened=1.3))["calibration_error_increase"] for _ in range(60)]
    assert np.median(few) < 0


def test_a_calibration_that_is_lost_is_found() -> None:
    found = calibration_limits(*draw(1000, np.random.default_rng(4), sharpened=4.0), LEVELS)
    assert all(limits.low > 0.005 for limits in found.values())


def test_identical_answers_rise_by_nothing() -> None:
    reference, _, truth = draw(50, np.random.default_rng(5))
    for limits in calibration_limits(reference, reference, truth, LEVELS).values():
        assert (limits.low, limits.value, limits.high) == (0, 0, 0)


def test_rows_needed_reckon_with_what_the_upper_limit_narrows_down_to() -> None:
    reference, backend, truth = draw(100, np.random.default_rng(6), noise=0.1)
    found = calibration_limits(reference, backend, truth, LEVELS)["calibration_error_increase"]
    moved = float(np.abs(backend - reference).mean())
    assert found.tends_to == pytest.approx(moved)
    assert rows_needed(found, 0.99 * moved) is None
    assert rows_needed(found, 1.02 * moved) is not None


def test_shapes_that_differ_are_refused() -> None:
    reference, backend, truth = draw(10, np.random.default_rng(7))
    with pytest.raises(ValueError, match="one shape"):
        calibration_limits(reference, Probabilities(backend[:5]), truth, LEVELS)
