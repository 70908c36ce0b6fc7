"""Limits of shares and quantiles, and how many rows would show a bound: against their definitions."""

import math

import numpy as np
import pytest
from scipy.stats import beta, binom

from driftgate.judge.confidence.counted_limits import proportion_limits, quantile_limits, rows_for_quantile
from driftgate.judge.confidence.levels import (
    Levels,
    exact_limits,
    largest_limits,
    rows_enough,
    rows_needed,
    unknown_limits,
)

TINY = 5e-5
LEVELS = Levels(low=TINY)


@pytest.mark.parametrize(("share", "rows"), [(0.9, 29), (0.95, 59), (0.99, 299)])
def test_a_quantile_has_an_upper_limit_from_the_first_row_count_whose_maximum_is_one(share: float, rows: int) -> None:
    assert rows_for_quantile(share) == rows
    values = np.random.default_rng(0).random(rows)
    enough, few = quantile_limits(values, share, LEVELS), quantile_limits(values[1:], share, LEVELS)
    assert enough.high == values.max()
    assert few.high == math.inf
    assert rows_needed(few, bound=2.0) == pytest.approx(rows, rel=0.1)


@pytest.mark.parametrize("level", [0.05, TINY])
def test_limits_of_a_share_leave_exactly_the_tail_of_their_level(level: float) -> None:
    found = proportion_limits(7, 300, Levels(level, level))
    assert binom.sf(6, 300, found.low) == pytest.approx(level, rel=1e-6)
    assert binom.cdf(7, 300, found.high) == pytest.approx(level, rel=1e-6)


@pytest.mark.parametrize("rows", [10, 30, 100, 300])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_quantile_limits_are_the_order_statistics_that_the_binomial_allows_and_no_wider(
    share: float, rows: int
) -> None:
    values = np.arange(1.0, rows + 1)  # the k-th smallest is k
    found = quantile_limits(values, share, LEVELS)
    if found.high < math.inf:
        assert binom.sf(found.high - 1, rows, share) <= 0.05 < binom.sf(found.high - 2, rows, share)
    if found.low > -math.inf:
        assert binom.cdf(found.low - 1, rows, share) <= TINY < binom.cdf(found.low, rows, share)


@pytest.mark.parametrize("rows", [30, 100, 300])
def test_quantile_limits_are_wrong_no_more_often_than_they_say(rows: int) -> None:
    random = np.random.default_rng(3)
    found = [quantile_limits(random.exponential(size=rows), 0.9, Levels(0.05)) for _ in range(1500)]
    true = -math.log(0.1)
    assert np.mean([limits.high < true for limits in found]) <= 0.065
    assert np.mean([limits.low > true for limits in found]) <= 0.065


@pytest.mark.parametrize(
    ("successes", "rows", "bound"), [(0, 10, 0.02), (1, 50, 0.05), (5, 1000, 0.007), (20, 1000, 0.03)]
)
def test_so_many_rows_as_are_needed_show_the_share_and_a_quarter_fewer_do_not(
    successes: int, rows: int, bound: float
) -> None:
    needed = rows_needed(proportion_limits(successes, rows, LEVELS), bound)
    assert needed is not None

    def high(count: float) -> float:  # between whole numbers of successes too
        return float(beta.isf(0.05, successes / rows * count + 1, count * (1 - successes / rows)))

    assert high(1.1 * needed) <= bound < high(0.75 * needed)


@pytest.mark.parametrize("bound", [0.02, 0.01, math.nan, math.inf])
def test_no_number_of_rows_shows_what_is_at_its_bound_or_beyond(bound: float) -> None:
    assert rows_needed(proportion_limits(2, 100, LEVELS), bound) is None


def test_rows_needed_are_rounded_up_to_two_digits_and_more_than_there_are() -> None:
    needed = rows_needed(proportion_limits(10, 1000, LEVELS), 0.0131)
    assert needed is not None
    assert needed % 100 == 0
    assert rows_needed(proportion_limits(0, 58, LEVELS), 0.0503) in {59, 60}


def test_the_largest_of_several_is_beyond_where_one_is_and_within_where_all_are() -> None:
    parts = [proportion_limits(successes, rows, LEVELS) for successes, rows in ((1, 1000), (9, 100), (0, 20))]
    found = largest_limits(parts)
    assert found.value == 0.09
    assert found.low == max(part.low for part in parts)
    assert found.high == max(part.high for part in parts)
    assert found.low_level == pytest.approx(3 * TINY)


def test_a_part_that_is_unknown_makes_the_largest_unknown() -> None:
    found = largest_limits([unknown_limits(5, LEVELS), proportion_limits(0, 1000, LEVELS)])
    assert math.isnan(found.value)
    assert found.high == math.inf


def test_where_there_is_no_value_the_rows_that_it_takes_to_have_one_are_needed() -> None:
    assert rows_needed(unknown_limits(60, LEVELS, least_rows=151), bound=0.1) == 160
    assert rows_needed(unknown_limits(60, LEVELS), bound=0.1) is None


def test_a_number_that_speaks_of_these_rows_alone_is_its_own_limit() -> None:
    found = exact_limits(0.3)
    assert (found.low, found.value, found.high) == (0.3, 0.3, 0.3)


@pytest.mark.parametrize("values", [np.array([]), np.array([1.0, math.nan]), np.ones((2, 2))])
def test_numbers_that_are_not_one_a_row_and_finite_are_refused(values: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected finite numbers, one a row"):
        quantile_limits(values, 0.9, LEVELS)


@pytest.mark.parametrize("low", [0.0, 0.5, math.nan])
def test_levels_that_no_limit_can_have_are_refused(low: float) -> None:
    with pytest.raises(ValueError, match="level low"):
        Levels(low)


def test_the_largest_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one part"):
        largest_limits([])


@pytest.mark.parametrize(("successes", "bound"), [(0, 0.02), (10, 0.02), (20, 0.05)])
def test_as_many_rows_as_would_have_been_enough_show_the_same_share_and_far_fewer_do_not(
    successes: int, bound: float
) -> None:
    found = proportion_limits(successes, 4000, LEVELS)
    enough = rows_enough(found, bound)
    assert enough is not None
    assert enough < 4000
    share = successes / 4000
    again, fewer = (
        proportion_limits(round(share * rows), rows, LEVELS).high for rows in (int(1.2 * enough), int(0.6 * enough))
    )
    assert again <= bound < fewer


def test_what_is_not_shown_or_needs_no_rows_tells_nothing_of_how_many_are_enough() -> None:
    assert rows_enough(proportion_limits(20, 100, LEVELS), 0.21) is None
    assert rows_enough(exact_limits(0.1), 0.2) is None
    assert rows_enough(unknown_limits(10, LEVELS), 0.2) is None
    assert rows_enough(proportion_limits(0, 100, LEVELS), math.inf) is None
