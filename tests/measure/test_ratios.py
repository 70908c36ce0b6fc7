"""Ratios of paired blocks."""

import math

import numpy as np
import pytest

from driftgate.measure.timings import Ratio, relative_margin, speed_ratio


def test_ratio_is_anchor_time_over_own_time_block_by_block() -> None:
    assert speed_ratio([2, 3, 8], [1, 2, 2]) == Ratio(median=2.0, low=1.5, high=4.0, blocks=3)


def test_ratio_is_the_median_of_ratios_not_the_ratio_of_medians() -> None:
    """The ratios are 3, 0.5 and 2.5; the medians 3 and 2."""
    assert speed_ratio([3, 1, 10], [1, 2, 4]).median == 2.5


def test_an_even_number_of_blocks_takes_the_mean_of_the_middle_two() -> None:
    assert speed_ratio([1, 2, 3, 10], [1, 1, 1, 1]).median == 2.5


def test_a_backend_is_as_fast_as_itself() -> None:
    assert speed_ratio([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]) == Ratio(1.0, 1.0, 1.0, 3)


def test_one_slow_block_moves_the_extreme_but_not_the_median() -> None:
    assert speed_ratio([1] * 5, [0.5, 0.5, 0.5, 0.5, 10]) == Ratio(median=2.0, low=0.1, high=2.0, blocks=5)


@pytest.mark.parametrize(
    ("anchor", "own", "message"),
    [
        pytest.param([], [], "found 0 and 0", id="none"),
        pytest.param([1, 1], [1, 1], "found 2 and 2", id="two-blocks"),
        pytest.param([1, 1, 1], [1, 1, 1, 1], "found 3 and 4", id="not-paired"),
    ],
)
def test_fewer_than_three_pairs_are_refused(anchor: list[float], own: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=f"at least 3 paired blocks, {message}"):
        speed_ratio(anchor, own)


@pytest.mark.parametrize("side", ["anchor", "own"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf], ids=str)
def test_times_that_no_clock_gives_are_refused(side: str, value: float) -> None:
    broken, whole = [1.0, value, 1.0], [1.0, 1.0, 1.0]
    with pytest.raises(ValueError, match="positive, finite times"):
        speed_ratio(*((broken, whole) if side == "anchor" else (whole, broken)))


def test_the_margin_is_that_of_students_interval() -> None:
    """Two passes: t is 12.706 for one degree of freedom."""
    assert relative_margin([math.exp(0.01), math.exp(-0.01)]) == pytest.approx(math.expm1(12.706 * 0.01), rel=1e-3)


def test_passes_that_take_equally_long_have_no_margin() -> None:
    assert relative_margin([0.25, 0.25, 0.25]) == 0


@pytest.mark.parametrize("count", [2, 3, 8])
def test_the_margin_holds_the_typical_pass_nineteen_times_in_twenty(count: int) -> None:
    drawn = np.random.default_rng(count).lognormal(mean=np.log(0.3), sigma=0.1, size=(4000, count))
    held = [abs(np.log(passes).mean() - np.log(0.3)) <= np.log1p(relative_margin(passes.tolist())) for passes in drawn]
    assert np.mean(held) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("seconds", [[], [1.0], [1.0, math.nan], [1.0, math.inf], [1.0, 0.0], [1.0, -1.0]])
def test_margins_of_too_few_or_impossible_times_are_refused(seconds: list[float]) -> None:
    with pytest.raises(ValueError, match="at least 2 positive, finite times"):
        relative_margin(seconds)
