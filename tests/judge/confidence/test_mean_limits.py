"""Limits of a mean: exact where that is known, coverage by simulation elsewhere."""

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from driftgate.arrays import FloatArray
from driftgate.judge.confidence.levels import Levels, rows_needed
from driftgate.judge.confidence.mean_limits import lower_limit, mean_limits, upper_limit

TINY = 5e-5
MEAN = 0.02
DISTRIBUTIONS = {
    "exponential": lambda random, size: random.exponential(MEAN, size),
    "gamma 0.5": lambda random, size: random.gamma(0.5, 2 * MEAN, size),
    "lognormal 1": lambda random, size: MEAN * random.lognormal(-0.5, 1, size),
    "normal": lambda random, size: np.abs(random.normal(MEAN, MEAN / 4, size)),
}


def misses(name: str, rows: int, runs: int, seed: int) -> tuple[float, float]:
    """Share of runs whose upper limit is below the mean, and whose lower limit at 5% is above it."""
    drawn = DISTRIBUTIONS[name](np.random.default_rng(seed), (runs, rows))
    highs = [upper_limit(values, 2 * values.max(), 0.05) for values in drawn]
    lows = [lower_limit(values, 0.0, 0.05) for values in drawn]
    return float(np.mean(np.array(highs) < MEAN)), float(np.mean(np.array(lows) > MEAN))


@pytest.mark.parametrize(("ones", "rows"), [(0, 1), (0, 10), (0, 300), (1, 30), (29, 30), (4, 1000)])
def test_of_zeros_and_ones_the_upper_limit_is_clopper_and_pearsons(ones: int, rows: int) -> None:
    values = np.repeat([1.0, 0.0], [ones, rows - ones])
    for level in (0.05, TINY):
        assert upper_limit(values, 1.0, level) == pytest.approx(beta.isf(level, ones + 1, rows - ones), rel=5e-3)


def test_the_upper_limit_is_a_quantile_of_dirichlet_weighted_means() -> None:
    random = np.random.default_rng(1)
    values = random.exponential(size=25)
    weights = random.dirichlet(np.ones(26), 200_000)
    drawn = weights @ np.append(values, 9.0)
    assert upper_limit(values, 9.0, 0.05) == pytest.approx(np.quantile(drawn, 0.95), rel=5e-3)


@pytest.mark.parametrize("rows", [10, 30, 100, 300])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_limits_of_drift_are_wrong_no_more_often_than_they_say(name: str, rows: int) -> None:
    high, low = misses(name, rows, runs=150, seed=2)
    assert high <= 0.08  # 0.05, and what chance makes of it in 150 runs
    assert low <= 0.05  # betting is far on the safe side


@pytest.mark.slow
@pytest.mark.parametrize("rows", [10, 30, 100, 300, 1000])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_limits_of_drift_are_wrong_no_more_often_than_they_say_in_many_runs(name: str, rows: int) -> None:
    runs = 3000
    high, low = misses(name, rows, runs, seed=4)
    # What limits that are wrong in 5% of runs exceed in one such test of a hundred.
    assert high <= binom.isf(0.01, runs, 0.05) / runs
    assert low <= 0.05


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_at_a_tiny_level_betting_is_right_on_thirty_rows(share: float) -> None:
    """Rows of 0 and 1: every sample of 30 there is, each as likely as the binomial says, none simulated."""
    beyond = [lower_limit(np.repeat([1.0, 0.0], [ones, 30 - ones]), 0.0, TINY) > share for ones in range(31)]
    chance = math.fsum(
        math.comb(30, ones) * share**ones * (1 - share) ** (30 - ones) for ones in range(31) if beyond[ones]
    )
    assert chance <= TINY
    assert beyond[30] == (share**30 < TINY / 20)  # it is not merely silent


def test_at_a_tiny_level_betting_finds_a_drift_of_three_times_its_bound_in_three_hundred_rows() -> None:
    random = np.random.default_rng(5)
    lows = [lower_limit(MEAN * random.lognormal(-0.5, 1, 300), 0.0, TINY) for _ in range(100)]
    assert np.mean(np.array(lows) > MEAN / 3) >= 0.98


