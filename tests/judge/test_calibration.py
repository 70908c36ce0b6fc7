"""Calibration beside scikit-learn's Brier score and bins by hand."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from driftgate.arrays import Decisions, LabelMatrix, Probabilities
from driftgate.judge.calibration import BINS, CURVE_BINS, CurveBin, measure_calibration, measure_prevalence


def test_brier_is_the_mean_of_scikit_learns_over_labels() -> None:
    random = np.random.default_rng(0)
    p, truth = random.random((50, 3)), random.random((50, 3)) < 0.4
    expected = np.mean([brier_score_loss(truth[:, column], p[:, column]) for column in range(3)])
    assert measure_calibration(Probabilities(p), LabelMatrix(truth)).brier == pytest.approx(expected)


def test_bins_hold_equally_many_rows() -> None:
    """Two rows a bin, one of them true, mean probability in the middle: half of it missing or too much."""
    p = np.repeat(np.linspace(0, 1, BINS), 2)
    truth = np.tile([True, False], BINS)
    expected = np.abs(0.5 - np.linspace(0, 1, BINS)).mean()
    found = measure_calibration(Probabilities(p[:, None]), LabelMatrix(truth[:, None]))
    assert found.expected_calibration_error == pytest.approx(expected)


def test_calibration_error_is_the_mean_over_labels() -> None:
    """One label always right, one always wrong."""
    p = Probabilities(np.ones((20, 2)))
    truth = LabelMatrix(np.tile([True, False], (20, 1)))
    found = measure_calibration(p, truth)
    assert (found.brier, found.expected_calibration_error) == (0.5, 0.5)
    assert found.curve[-1] == CurveBin(0.9, 1.0, 40, 1.0, 0.5)


def test_the_reliability_curve_counts_every_decision_once() -> None:
    """As scikit-learn draws it, besides the bins that nothing lies in."""
    random = np.random.default_rng(1)
    p, truth = random.random((60, 3)) * 0.8, random.random((60, 3)) < 0.3
    curve = measure_calibration(Probabilities(p), LabelMatrix(truth)).curve
    assert sum(part.decisions for part in curve) == p.size
    assert [part for part in curve[8:] if part.mean_probability is not None or part.share_true is not None] == []
    shares, means = calibration_curve(truth.ravel(), p.ravel(), n_bins=CURVE_BINS)
    assert [part.share_true for part in curve[:8]] == pytest.approx(list(shares))
    assert [part.mean_probability for part in curve[:8]] == pytest.approx(list(means))


@pytest.mark.parametrize(("p", "expected"), [(0.0, 0.0), (0.25, 0.25)])
def test_a_label_nobody_has_is_wrong_by_its_probability(p: float, expected: float) -> None:
    found = measure_calibration(Probabilities(np.full((20, 1), p)), LabelMatrix(np.zeros((20, 1), dtype=np.bool_)))
    assert found.expected_calibration_error == pytest.approx(expected)
    assert found.brier == pytest.approx(expected**2)


@pytest.mark.parametrize(("shape", "truth"), [((0, 2), (0, 2)), ((3, 2), (3, 1)), ((3, 2), (2, 2))])
def test_arrays_that_do_not_fit_are_refused(shape: tuple[int, int], truth: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"expected arrays of one shape \(rows, labels\)"):
        measure_calibration(Probabilities(np.zeros(shape)), LabelMatrix(np.zeros(truth, dtype=np.bool_)))


@pytest.mark.parametrize("rows", [0, 2], ids=["nothing", "other-rows"])
def test_prevalence_of_arrays_that_do_not_fit_is_refused(rows: int) -> None:
    p, decisions = Probabilities(np.zeros((rows, 1))), Decisions(np.zeros((0, 1), dtype=np.bool_))
    with pytest.raises(ValueError, match=rf"arrays of one shape \(rows, labels\), .*found \({rows}, 1\)"):
        measure_prevalence(p, p, decisions, decisions, ("joy",))
