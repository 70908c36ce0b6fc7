"""The rule of three verdicts, and what they come to."""

import math
from datetime import date

import pytest

from driftgate.judge.accuracy_verdicts import NotShown, conclude, exit_code, levels_of_run, worst
from driftgate.judge.bounds import Bound, MetricVerdict, Outcome, hold_to_bound
from driftgate.judge.confidence.counted_limits import proportion_limits
from driftgate.judge.confidence.levels import Limits, exact_limits
from driftgate.judge.metrics import BOUNDED, METRICS

PASS, FAIL, NOT_SHOWN = Outcome.PASS, Outcome.FAIL, Outcome.NOT_SHOWN
DRIFT, FLIPS = "mean_of_largest_probability_drift", "row_flip_rate"


def hold(limits: Limits, limit: float = 0.1, metric: str = DRIFT, *, at_most: bool = True) -> MetricVerdict:
    bound = Bound("fp32", metric, limit, at_most, "a reason", date(2026, 1, 31))
    return hold_to_bound([{("fp32", metric): bound}], "mine", ("fp32",), metric, limits)


def judge(low: float, value: float, high: float, *, at_most: bool = True) -> Outcome:
    return hold(Limits(value, low, high, 1e-4, 0.05, 100), at_most=at_most).verdict


def one(verdict: Outcome, metric: str) -> MetricVerdict:
    low, high = {PASS: (0.0, 0.05), NOT_SHOWN: (0.0, 0.2), FAIL: (0.2, 0.3)}[verdict]
    found = hold(Limits(high, low, high, 1e-4, 0.05, 100), metric=metric)
    assert found.verdict is verdict
    return found


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [
        ((0.01, 0.02, 0.09), PASS),
        ((0.01, 0.02, 0.1), PASS),  # the bound itself is allowed
        ((0.01, 0.02, 0.11), NOT_SHOWN),
        ((0.01, 0.2, 0.3), NOT_SHOWN),  # the value is beyond, the lower limit is not
        ((0.1, 0.2, 0.3), NOT_SHOWN),
        ((0.11, 0.2, 0.3), FAIL),
        ((-math.inf, math.nan, math.inf), NOT_SHOWN),  # these rows say nothing
        ((0.01, 0.02, math.nan), NOT_SHOWN),
        ((0.11, 0.2, math.nan), FAIL),
        ((math.nan, math.nan, math.nan), FAIL),
    ],
)
def test_only_limits_decide_and_nan_passes_nothing(limits: tuple[float, float, float], verdict: Outcome) -> None:
    assert judge(*limits) is verdict


@pytest.mark.parametrize(
    ("limits", "verdict"),
    [((0.11, 0.2, 0.3), PASS), ((0.09, 0.2, 0.3), NOT_SHOWN), ((0.01, 0.02, 0.09), FAIL), ((0.1, 0.2, 0.3), PASS)],
)
def test_where_at_least_so_much_is_asked_for_the_limits_change_places(
    limits: tuple[float, float, float], verdict: Outcome
) -> None:
    assert judge(*limits, at_most=False) is verdict


@pytest.mark.parametrize(("value", "verdict"), [(0.1, PASS), (0.11, FAIL), (math.nan, FAIL)])
def test_a_number_that_speaks_of_the_rows_alone_is_never_not_shown(value: float, verdict: Outcome) -> None:
    assert hold(exact_limits(value)).verdict is verdict


def test_a_verdict_says_limits_levels_and_rows_needed() -> None:
    levels = levels_of_run(1)
    found = hold(proportion_limits(0, 100, levels), 0.02)
    assert (found.metric, found.limit, found.verdict) == (DRIFT, 0.02, NOT_SHOWN)
    assert (found.limits.low_level, found.limits.high_level) == (levels.low, 0.05)
    assert found.rows_needed == 150
    shown = hold(proportion_limits(0, 150, levels), 0.02)
    assert (shown.verdict, shown.rows_needed) == (PASS, None)


def test_the_fail_level_is_divided_over_all_limits_of_the_run_and_the_pass_level_is_not() -> None:
    limits = sum(metric.interval is not None for metric in BOUNDED.values())
    assert limits > 20
    assert levels_of_run(1).low == pytest.approx(0.01 / limits)
    assert levels_of_run(5).low == pytest.approx(0.01 / limits / 5)
    assert levels_of_run(1).high == levels_of_run(5).high == 0.05
    with pytest.raises(ValueError, match="at least one backend"):
        levels_of_run(0)


def test_drift_decides_and_nothing_else_does() -> None:
    deciding = {name for name, metric in METRICS.items() if metric.decides}
    parts = [f"{part}_of_largest_probability" for part in ("mean", "p90")]
    moved = {f"{part}_{what}" for part in parts for what in ("drift", "movement")}
    assert deciding == {*moved, "relative_logit_error", "mean_score_drift", "p90_score_drift"}
    assert all(METRICS[name].interval for name in deciding)


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
    drift: Outcome, flips: Outcome, codes: tuple[int, int, int]
) -> None:
    verdicts = [one(PASS, "p90_of_largest_probability_drift"), one(drift, DRIFT), one(flips, FLIPS)]
    policies = (NotShown.DRIFT, NotShown.FAIL, NotShown.WARN)
    assert tuple(exit_code(conclude(verdicts, policy), policy) for policy in policies) == codes


def test_what_is_not_shown_is_still_called_so_where_it_only_warns() -> None:
    outcome = conclude([one(NOT_SHOWN, DRIFT)], NotShown.WARN)
    assert (outcome, exit_code(outcome, NotShown.WARN)) == (NOT_SHOWN, 0)


@pytest.mark.parametrize("policy", NotShown)
def test_nothing_passes_because_nothing_was_judged(policy: NotShown) -> None:
    assert conclude([], policy) is NOT_SHOWN
    assert worst([]) is NOT_SHOWN


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [([PASS, PASS], PASS), ([PASS, NOT_SHOWN], NOT_SHOWN), ([NOT_SHOWN, FAIL, PASS], FAIL)],
)
def test_a_run_is_as_good_as_its_worst_backend(outcomes: list[Outcome], expected: Outcome) -> None:
    assert worst(outcomes) is expected


def test_verdicts_are_written_as_results_files_have_them() -> None:
    assert [str(verdict) for verdict in Outcome] == ["pass", "fail", "not-shown"]