def test_the_plain_bootstrap_fails_where_these_limits_hold() -> None:
    """What the limits are for: it misses lognormal means of ten rows four times as often as it says."""
    random = np.random.default_rng(6)
    drawn = MEAN * random.lognormal(-0.5, 1, (300, 10))
    plain = [np.quantile(values[random.integers(0, 10, (400, 10))].mean(axis=1), 0.95) for values in drawn]
    ours = [upper_limit(values, 2 * values.max(), 0.05) for values in drawn]
    assert np.mean(np.array(plain) < MEAN) >= 0.15
    assert np.mean(np.array(ours) < MEAN) <= 0.08


def test_without_a_known_end_few_rows_have_no_upper_limit() -> None:
    values = np.full(28, 0.01)
    assert mean_limits(values, Levels(TINY), smallest=0.0).high == math.inf
    assert mean_limits(values, Levels(TINY), smallest=0.0, largest=1.0).high < 0.2
    assert rows_needed(mean_limits(values, Levels(TINY), smallest=0.0), 0.1) == 29
    assert mean_limits(np.append(values, 0.01), Levels(TINY), smallest=0.0).high < 0.02


def test_a_row_that_was_not_seen_may_be_twice_as_large_as_any_that_was() -> None:
    values = np.random.default_rng(9).exponential(MEAN, 40)
    found = mean_limits(values, Levels(TINY), smallest=0.0)
    assert found.high == upper_limit(values, 2 * values.max(), 0.05)
    signed = mean_limits(values - MEAN, Levels(TINY))
    assert signed.low == lower_limit(values - MEAN, -2 * np.abs(values - MEAN).max(), TINY)


def test_so_many_rows_as_are_needed_show_the_mean() -> None:
    random = np.random.default_rng(7)
    few = mean_limits(random.exponential(MEAN, 200), Levels(TINY), smallest=0.0)
    needed = rows_needed(few, 1.15 * few.value)
    assert needed is not None
    values = random.exponential(MEAN, 2 * needed)
    scaled = values * few.value / values.mean()
    assert mean_limits(scaled, Levels(TINY), smallest=0.0).high <= 1.15 * few.value
    assert mean_limits(scaled[: needed // 2], Levels(TINY), smallest=0.0).high > 1.1 * few.value


def test_many_rows_are_limited_as_closely_as_few() -> None:
    """Rows are grouped above 2,048: by then the limits are those of the normal distribution, and the lower no larger."""
    values = np.random.default_rng(8).exponential(MEAN, 30_000)
    found = mean_limits(values, Levels(0.05), smallest=0.0)
    error = values.std() / math.sqrt(30_000)
    assert found.high == pytest.approx(values.mean() + 1.645 * error, abs=0.2 * error)
    assert values.mean() - 6 * error < found.low < values.mean() - 1.645 * error


def test_identical_answers_have_drifted_by_nothing() -> None:
    found = mean_limits(np.zeros(29), Levels(TINY), smallest=0.0)
    assert (found.low, found.value, found.high) == (0.0, 0.0, 0.0)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.randoms())
def test_limits_enclose_the_mean_and_know_no_order_of_rows(values: list[float], random: Random) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    one, other = (limits_of(np.array(side)) for side in (values, shuffled))
    assert one == pytest.approx(other, abs=1e-9)
    assert 0 <= one[0] <= np.mean(values) + 1e-9
    assert np.mean(values) - 1e-9 <= one[1] <= 1


def limits_of(values: FloatArray) -> tuple[float, float]:
    found = mean_limits(values, Levels(0.01), smallest=0.0, largest=1.0)
    return found.low, found.high


def test_a_value_beyond_its_end_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected values from 0 to 1, found -0\.1 to 0\.5"):
        mean_limits(np.array([0.5, -0.1]), Levels(TINY), smallest=0.0, largest=1.0)
