"""Limits of what decisions lose: few rows show little, and a true loss is seldom passed."""

import math
import time
from itertools import product

import numpy as np
import pytest
from scipy.stats import beta

from driftgate.arrays import Decisions, LabelMatrix
from driftgate.judge.confidence.bootstrap import paired_losses
from driftgate.judge.confidence.levels import Levels, rows_needed
from driftgate.judge.confidence.loss_limits import METRICS, paired_loss_limits
from driftgate.judge.quality import measure_quality

TINY = 5e-5
LEVELS = Levels(TINY)
LABELS = 6
NAMES = tuple("abcdef")
Sides = tuple[Decisions, Decisions, LabelMatrix]


def draw(rows: int, random: np.random.Generator, *, emptied: float = 0.0, multi_label: bool = True) -> Sides:
    """Truth, a reference that is often right, and a backend that answers a share of the rows with nothing, or another class."""
    if multi_label:
        truth = random.random((rows, LABELS)) < np.linspace(0.1, 0.3, LABELS)
        reference = np.where(random.random(truth.shape) < 0.1, ~truth, truth)
        backend = reference & (random.random((rows, 1)) >= emptied)
    else:
        classes = random.integers(0, LABELS, rows)
        answered = np.where(random.random(rows) < 0.75, classes, random.integers(0, LABELS, rows))
        other = (answered + random.integers(1, LABELS, rows)) % LABELS
        truth, reference, backend = (
            np.eye(LABELS, dtype=np.bool_)[chosen]
            for chosen in (classes, answered, np.where(random.random(rows) < emptied, other, answered))
        )
    return Decisions(reference), Decisions(backend), LabelMatrix(truth)


def take(sides: Sides, rows: np.ndarray) -> Sides:
    return Decisions(sides[0][rows]), Decisions(sides[1][rows]), LabelMatrix(sides[2][rows])


def true_losses(sides: Sides, *, multi_label: bool) -> dict[str, float]:
    before, after = (measure_quality(side, sides[2], NAMES, multi_label=multi_label) for side in sides[:2])
    return {name: getattr(before, name) - getattr(after, name) for name in METRICS}


@pytest.mark.parametrize("multi_label", [True, False])
def test_values_are_what_measure_quality_says(multi_label: bool) -> None:
    sides = draw(600, np.random.default_rng(0), emptied=0.1, multi_label=multi_label)
    found = paired_loss_limits(*sides, LEVELS, multi_label=multi_label)
    assert set(found) == set(METRICS)
    for name, loss in true_losses(sides, multi_label=multi_label).items():
        assert found[name].value == pytest.approx(loss, abs=1e-9), name
        assert found[name].low < loss < found[name].high, name


@pytest.mark.parametrize("rows", [10, 30, 100, 300, 3000])
def test_rows_that_all_agree_leave_of_accuracy_what_three_in_so_many_rows_may_lose(rows: int) -> None:
    """A bootstrap is a point at 0 there, and passed any margin."""
    reference, _, truth = draw(rows, np.random.default_rng(1), multi_label=False)
    found = paired_loss_limits(reference, reference, truth, LEVELS, multi_label=False)["subset_accuracy"]
    assert found.value == 0
    assert found.high == pytest.approx(beta.isf(0.05, 1, rows), rel=0.1)  # 2,000 resamples
    assert paired_losses(reference, reference, truth, multi_label=False, resamples=20)["subset_accuracy"].high == 0
    if rows < 300:
        assert rows_needed(found, 0.01) == pytest.approx(300, rel=0.1)


def test_rows_lost_and_none_gained_are_limited_as_clopper_and_pearson_do() -> None:
    truth = LabelMatrix(np.tile(np.eye(2, dtype=np.bool_), (100, 1)))
    backend = Decisions(truth.copy())
    backend[:7] = ~backend[:7]
    found = paired_loss_limits(Decisions(truth), backend, truth, LEVELS, multi_label=False)["subset_accuracy"]
    assert found.high == pytest.approx(beta.isf(0.05, 8, 193), rel=0.03)


@pytest.mark.parametrize("multi_label", [True, False])
@pytest.mark.parametrize("rows", [10, 30, 100, 300])
def test_a_true_loss_of_two_and_a_half_points_seldom_passes_a_margin_of_one(rows: int, multi_label: bool) -> None:
    """The plain bootstrap passed it in 60% of runs on ten rows, and in 20% on thirty."""
    random = np.random.default_rng(2)
    everything = draw(40_000, random, emptied=0.07 if multi_label else 0.035, multi_label=multi_label)
    true = true_losses(everything, multi_label=multi_label)
    assert 0.02 < true["micro_f1"] < 0.03
    passed = dict.fromkeys(METRICS, 0)
    missed = dict.fromkeys(METRICS, 0)
    for _ in range(60):
        sample = take(everything, random.integers(0, 40_000, rows))
        for name, limits in paired_loss_limits(*sample, LEVELS, multi_label=multi_label).items():
            passed[name] += limits.high <= 0.01
            missed[name] += limits.high < true[name]
    assert all(count <= 3 for count in passed.values()), passed  # 5% of 60
    assert all(count <= 8 for count in missed.values()), missed  # the limits themselves: 5%, and chance


