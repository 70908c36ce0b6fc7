"""Margins, ranking, calibration and slices."""

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import kendalltau

from driftgate.arrays import Decisions, LabelMatrix, Logits, Probabilities
from driftgate.judge.agreement import measure_agreement
from driftgate.judge.calibration import measure_calibration, measure_prevalence
from driftgate.judge.flips import count_flips, measure_margins
from driftgate.judge.probabilities import decide, to_probabilities
from driftgate.judge.slice_drift import closest_decisions, measure_slices


def logits_of(*rows: list[float]) -> Logits:
    return Logits(np.array(rows, dtype=np.float32))


def random_logits(rows: int, labels: int, seed: int = 0, scale: float = 2.0) -> Logits:
    return Logits(np.random.default_rng(seed).normal(0, scale, (rows, labels)).astype(np.float32))


# Margins


@pytest.mark.parametrize("thresholds", [0.5, np.array([0.1, 0.5, 0.8])], ids=["one", "per-label"])
def test_flips_seen_by_margins_are_the_flips_counted(thresholds: np.ndarray | float) -> None:
    reference, drift = random_logits(500, 3), random_logits(500, 3, seed=1, scale=0.2)
    backend = Logits(reference + drift)
    sides = [
        decide(to_probabilities(side, multi_label=True), thresholds, multi_label=True) for side in (reference, backend)
    ]
    assert (
        measure_margins(reference, backend, thresholds).observed_flips == count_flips(*sides, ("a", "b", "c")).total > 0
    )


def test_drift_that_knows_nothing_of_margins_flips_as_many_as_predicted() -> None:
    reference, drift = random_logits(20_000, 2), random_logits(20_000, 2, seed=1, scale=0.2)
    found = measure_margins(reference, Logits(reference + drift), 0.5)
    assert found.predicted_flips == pytest.approx(found.observed_flips, rel=0.1)


def test_drift_towards_the_threshold_flips_more_than_predicted() -> None:
    reference = random_logits(5000, 2)
    pulled = Logits(reference - np.sign(reference) * np.float32(0.2))
    found = measure_margins(reference, pulled, 0.5)
    assert found.observed_flips > 1.5 * found.predicted_flips


def test_decisions_within_the_drift_are_at_risk() -> None:
    reference = logits_of([0.05], [2.0], [-3.0], [-0.05])
    backend = Logits(reference + np.float32(0.1))
    found = measure_margins(reference, backend, 0.5)
    assert found.drift_logit == pytest.approx(0.1)
    assert found.at_risk == 0.5
    assert found.observed_flips == 1


def test_no_drift_predicts_no_flips() -> None:
    reference = random_logits(50, 3)
    found = measure_margins(reference, reference, 0.5)
    assert (found.at_risk, found.predicted_flips, found.observed_flips) == (0, 0, 0)


# Ranking


def test_rank_correlation_is_kendalls() -> None:
    reference, backend = np.round(random_logits(30, 6)), np.round(random_logits(30, 6, seed=1))  # with ties
    expected = [kendalltau(*pair).statistic for pair in zip(reference, backend, strict=True)]
    found = measure_agreement(Logits(reference), Logits(backend))
    assert found.rank_correlation_mean == pytest.approx(np.nanmean(expected))
    assert found.rank_correlation_p1 == pytest.approx(np.nanpercentile(expected, 1))


def test_top_labels_are_compared_as_sets() -> None:
    found = measure_agreement(logits_of([4, 3, 2, 1], [4, 3, 2, 1]), logits_of([3, 4, 2, 1], [4, 3, 1, 2]))
    assert found.top1 == 0.5
    assert found.top3_overlap == pytest.approx((1 + 2 / 4) / 2)


def test_one_label_has_no_ranking() -> None:
    found = measure_agreement(logits_of([1.0], [2.0]), logits_of([3.0], [-2.0]))
    assert (found.top1, found.top3_overlap) == (1.0, 1.0)
    assert found.rank_correlation_mean is found.rank_correlation_p1 is None


# Calibration


