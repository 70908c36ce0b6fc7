"""Metrics against true labels, by hand and beside scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef

from driftgate.arrays import Decisions, LabelMatrix
from driftgate.judge.quality import MIN_SUPPORT, Quality, measure_quality

LABELS = ("joy", "anger", "fear")


def matrix(*rows: str) -> Decisions:
    """A row is written "1.1": yes, no, yes."""
    return Decisions(np.array([[cell == "1" for cell in row] for row in rows]))


def truth_of(*rows: str) -> LabelMatrix:
    return LabelMatrix(matrix(*rows))


@pytest.fixture(scope="module")
def quality() -> Quality:
    """Joy: 1 right, 1 wrong yes, 1 missed. Anger: 2 right, 1 missed. Fear: nobody has it, one gets it."""
    return measure_quality(
        matrix("1..", "11.", "...", ".11"), truth_of("1..", ".1.", "11.", ".1."), LABELS, multi_label=True
    )


def test_micro_metrics_pool_all_label_decisions(quality: Quality) -> None:
    assert quality.micro_precision == pytest.approx(3 / 5)
    assert quality.micro_recall == pytest.approx(3 / 5)
    assert quality.micro_f1 == pytest.approx(3 / 5)


def test_macro_metrics_are_means_over_labels(quality: Quality) -> None:
    assert quality.macro_precision == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert quality.macro_recall == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)


def test_macro_f1_is_the_mean_of_f1_not_the_f1_of_means(quality: Quality) -> None:
    assert quality.macro_f1 == pytest.approx((0.5 + 0.8 + 0) / 3)


def test_each_label_has_its_f1_and_support(quality: Quality) -> None:
    assert quality.per_label_f1 == pytest.approx({"joy": 0.5, "anger": 0.8, "fear": 0.0})
    assert quality.support == {"joy": 2, "anger": 3, "fear": 0}


def test_subset_accuracy_counts_rows_whose_whole_set_is_right(quality: Quality) -> None:
    assert quality.subset_accuracy == 1 / 4


def test_mcc_of_several_labels_is_the_mean_over_labels() -> None:
    found, truth = matrix("11", "1.", ".1", ".."), truth_of("11", "11", "..", ".1")
    per_label = [matthews_corrcoef(truth[:, column], found[:, column]) for column in range(2)]
    assert measure_quality(found, truth, ("yes", "no"), multi_label=True).mcc == pytest.approx(np.mean(per_label))


def test_a_label_that_nobody_has_or_gets_counts_as_0() -> None:
    found = measure_quality(matrix("1..", "1.."), truth_of("1..", "1.."), LABELS, multi_label=True)
    assert found.per_label_f1 == {"joy": 1.0, "anger": 0.0, "fear": 0.0}
    assert found.macro_f1 == pytest.approx(1 / 3)
    assert found.micro_f1 == 1.0


def test_supported_macro_f1_leaves_out_labels_one_row_short() -> None:
    """Joy and anger have 50 rows each, joy half found; fear, always missed, has 49."""
    truth = truth_of(*["1.."] * MIN_SUPPORT, *[".1."] * MIN_SUPPORT, *["..1"] * (MIN_SUPPORT - 1))
    found = Decisions(truth.copy())
    found[: MIN_SUPPORT // 2, 0] = False
    found[:, 2] = False
    quality = measure_quality(found, truth, LABELS, multi_label=True)
    assert quality.supported_labels == 2
    assert quality.macro_f1_supported == pytest.approx((2 / 3 + 1) / 2)
    assert quality.macro_f1 == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_without_supported_labels_their_macro_f1_is_0(quality: Quality) -> None:
    assert (quality.supported_labels, quality.macro_f1_supported) == (0, 0.0)


def test_single_label_accuracy_and_micro_f1_agree() -> None:
    found = measure_quality(
        matrix("1..", ".1.", "..1", "1.."), truth_of("1..", ".1.", ".1.", "1.."), LABELS, multi_label=False
    )
    assert found.subset_accuracy == found.micro_f1 == 3 / 4


def test_mcc_of_two_classes_is_the_one_computed_by_hand() -> None:
    """2 true yes, 1 false yes, 1 missed, 2 true no: (2*2 - 1*1) / sqrt(3*3*3*3) = 1/3."""
    found = matrix("1.", "1.", "1.", ".1", ".1", ".1")
    truth = truth_of("1.", "1.", ".1", "1.", ".1", ".1")
    assert measure_quality(found, truth, ("yes", "no"), multi_label=False).mcc == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("found", "truth"),
    [
        pytest.param(("1.", "1."), ("1.", "1."), id="one-label-in-both"),
        pytest.param(("1.", "1."), ("1.", ".1"), id="one-label-predicted"),
        pytest.param(("1.", ".1"), ("1.", "1."), id="one-label-true"),
    ],
)
def test_mcc_is_0_where_only_one_label_occurs(found: tuple[str, ...], truth: tuple[str, ...]) -> None:
    """A corpus may have rows of one class only; that is no reason for a warning, which pytest takes for an error."""
    assert measure_quality(matrix(*found), truth_of(*truth), ("yes", "no"), multi_label=False).mcc == 0


classes = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30)


@settings(deadline=None)
@given(classes.filter(lambda rows: len({label for row in rows for label in row}) > 1))
def test_mcc_of_more_classes_is_scikit_learns(rows: list[tuple[int, int]]) -> None:
    truth, found = np.array(rows).T
    one_hot = np.eye(4, dtype=np.bool_)
    quality = measure_quality(
        Decisions(one_hot[found]), LabelMatrix(one_hot[truth]), ("a", "b", "c", "d"), multi_label=False
    )
    assert quality.mcc == pytest.approx(matthews_corrcoef(truth, found), abs=1e-12)


def test_an_encoder_with_one_label_is_judged_on_its_yeses() -> None:
    """scikit-learn takes one column for two classes, and would count every right no as a hit."""
    found = measure_quality(matrix("1", "1", ".", "."), truth_of("1", ".", "1", "."), ("toxic",), multi_label=True)
    assert found.per_label_f1 == {"toxic": 0.5}
    assert (found.micro_precision, found.micro_recall, found.micro_f1, found.macro_f1) == (0.5, 0.5, 0.5, 0.5)
    assert found.support == {"toxic": 2}


def test_an_encoder_with_one_label_that_nobody_has_scores_0() -> None:
    found = measure_quality(matrix(".", "."), truth_of(".", "."), ("toxic",), multi_label=True)
    assert (found.micro_f1, found.macro_f1, found.subset_accuracy) == (0.0, 0.0, 1.0)


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=20))
def test_f1_is_scikit_learns(rows: list[list[bool]]) -> None:
    both = np.array(rows)
    truth, found = both[:, :3], both[:, 3:]
    quality = measure_quality(Decisions(found), LabelMatrix(truth), LABELS, multi_label=True)
    assert quality.micro_f1 == pytest.approx(f1_score(truth, found, average="micro", zero_division=0))
    assert quality.macro_f1 == pytest.approx(f1_score(truth, found, average="macro", zero_division=0))


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=20))
def test_the_truth_itself_has_every_row_right(rows: list[list[bool]]) -> None:
    truth = np.array(rows)
    quality = measure_quality(Decisions(truth.copy()), LabelMatrix(truth), LABELS, multi_label=True)
    assert quality.subset_accuracy == 1.0
    assert quality.per_label_f1 == {label: float(truth[:, column].any()) for column, label in enumerate(LABELS)}


@pytest.mark.parametrize(
    "found", [pytest.param(("1..",), id="other-rows"), pytest.param(("1.", ".1"), id="other-labels")]
)
def test_decisions_of_another_shape_are_refused(found: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="one shape"):
        measure_quality(matrix(*found), truth_of("1..", ".1."), LABELS, multi_label=True)


def test_no_rows_are_refused() -> None:
    nothing = np.zeros((0, 3), dtype=np.bool_)
    with pytest.raises(ValueError, match=r"one shape .*found \(0, 3\)"):
        measure_quality(Decisions(nothing), LabelMatrix(nothing), LABELS, multi_label=True)


@settings(deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=20))
def test_mcc_of_several_labels_is_scikit_learns_and_0_where_it_is_undefined(rows: list[list[bool]]) -> None:
    both = np.array(rows)
    truth, found = both[:, :2], both[:, 2:]
    both_occur = [len(set(side[:, column])) == 2 for column in range(2) for side in (truth, found)]
    expected = [
        matthews_corrcoef(truth[:, column], found[:, column]) if all(both_occur[2 * column : 2 * column + 2]) else 0.0
        for column in range(2)
    ]
    quality = measure_quality(Decisions(found), LabelMatrix(truth), ("yes", "no"), multi_label=True)
    assert quality.mcc == pytest.approx(np.mean(expected), abs=1e-12)