@pytest.mark.parametrize("rows", [30, 300])
def test_a_loss_within_the_margin_is_never_beyond_it(rows: int) -> None:
    random = np.random.default_rng(3)
    everything = draw(40_000, random, emptied=0.035)
    true = true_losses(everything, multi_label=True)
    for _ in range(60):
        sample = take(everything, random.integers(0, 40_000, rows))
        found = paired_loss_limits(
            *sample, LEVELS, multi_label=True, metrics=("micro_f1", "macro_f1", "subset_accuracy")
        )
        assert all(limits.low <= true[name] for name, limits in found.items())


def test_a_gross_loss_is_beyond_its_margin_on_three_hundred_rows() -> None:
    random = np.random.default_rng(4)
    lows = [
        paired_loss_limits(*draw(300, random, emptied=0.5), LEVELS, multi_label=True)["micro_f1"].low for _ in range(30)
    ]
    assert np.mean(np.array(lows) > 0.01) >= 0.95


def test_more_rows_narrow_the_limits_on_both_sides() -> None:
    random = np.random.default_rng(5)
    few, many = (
        paired_loss_limits(*draw(rows, random, emptied=0.03), LEVELS, multi_label=True)["micro_f1"]
        for rows in (200, 20_000)
    )
    assert many.high - many.value < (few.high - few.value) / 5
    assert many.value - many.low < (few.value - few.low) / 5


def test_macro_f1_is_not_shown_while_nobody_has_seen_a_label() -> None:
    reference, _, truth = draw(3000, np.random.default_rng(6))
    seen = paired_loss_limits(reference, reference, truth, LEVELS, multi_label=True)["macro_f1"]
    reference[:, 0], truth[:, 0] = False, False
    unseen = paired_loss_limits(reference, reference, truth, LEVELS, multi_label=True)["macro_f1"]
    assert seen.high < 0.01
    assert unseen.high == pytest.approx(1 / LABELS, rel=0.05)


def test_a_mean_over_labels_that_are_frequent_is_unknown_where_none_is() -> None:
    reference, backend, truth = draw(60, np.random.default_rng(7))
    found = paired_loss_limits(reference, backend, truth, LEVELS, multi_label=True)["macro_f1_supported"]
    assert math.isnan(found.value)
    assert found.high == math.inf
    assert found.least_rows == math.ceil(50 * 60 / truth.sum(axis=0).max())


@pytest.mark.parametrize("multi_label", [True, False])
@pytest.mark.parametrize("labels", [1, 3])
def test_one_row_is_a_verdict_and_no_error(labels: int, multi_label: bool) -> None:
    answers = [np.eye(labels, dtype=np.bool_)[[chosen]] for chosen in range(labels)]
    if multi_label:
        answers += [np.zeros((1, labels), dtype=np.bool_), np.ones((1, labels), dtype=np.bool_)]
    for reference, backend, truth in product(answers, repeat=3):
        found = paired_loss_limits(
            Decisions(reference), Decisions(backend), LabelMatrix(truth), LEVELS, multi_label=multi_label
        )
        for name in set(METRICS) - {"macro_f1_supported"}:
            assert found[name].low <= found[name].value <= found[name].high, name
            assert found[name].low <= 0, name


def test_rows_that_are_all_the_same_show_no_more_than_they_are() -> None:
    yes = np.tile(np.array([True, False]), (12, 1))
    found = paired_loss_limits(Decisions(yes), Decisions(yes), LabelMatrix(yes), LEVELS, multi_label=False)
    assert all(found[name].high > 0.1 for name in ("micro_f1", "macro_f1", "subset_accuracy"))


def test_shapes_that_differ_are_refused() -> None:
    reference, backend, truth = draw(10, np.random.default_rng(8))
    with pytest.raises(ValueError, match="one shape"):
        paired_loss_limits(reference, Decisions(backend[:5]), truth, LEVELS, multi_label=True)
    with pytest.raises(ValueError, match="one shape"):
        paired_loss_limits(*(side[:0] for side in (reference, backend, truth)), LEVELS, multi_label=True)


def test_thirty_thousand_rows_take_little_longer_than_three_thousand() -> None:
    """Alike rows are drawn together; compared in units of this machine, not in seconds."""
    random = np.random.default_rng(9)
    seconds = []
    for rows in (3_000, 30_000):
        sides = draw(rows, random, emptied=0.02)
        start = time.process_time()
        paired_loss_limits(*sides, LEVELS, multi_label=True)
        seconds.append(time.process_time() - start)
    assert seconds[1] < 6 * seconds[0]