def test_brier_is_the_mean_squared_difference() -> None:
    found = measure_calibration(Probabilities(np.array([[0.8, 0.4]])), LabelMatrix(np.array([[True, False]])))
    assert found.brier == pytest.approx((0.04 + 0.16) / 2)


def test_probabilities_that_keep_their_word_have_little_calibration_error() -> None:
    random = np.random.default_rng(0)
    p = random.random((40_000, 2))
    truth = LabelMatrix(random.random(p.shape) < p)
    honest = measure_calibration(Probabilities(p), truth).expected_calibration_error
    boastful = measure_calibration(Probabilities(p**0.25), truth).expected_calibration_error
    assert honest < 0.02
    assert boastful > 0.2


def test_fewer_rows_than_bins_have_a_bin_each() -> None:
    p = np.full((4, 1), 0.75)
    truth = LabelMatrix(np.array([[True], [False], [False], [False]]))
    found = measure_calibration(Probabilities(p), truth)
    assert found.expected_calibration_error == pytest.approx((0.25 + 3 * 0.75) / 4)  # a bin for each row


@pytest.mark.parametrize("value", [1.5, -0.1, np.nan])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        measure_calibration(Probabilities(np.array([[value]])), LabelMatrix(np.array([[True]])))


def test_prevalence_shifts_with_sign_and_ratio() -> None:
    before, after = Probabilities(np.array([[0.4, 0.6]] * 2)), Probabilities(np.array([[0.5, 0.3]] * 2))
    decisions = [decide(side, 0.5, multi_label=True) for side in (before, after)]
    found = measure_prevalence(before, after, *decisions, ("joy", "anger"))
    assert found.per_label == pytest.approx({"joy": 0.1, "anger": -0.3})
    assert found.largest_shift == pytest.approx(0.3)
    assert (found.predicted_reference, found.predicted_backend, found.ratio) == (2, 2, 1.0)


def test_a_reference_that_predicts_nothing_has_no_ratio() -> None:
    p, none = Probabilities(np.array([[0.1]])), Decisions(np.array([[False]]))
    assert measure_prevalence(p, p, none, none, ("joy",)).ratio is None


# Slices


def test_a_slice_is_its_rows_alone_and_empty_ones_are_left_out() -> None:
    reference = logits_of([0.0, 5.0], [0.0, 5.0], [-1.0, 5.0])
    backend = logits_of([0.0, 5.0], [1.0, 5.0], [1.0, 5.0])
    rows = {"first": np.array([True, False, False]), "rest": np.array([False, True, True]), "none": np.zeros(3, bool)}
    found = measure_slices(reference, backend, rows, 0.5, multi_label=True)
    assert list(found) == ["first", "rest"]
    assert found["first"].max_abs_probability == 0
    moved = [expit(1) - expit(0), expit(1) - expit(-1)]
    assert found["rest"].mean_of_largest == pytest.approx(np.mean(moved))
    assert found["rest"].max_abs_probability == pytest.approx(max(moved))
    assert (found["rest"].rows, found["rest"].flips, found["rest"].flip_rate) == (2, 1, 1 / 4)


def test_a_mask_of_other_rows_is_refused() -> None:
    reference = random_logits(3, 2)
    with pytest.raises(ValueError, match=r"slice odd: expected a mask of shape \(3,\)"):
        measure_slices(reference, reference, {"odd": np.ones(4, bool)}, 0.5, multi_label=True)


def test_the_closest_decisions_are_those_next_to_a_threshold() -> None:
    thresholds = np.array([0.2, 0.9])
    margins = np.arange(1, 21)[:, None] * np.array([0.1, 5.0])
    reference = Logits((logit(thresholds) - margins).astype(np.float32))
    assert np.flatnonzero(closest_decisions(reference, thresholds, multi_label=True)).tolist() == [0, 1]


def test_the_closest_decisions_of_single_labels_are_between_the_two_most_probable() -> None:
    reference = Logits(np.array([[5.0, 5.0 - gap, 0.0] for gap in range(20)], dtype=np.float32))
    assert np.flatnonzero(closest_decisions(reference, 0.5, multi_label=False)).tolist() == [0, 1]
