"""Slices against drift and flips of the same rows, and rows closest to a decision."""

import numpy as np
import pytest

from driftgate.arrays import Decisions, Logits
from driftgate.judge.drift import measure_drift
from driftgate.judge.flips import count_flips
from driftgate.judge.probabilities import decide, to_probabilities
from driftgate.judge.slice_drift import closest_decisions, measure_slices

LABELS = ("joy", "anger", "fear")
REFERENCE, MOVED = (
    Logits(np.random.default_rng(seed).normal(0, scale, (40, 3)).astype(np.float32)) for seed, scale in ((0, 2), (1, 1))
)
BACKEND = Logits(REFERENCE + MOVED)


@pytest.mark.parametrize("multi_label", [True, False], ids=["multi-label", "single-label"])
def test_a_slice_is_measured_as_if_it_were_the_corpus(*, multi_label: bool) -> None:
    rows = np.arange(40) % 3 == 0
    found = measure_slices(REFERENCE, BACKEND, {"third": rows}, 0.3, multi_label=multi_label)["third"]
    own = Logits(REFERENCE[rows]), Logits(BACKEND[rows])
    drift = measure_drift(*own, LABELS, multi_label=multi_label).largest_per_text
    sides: list[Decisions] = [
        decide(to_probabilities(side, multi_label=multi_label), 0.3, multi_label=multi_label) for side in own
    ]
    flips = count_flips(sides[0], sides[1], LABELS, multi_label=multi_label)
    assert (found.rows, found.flips, found.flip_rate) == (14, flips.total, flips.rate)
    assert found.mean_of_largest == pytest.approx(drift.mean)
    assert found.p99_of_largest == pytest.approx(drift.percentiles["p99"])
    assert found.max_abs_probability == drift.max


def test_no_slices_are_no_drift() -> None:
    assert measure_slices(REFERENCE, BACKEND, {}, 0.5, multi_label=True) == {}


def test_row_numbers_are_no_mask() -> None:
    """Zeros and ones as numbers would pick the first two rows over and over."""
    with pytest.raises(ValueError, match=r"slice odd: expected a mask of shape \(40,\), bool, found \(40,\), int64"):
        measure_slices(REFERENCE, BACKEND, {"odd": np.arange(40) % 2}, 0.5, multi_label=True)


def test_logits_that_are_not_finite_are_refused() -> None:
    broken = Logits(BACKEND.copy())
    broken[3, 1] = np.nan
    with pytest.raises(ValueError, match="finite logits"):
        measure_slices(REFERENCE, broken, {"all": np.ones(40, dtype=np.bool_)}, 0.5, multi_label=True)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_thresholds_that_decide_alone_make_all_rows_equally_close(threshold: float) -> None:
    assert closest_decisions(REFERENCE, threshold, multi_label=True).all()


def test_rows_as_close_as_the_last_of_them_are_among_the_closest() -> None:
    reference = Logits(np.array([[1.0]] * 5 + [[2.0]] * 15, dtype=np.float32))
    assert np.flatnonzero(closest_decisions(reference, 0.5, multi_label=True)).tolist() == [0, 1, 2, 3, 4]
