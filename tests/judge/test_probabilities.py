"""Logits to probabilities to decisions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from driftgate.arrays import FloatArray, Logits, Probabilities
from driftgate.judge.probabilities import decide, to_probabilities

shapes = st.tuples(st.integers(1, 6), st.integers(1, 5))
logits_arrays = hnp.arrays(np.float32, shapes, elements=st.floats(-100, 100, width=32)).map(Logits)
# Quarters: sums of two are exact in float32, so that a shift loses nothing.
quarters = st.integers(-400, 400).map(lambda value: value / 4)
quarter_arrays = hnp.arrays(np.float32, shapes, elements=quarters).map(Logits)


def logits(*rows: list[float]) -> Logits:
    return Logits(np.array(rows, dtype=np.float32))


def probabilities(*rows: list[float]) -> Probabilities:
    return Probabilities(np.array(rows, dtype=np.float64))


def test_multi_label_probabilities_are_sigmoids_of_each_logit() -> None:
    found = to_probabilities(logits([0.0, np.log(3)], [-np.log(3), np.log(9)]), multi_label=True)
    np.testing.assert_allclose(found, [[0.5, 0.75], [0.25, 0.9]], atol=1e-7)


def test_single_label_probabilities_are_a_softmax_over_each_row() -> None:
    found = to_probabilities(logits([0.0, np.log(3)], [np.log(2), np.log(2)], [np.log(9), 0.0]), multi_label=False)
    np.testing.assert_allclose(found, [[0.25, 0.75], [0.5, 0.5], [0.9, 0.1]], atol=1e-7)


@pytest.mark.parametrize("multi_label", [True, False], ids=["multi-label", "single-label"])
def test_probabilities_are_computed_in_float64(*, multi_label: bool) -> None:
    """Around one half float32 knows steps of 6e-8 only; a smaller drift would vanish."""
    found = to_probabilities(logits([1e-8, 0.0]), multi_label=multi_label)
    assert found.dtype == np.float64
    assert found[0, 0] - 0.5 == pytest.approx(2.5e-9, rel=1e-5)


@pytest.mark.parametrize("multi_label", [True, False], ids=["multi-label", "single-label"])
def test_extreme_logits_saturate_without_overflow(*, multi_label: bool) -> None:
    largest = float(np.finfo(np.float32).max)
    assert to_probabilities(logits([largest, -largest]), multi_label=multi_label).tolist() == [[1.0, 0.0]]


@settings(deadline=None)
@given(quarter_arrays, quarters)
def test_softmax_is_shift_invariant(values: Logits, shift: float) -> None:
    shifted = Logits(values + np.float32(shift))
    np.testing.assert_array_equal(
        to_probabilities(shifted, multi_label=False), to_probabilities(values, multi_label=False)
    )


@settings(deadline=None)
@given(logits_arrays, st.booleans())
def test_probabilities_lie_between_0_and_1(values: Logits, multi_label: bool) -> None:
    found = to_probabilities(values, multi_label=multi_label)
    assert found.shape == values.shape
    assert ((found >= 0) & (found <= 1)).all()


@settings(deadline=None)
@given(logits_arrays)
def test_softmax_rows_sum_to_1(values: Logits) -> None:
    np.testing.assert_allclose(to_probabilities(values, multi_label=False).sum(axis=1), 1, rtol=1e-14)


@settings(deadline=None)
@given(logits_arrays)
def test_sigmoid_keeps_the_order_of_logits(values: Logits) -> None:
    ordered = Logits(np.sort(values, axis=0))
    assert (np.diff(to_probabilities(ordered, multi_label=True), axis=0) >= 0).all()


def test_a_probability_at_its_threshold_is_a_yes() -> None:
    assert decide(probabilities([0.5, 0.49], [0.51, 0.5]), 0.5, multi_label=True).tolist() == [
        [True, False],
        [True, True],
    ]


def test_a_logit_of_0_meets_the_threshold_of_one_half() -> None:
    assert decide(to_probabilities(logits([0.0, -1e-6]), multi_label=True), 0.5, multi_label=True).tolist() == [
        [True, False]
    ]


def test_each_label_has_its_own_threshold() -> None:
    thresholds = np.array([0.3, 0.7])
    found = decide(probabilities([0.3, 0.69], [0.29, 0.7]), thresholds, multi_label=True)
    assert found.tolist() == [[True, False], [False, True]]


def test_multi_label_rows_may_get_every_label_or_none() -> None:
    assert decide(probabilities([0.9, 0.9], [0.1, 0.1]), 0.5, multi_label=True).sum(axis=1).tolist() == [2, 0]


@pytest.mark.parametrize("thresholds", [0.99, np.array([0.9, 0.0, 0.0])], ids=["one", "per-label"])
def test_single_label_takes_the_most_probable_label_whatever_the_thresholds(thresholds: FloatArray | float) -> None:
    found = decide(probabilities([0.4, 0.35, 0.25], [0.2, 0.2, 0.6]), thresholds, multi_label=False)
    assert found.tolist() == [[True, False, False], [False, False, True]]


def test_single_label_ties_go_to_the_first_label() -> None:
    assert decide(probabilities([0.2, 0.4, 0.4]), 0.5, multi_label=False).tolist() == [[False, True, False]]


@settings(deadline=None)
@given(logits_arrays)
def test_single_label_chooses_exactly_one_label_a_row(values: Logits) -> None:
    found = decide(to_probabilities(values, multi_label=False), 0.5, multi_label=False)
    assert (found.sum(axis=1) == 1).all()


@pytest.mark.parametrize("thresholds", [np.array([0.5]), np.array([0.5, 0.5, 0.5]), np.array([[0.5, 0.5]])])
def test_another_number_of_thresholds_than_labels_is_refused(thresholds: np.ndarray) -> None:
    probabilities = Probabilities(np.array([[0.2, 0.9]]))
    with pytest.raises(ValueError, match="expected one threshold or 2, one for each label"):
        decide(probabilities, thresholds, multi_label=True)


@pytest.mark.parametrize("thresholds", [1.5, np.array([0.5, -0.1]), float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(thresholds: np.ndarray | float) -> None:
    with pytest.raises(ValueError, match="expected thresholds between 0 and 1"):
        decide(Probabilities(np.array([[0.2, 0.9]])), thresholds, multi_label=True)
