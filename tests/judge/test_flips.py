"""Decisions that changed."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from driftgate.arrays import Decisions, LabelMatrix
from driftgate.judge.flips import Flips, count_flips
from driftgate.judge.quality import MIN_SUPPORT

LABELS = ("joy", "anger", "fear")


def decisions(*rows: str) -> Decisions:
    """A row is written "1.1": yes, no, yes."""
    return Decisions(np.array([[cell == "1" for cell in row] for row in rows]))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Decisions, Decisions]:
    rows = draw(st.integers(1, 8))
    first, second = (draw(hnp.arrays(np.bool_, (rows, len(LABELS)))) for _ in range(2))
    return Decisions(first), Decisions(second)


@pytest.fixture(scope="module")
def flips() -> Flips:
    """Row 0 gains fear and loses joy, row 1 stays, row 2 gains anger and fear, row 3 stays empty."""
    return count_flips(decisions("11.", ".1.", "1..", "..."), decisions(".11", ".1.", "111", "..."), LABELS)


def test_gained_are_new_yeses_and_lost_are_new_noes(flips: Flips) -> None:
    assert (flips.gained, flips.lost, flips.total) == (3, 1, 4)


def test_rate_is_the_share_of_label_decisions(flips: Flips) -> None:
    assert flips.decisions == 12
    assert flips.rate == pytest.approx(4 / 12)


def test_a_row_with_two_flips_is_one_row(flips: Flips) -> None:
    assert flips.rows == 2


def test_flips_are_counted_for_each_label(flips: Flips) -> None:
    assert flips.per_label == {"joy": 1, "anger": 1, "fear": 2}


def test_a_changed_single_label_is_one_gained_and_one_lost() -> None:
    found = count_flips(decisions("1..", ".1."), decisions("..1", ".1."), LABELS)
    assert (found.gained, found.lost, found.rows) == (1, 1, 1)


@pytest.mark.parametrize(
    ("reference", "backend"),
    [
        pytest.param(("1..", ".1."), ("1..",), id="one-row-that-would-stand-for-all"),
        pytest.param(("1", "."), ("1..", ".1."), id="one-label-that-would-stand-for-all"),
        pytest.param((), (), id="nothing"),
    ],
)
def test_decisions_that_do_not_fit_are_refused(reference: tuple[str, ...], backend: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="one shape"):
        count_flips(decisions(*reference), decisions(*backend), LABELS)


@settings(deadline=None)
@given(pairs())
def test_decisions_do_not_flip_against_themselves(pair: tuple[Decisions, Decisions]) -> None:
    assert count_flips(pair[0], pair[0], LABELS).total == 0


@settings(deadline=None)
@given(pairs())
def test_gained_and_lost_swap_with_the_sides(pair: tuple[Decisions, Decisions]) -> None:
    there, back = count_flips(*pair, LABELS), count_flips(*reversed(pair), LABELS)
    assert (there.gained, there.lost) == (back.lost, back.gained)
    assert (there.rows, there.per_label) == (back.rows, back.per_label)


@settings(deadline=None)
@given(pairs(), st.randoms(use_true_random=False))
def test_flips_do_not_depend_on_row_order(pair: tuple[Decisions, Decisions], random: Random) -> None:
    order = list(range(len(pair[0])))
    random.shuffle(order)
    assert count_flips(*(Decisions(side[order]) for side in pair), LABELS) == count_flips(*pair, LABELS)


@settings(deadline=None)
@given(pairs())
def test_labels_add_up_to_the_total(pair: tuple[Decisions, Decisions]) -> None:
    found = count_flips(*pair, LABELS)
    assert sum(found.per_label.values()) == found.total == found.gained + found.lost


# Direction, and the truth


def test_flips_in_one_direction_are_improbable_by_chance() -> None:
    before, after = np.zeros((20, 1), dtype=np.bool_), np.ones((20, 1), dtype=np.bool_)
    found = count_flips(Decisions(before), Decisions(after), ("joy",))
    assert found.asymmetry_p == pytest.approx(2 * 0.5**20)


def test_no_flips_in_many_rows_still_leave_a_limit() -> None:
    none = Decisions(np.zeros((1000, 1), dtype=np.bool_))
    assert count_flips(none, none, ("joy",)).row_rate_upper_limit == pytest.approx(0.003, rel=0.01)


def test_a_changed_class_is_one_flip_of_as_many_decisions_as_rows() -> None:
    found = count_flips(decisions("1..", ".1."), decisions("..1", ".1."), LABELS, multi_label=False)
    assert (found.total, found.decisions, found.rate) == (1, 2, 0.5)


def test_flips_away_from_the_truth_are_negative() -> None:
    truth = LabelMatrix(decisions("1..", "1..", "..1"))
    found = count_flips(
        decisions("1..", "...", "..."), decisions("...", "1..", "1.."), LABELS, truth=truth
    ).against_truth
    assert found is not None
    assert (found.negative, found.positive) == (2, 1)
    assert found.per_label_negative == {"joy": 2, "anger": 0, "fear": 0}
    assert found.per_label_positive == {"joy": 1, "anger": 0, "fear": 0}


def test_a_single_label_is_wrong_once_not_twice() -> None:
    truth = LabelMatrix(decisions("1..", "1.."))
    found = count_flips(
        decisions("1..", ".1."), decisions(".1.", "..1"), LABELS, truth=truth, multi_label=False
    ).against_truth
    assert found is not None
    assert (found.negative, found.positive) == (1, 0)  # wrong before and after is neither


def test_only_labels_with_support_are_tested_and_for_all_of_them_together() -> None:
    rows = 100
    truth = np.zeros((rows, 3), dtype=np.bool_)
    truth[:60, 0], truth[:60, 1], truth[:10, 2] = True, True, True
    backend = truth.copy()
    backend[:12, 0] = False  # worse
    backend[:2, 1] = False  # too little to tell
    backend[:10, 2] = False  # too few rows to be asked
    found = count_flips(Decisions(truth), Decisions(backend), LABELS, truth=LabelMatrix(truth)).against_truth
    assert found is not None
    assert found.per_label_p == pytest.approx({"joy": 2 * 0.5**12, "anger": 0.25})
    assert found.significantly_worse == ("joy",)


def test_a_changed_class_leaves_one_label_and_enters_another() -> None:
    found = count_flips(decisions("1..", ".1."), decisions("..1", ".1."), LABELS, multi_label=False)
    assert (found.gained, found.lost, found.asymmetry_p) == (1, 1, 1.0)
    assert found.per_label == {"joy": 1, "anger": 0, "fear": 1}


def test_flips_both_ways_have_no_direction(flips: Flips) -> None:
    assert flips.asymmetry_p == pytest.approx(10 / 16)  # 3 of 4, or more extreme, either way


@pytest.mark.parametrize("rows", [1, 100, 5427])
def test_no_flips_prove_only_a_limit(rows: int) -> None:
    """Were more rows than the limit to flip, none of them would be seen in less than 5% of samples."""
    same = Decisions(np.zeros((rows, 2), dtype=np.bool_))
    limit = count_flips(same, same, ("joy", "anger")).row_rate_upper_limit
    assert (1 - limit) ** rows == pytest.approx(0.05)


def test_without_truth_nothing_is_said_about_being_right(flips: Flips) -> None:
    assert flips.against_truth is None


def worsened(by_label: tuple[int, ...], support: int = MIN_SUPPORT) -> Flips:
    """The first rows of each label, true in `support` rows, are lost by the backend."""
    truth = np.ones((support, len(LABELS)), dtype=np.bool_)
    backend = truth.copy()
    for column, lost in enumerate(by_label):
        backend[:lost, column] = False
    return count_flips(Decisions(truth), Decisions(backend), LABELS, truth=LabelMatrix(truth))


def test_labels_are_tested_for_being_worse_with_holms_correction() -> None:
    """One-sided: 2^-7, 2^-5 and 1; times 3, 2 and 1. Alone, 2^-5 would be significant."""
    found = worsened((7, 5, 0)).against_truth
    assert found is not None
    assert found.per_label_p == pytest.approx({"joy": 3 / 128, "anger": 2 / 32, "fear": 1.0})
    assert found.significantly_worse == ("joy",)


def test_labels_with_little_support_are_not_tested() -> None:
    found = worsened((20, 20, 20), MIN_SUPPORT - 1).against_truth
    assert found is not None
    assert (found.per_label_p, found.significantly_worse) == ({}, ())
    assert found.per_label_negative == dict.fromkeys(LABELS, 20)


def test_labels_that_become_right_are_not_worse() -> None:
    truth = LabelMatrix(np.ones((MIN_SUPPORT, 3), dtype=np.bool_))
    found = count_flips(Decisions(~truth), Decisions(truth.copy()), LABELS, truth=truth).against_truth
    assert found is not None
    assert (found.negative, found.positive, found.p) == (0, 150, 1.0)
    assert found.significantly_worse == ()


def test_truth_of_another_shape_is_refused() -> None:
    yes = decisions("1..")
    with pytest.raises(ValueError, match=r"one shape \(rows, labels\), .*found \(1, 3\), \(1, 3\), \(1, 2\)"):
        count_flips(yes, yes, LABELS, truth=LabelMatrix(decisions("1.")))
