"""Does "almost identical" hold?"""

import numpy as np
import pytest

from driftgate.arrays import Decisions, LabelMatrix
from driftgate.judge.confidence.bootstrap import METRICS, PairedLoss, judge_equivalence
from driftgate.judge.quality import SubsetAccuracyChange, compare_subset_accuracy

UNCHANGED = SubsetAccuracyChange(rows=5000, lost=0, gained=0, mcnemar_p=1.0, low=-0.0005, high=0.0005)


def losses(low: float, high: float) -> dict[str, PairedLoss]:
    """Micro-F1 with this interval, the other metrics without any loss."""
    none = PairedLoss(0.5, 0.5, 0.0, 0.0, 0.0, 0.001)
    return dict.fromkeys(METRICS, none) | {"micro_f1": PairedLoss(0.5, 0.5, 0.0, low, high, 0.001)}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.002, 0.003, "yes"),
        (-0.01, 0.01, "yes"),
        (0.001, 0.011, "not shown: micro_f1 loss [+0.0010, +0.0110]"),
        (-0.02, 0.0, "not shown: micro_f1 loss [-0.0200, +0.0000]"),
        (0.011, 0.02, "no: micro_f1 loss [+0.0110, +0.0200]"),
        (-0.03, -0.02, "no: micro_f1 loss [-0.0300, -0.0200]"),
    ],
)
def test_the_verdict_follows_the_interval(low: float, high: float, verdict: str) -> None:
    assert judge_equivalence(UNCHANGED, losses(low, high)) == verdict


def test_an_interval_that_is_not_a_number_shows_nothing() -> None:
    assert judge_equivalence(UNCHANGED, losses(float("nan"), float("nan"))).startswith("not shown")


@pytest.mark.parametrize(("rows", "verdict"), [(6, "not shown: subset_accuracy"), (1000, "yes")])
def test_rows_that_all_agree_show_something_only_if_there_are_many(rows: int, verdict: str) -> None:
    yes = np.ones((rows, 1), dtype=np.bool_)
    change = compare_subset_accuracy(Decisions(yes), Decisions(yes), LabelMatrix(yes))
    assert judge_equivalence(change, losses(0.0, 0.0)).startswith(verdict)


def test_rows_are_lost_and_gained_as_a_whole() -> None:
    truth = LabelMatrix(np.array([[True, False]] * 4))
    reference = Decisions(np.array([[True, False], [True, False], [False, False], [True, True]]))
    backend = Decisions(np.array([[True, False], [True, True], [True, False], [False, True]]))
    change = compare_subset_accuracy(reference, backend, truth)
    assert (change.lost, change.gained, change.mcnemar_p) == (1, 1, 1.0)
    assert change.low < 0 < change.high


def test_rows_of_other_shapes_are_refused() -> None:
    yes = np.ones((3, 1), dtype=np.bool_)
    with pytest.raises(ValueError, match="one shape"):
        compare_subset_accuracy(Decisions(yes), Decisions(yes[:2]), LabelMatrix(yes))
