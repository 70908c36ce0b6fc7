"""The rule of three verdicts, and what they come to."""

import math

import pytest

from driftgate.judge.accuracy_verdicts import (
    AccuracyVerdict,
    Judged,
    NotShown,
    combine,
    combine_backends,
    judge_limits,
    levels_for,
)
from driftgate.judge.confidence import Limits, proportion_limits

PASS, FAIL, NOT_SHOWN = AccuracyVerdict.PASS, AccuracyVerdict.FAIL, AccuracyVerdict.NOT_SHOWN
DRIFT = {"mean drift", "p90 drift"}


def judge(low: float, value: float, high: float, limit: float = 0.1) -> AccuracyVerdict:
    return judge_limits("metric", "", Limits(value, low, high, 1e-4, 0.05, 100), limit).verdict


def one(verdict: AccuracyVerdict, metric: str) -> Judged:
    return Judged(metric, "", 0.0, 0.0, 0.0, 1e-4, 0.05, 0.1, verdict, None)


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        ((0.01, 0.02, 0.09), PASS),
        ((0.01, 0.02, 0.1), PASS),  # the bound itself is allowed
        ((0.01, 0.02, 0.11), NOT_SHOWN),
        ((0.01, 0.2, 0.3), NOT_SHOWN),  # the value is beyond, the lower limit is not
        ((0.1, 0.2, 0.3), NOT_SHOWN),
        ((0.11, 0.2, 0.3), FAIL),
        ((math.nan, math.nan, math.nan), NOT_SHOWN),
        ((-math.inf, math.nan, math.inf), NOT_SHOWN),
        ((0.11, 0.2, math.nan), FAIL),
    ],
)
def test_only_limits_decide_and_nan_passes_nothing(
    limits: tuple[float, float, float], verdict: AccuracyVerdict
) -> None:
    assert judge(*limits) is verdict


def test_the_record_says_limits_levels_and_rows_needed() -> None:
    found = judge_limits("row_flip_rate", "at 0.5", proportion_limits(0, 100, levels_for(200)), 0.02)
    assert (found.metric, found.policy, found.limit, found.verdict) == ("row_flip_rate", "at 0.5", 0.02, NOT_SHOWN)
    assert (found.low_level, found.high_level) == (5e-5, 0.05)
    assert found.rows_needed == 150
    shown = judge_limits("row_flip_rate", "at 0.5", proportion_limits(0, 150, levels_for(200)), 0.02)
    assert (shown.verdict, shown.rows_needed) == (PASS, None)


def test_the_fail_level_is_divided_over_all_limits_of_the_run_and_the_pass_level_is_not() -> None:
    assert levels_for(1).low == 0.01
    assert levels_for(200).low == pytest.approx(5e-5)
    assert levels_for(1).high == levels_for(200).high == 0.05
    assert levels_for(100, alpha=0.05).low == pytest.approx(5e-4)
    with pytest.raises(ValueError, match="at least one gated metric"):
        levels_for(0)


def test_a_bound_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="bound, found NaN"):
        judge(0.0, 0.0, 0.0, limit=math.nan)


@pytest.mark.parametrize(
    ("drift", "flips", "codes"),
    # Exit codes under the three policies: drift, fail, warn.
    [
        (PASS, PASS, (0, 0, 0)),
        (PASS, NOT_SHOWN, (0, 7, 0)),
        (NOT_SHOWN, PASS, (7, 7, 0)),
        (NOT_SHOWN, NOT_SHOWN, (7, 7, 0)),
        (PASS, FAIL, (1, 1, 1)),
        (FAIL, NOT_SHOWN, (1, 1, 1)),
        (NOT_SHOWN, FAIL, (1, 1, 1)),
    ],
)
def test_drift_decides_and_flips_only_where_they_were_asked_to(
    drift: AccuracyVerdict, flips: AccuracyVerdict, codes: tuple[int, int, int]
) -> None:
    judged = [one(PASS, "p90 drift"), one(drift, "mean drift"), one(flips, "row_flip_rate")]
    outcomes = [combine(judged, DRIFT, policy) for policy in (NotShown.DRIFT, NotShown.FAIL, NotShown.WARN)]
    assert tuple(outcome.exit_code for outcome in outcomes) == codes
    assert all((outcome.verdict is FAIL) == (outcome.exit_code == 1) for outcome in outcomes)
    assert all(
        set(outcome.not_shown) == {found for found in judged if found.verdict is NOT_SHOWN} for outcome in outcomes
    )


def test_what_is_not_shown_is_still_called_so_where_it_only_warns() -> None:
    outcome = combine([one(NOT_SHOWN, "mean drift")], DRIFT, NotShown.WARN)
    assert (outcome.verdict, outcome.exit_code) == (NOT_SHOWN, 0)


@pytest.mark.parametrize("policy", NotShown)
@pytest.mark.parametrize("judged", [[], [one(PASS, "row_flip_rate")]])
def test_nothing_passes_because_no_drift_was_judged(judged: list[Judged], policy: NotShown) -> None:
    outcome = combine(judged, DRIFT, policy)
    assert (outcome.verdict, outcome.exit_code) == (NOT_SHOWN, 7)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([PASS, PASS], (PASS, 0)),
        ([PASS, NOT_SHOWN], (NOT_SHOWN, 7)),
        ([NOT_SHOWN, FAIL, PASS], (FAIL, 1)),
        ([], (NOT_SHOWN, 7)),
    ],
)
def test_a_run_is_as_good_as_its_worst_backend(
    verdicts: list[AccuracyVerdict], expected: tuple[AccuracyVerdict, int]
) -> None:
    outcomes = [combine([one(verdict, "mean drift")], DRIFT) for verdict in verdicts]
    found = combine_backends(outcomes)
    assert (found.verdict, found.exit_code) == expected
    assert len(found.not_shown) == verdicts.count(NOT_SHOWN)


def test_a_backend_that_judged_nothing_is_not_outvoted_by_one_that_only_warns() -> None:
    warned = combine([one(NOT_SHOWN, "mean drift")], DRIFT, NotShown.WARN)
    assert combine_backends([warned, combine([], DRIFT, NotShown.WARN)]).exit_code == 7


def test_verdicts_are_written_as_results_files_have_them() -> None:
    assert [str(verdict) for verdict in AccuracyVerdict] == ["pass", "fail", "not-shown"]
