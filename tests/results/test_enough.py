"""How many rows would have been enough for the verdicts of a run."""

from dataclasses import replace
from datetime import date

from driftgate.judge.bounds import Bound, MetricVerdict, Outcome
from driftgate.judge.confidence.counted_limits import proportion_limits
from driftgate.judge.confidence.levels import DRIFT_ROWS, Levels, exact_limits
from driftgate.results.unshown import count_enough

BOUND = Bound("fp32", "flip_rate", 0.02, True, "a test", date(2026, 1, 31))


def judged(successes: int, rows: int, outcome: Outcome = Outcome.PASS) -> MetricVerdict:
    return MetricVerdict("mine", "flip_rate", "", proportion_limits(successes, rows, Levels(5e-5)), BOUND, outcome)


def test_the_metric_that_needs_most_rows_decides() -> None:
    easy, hard = judged(0, 4000), judged(40, 4000)
    assert count_enough([easy], 4000) is not None
    assert count_enough([easy, hard], 4000) == count_enough([hard], 4000)


def test_drift_is_never_shown_on_fewer_rows_than_it_is_anywhere() -> None:
    wide = replace(judged(0, 4000), bound=replace(BOUND, limit=0.5))
    assert count_enough([wide], 4000) == DRIFT_ROWS


def test_nothing_is_said_where_a_bound_is_not_kept_or_most_rows_are_needed() -> None:
    assert count_enough([judged(0, 4000), judged(70, 4000, Outcome.NOT_SHOWN)], 4000) is None
    assert count_enough([judged(0, 200)], 200) is None
    assert count_enough([], 4000) is None
    assert count_enough([replace(judged(0, 4000), limits=exact_limits(0.0))], 4000) is None
