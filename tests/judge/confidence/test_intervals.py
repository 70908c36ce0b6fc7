"""Intervals and exact tests, against their definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, norm

from driftgate.judge.confidence.counted_limits import (
    clopper_pearson,
    holm,
    mcnemar_exact,
    mcnemar_one_sided,
    paired_difference,
)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (1, 5427)])
def test_clopper_pearson_limits_leave_exactly_the_tails(successes: int, trials: int) -> None:
    found = clopper_pearson(successes, trials)
    if successes:
        assert binom.sf(successes - 1, trials, found.low) == pytest.approx(0.025)
    else:
        assert found.low == 0
    if successes < trials:
        assert binom.cdf(successes, trials, found.high) == pytest.approx(0.025)
    else:
        assert found.high == 1


def test_no_flips_in_1000_rows_leave_three_in_a_thousand() -> None:
    assert clopper_pearson(0, 1000, confidence=0.9).high == pytest.approx(0.003, rel=0.01)


@pytest.mark.parametrize(("lost", "gained", "p"), [(0, 0, 1.0), (1, 1, 1.0), (5, 0, 2 / 32), (0, 5, 2 / 32)])
def test_mcnemar_is_the_binomial_test_of_discordant_rows(lost: int, gained: int, p: float) -> None:
    assert mcnemar_exact(lost, gained) == pytest.approx(p)


@given(counts=st.tuples(st.integers(0, 400), st.integers(0, 400)), confidence=st.sampled_from((0.5, 0.95, 1 - 1e-9)))
@settings(max_examples=40)
def test_binomial_tests_and_limits_are_scipys(counts: tuple[int, int], confidence: float) -> None:
    lost, trials = counts[0], sum(counts)
    if not trials:
        assert mcnemar_one_sided(0, 0) == 1
        return
    assert mcnemar_exact(*counts) == pytest.approx(binomtest(lost, trials).pvalue, rel=1e-9)
    assert mcnemar_one_sided(*counts) == pytest.approx(binomtest(lost, trials, alternative="greater").pvalue, rel=1e-9)
    found, theirs = clopper_pearson(lost, trials, confidence), binomtest(lost, trials).proportion_ci(confidence)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_holm_steps_down_and_keeps_the_order_given() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx((0.06, 0.03, 0.06))
    assert holm([0.9, 0.8]) == pytest.approx((1.0, 1.0))
    assert holm([]) == ()


def log_likelihood(lost: int, gained: int, pairs: int, difference: float) -> tuple[float, float]:
    """Restricted maximum-likelihood estimate of P(gained) when P(lost) - P(gained) = `difference`, by search on a grid."""
    gains = np.linspace(max(0.0, -difference) + 1e-9, (1 - difference) / 2 - 1e-9, 400_001)
    losses = gains + difference
    rest = 1 - gains - losses
    with np.errstate(divide="ignore", invalid="ignore"):
        values = sum(
            np.where(count > 0, count * np.log(share), 0.0)
            for count, share in ((lost, losses), (gained, gains), (pairs - lost - gained, rest))
        )
    best = int(np.argmax(values))
    return float(gains[best]), float(losses[best])


@pytest.mark.parametrize(("lost", "gained", "pairs"), [(12, 4, 50), (1, 0, 30), (7, 7, 100), (0, 3, 40)])
def test_tango_limits_are_where_the_score_test_rejects(lost: int, gained: int, pairs: int) -> None:
    found = paired_difference(lost, gained, pairs)
    assert found.low < (lost - gained) / pairs < found.high
    for limit in (found.low, found.high):
        gains, losses = log_likelihood(lost, gained, pairs, limit)
        variance = pairs * (gains + losses - limit**2)
        score = abs(lost - gained - pairs * limit) / variance**0.5
        assert score == pytest.approx(1.959964, rel=2e-3)


def test_tango_limits_of_no_difference_shrink_with_the_number_of_pairs() -> None:
    few, many = paired_difference(0, 0, 50), paired_difference(0, 0, 5000)
    assert few.low == pytest.approx(-few.high)
    assert 0 < many.high < few.high / 50
    assert few.high == pytest.approx(1.96**2 / (50 + 1.96**2), rel=1e-3)


def test_tango_limits_of_opposite_differences_mirror_each_other() -> None:
    one, other = paired_difference(9, 2, 60), paired_difference(2, 9, 60)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


@pytest.mark.parametrize(("lost", "gained"), [(50, 0), (0, 50), (25, 25)])
def test_tango_limits_stay_within_possible_differences(lost: int, gained: int) -> None:
    found = paired_difference(lost, gained, 50)
    assert -1 <= found.low <= (lost - gained) / 50 <= found.high <= 1


@pytest.mark.parametrize("counts", [(-1, 0, 5), (0, 0, 0), (3, 3, 5)])
def test_impossible_counts_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="expected counts"):
        paired_difference(*counts)


@st.composite
def tables(draw: st.DrawFn) -> tuple[int, int, int]:
    """Lost, gained, pairs."""
    pairs = draw(st.integers(1, 60))
    lost = draw(st.integers(0, pairs))
    return lost, draw(st.integers(0, pairs - lost)), pairs


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (2, 1), (-1, 3)])
def test_successes_that_cannot_be_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"expected 0 to {trials} successes in at least one trial, found {successes}"):
        clopper_pearson(successes, trials)


def test_holm_steps_down_and_never_goes_back() -> None:
    """Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1, which may not be smaller than the one before."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx((0.06, 0.04, 0.06, 0.06))


@pytest.mark.parametrize("pairs", [1, 50])
def test_where_all_differ_one_way_the_interval_ends_at_one(pairs: int) -> None:
    lost, gained = paired_difference(pairs, 0, pairs), paired_difference(0, pairs, pairs)
    assert (lost.high, gained.low) == (1.0, -1.0)
    assert -1 < lost.low < 1
    assert gained.high == pytest.approx(-lost.low)


@settings(deadline=None)
@given(tables())
def test_the_interval_holds_the_estimate_and_stays_within_one(table: tuple[int, int, int]) -> None:
    lost, gained, pairs = table
    found = paired_difference(*table)
    assert -1 <= found.low <= (lost - gained) / pairs <= found.high <= 1


@settings(deadline=None)
@given(tables())
def test_the_interval_turns_around_with_the_sides(table: tuple[int, int, int]) -> None:
    lost, gained, pairs = table
    there, back = paired_difference(lost, gained, pairs), paired_difference(gained, lost, pairs)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=1e-9)


@settings(deadline=None)
@given(tables().filter(lambda table: table[0] + table[1] > 0))
def test_zero_is_outside_exactly_where_mcnemars_score_test_rejects(table: tuple[int, int, int]) -> None:
    lost, gained, _ = table
    found = paired_difference(*table)
    assert (not found.low <= 0 <= found.high) == (abs(lost - gained) / math.sqrt(lost + gained) > norm.ppf(0.975))


def test_the_interval_covers_the_true_loss_about_as_often_as_it_says() -> None:
    lost_share, gained_share, pairs = 0.06, 0.02, 100
    drawn = np.random.default_rng(0).multinomial(pairs, [lost_share, gained_share, 0.92], size=1000)
    found = [paired_difference(int(lost), int(gained), pairs) for lost, gained, _ in drawn]
    covered = np.mean([interval.low <= lost_share - gained_share <= interval.high for interval in found])
    assert 0.93 <= covered <= 0.975


def test_more_confidence_is_a_wider_interval() -> None:
    wide, narrow = paired_difference(5, 3, 50, 0.99), paired_difference(5, 3, 50, 0.9)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert wide.confidence == 0.99
