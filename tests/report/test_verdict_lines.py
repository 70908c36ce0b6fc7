"""One verdict a backend before any table: which, why in a clause, and the likely cause."""

from datetime import date

import pytest

from driftgate.judge.accuracy_verdicts import NotShown
from driftgate.judge.bounds import Bound, MetricVerdict, Outcome
from driftgate.judge.confidence.levels import exact_limits
from driftgate.judge.diagnosis.suspects import Diagnosis
from driftgate.report.verdict_lines import FailedTests, list_verdicts
from driftgate.results.record import Results


def verdict(
    outcome: Outcome, metric: str = "max_abs_logit_drift", value: float = 0.5, rows: int | None = None
) -> MetricVerdict:
    bound = Bound("fp32", metric, 0.1, at_most=True, reason="a reason", set_on=date(2026, 1, 1))
    return MetricVerdict("mine", metric, "", exact_limits(value), bound, outcome, rows)


def run_of(*verdicts: MetricVerdict) -> Results:
    results = Results()
    results.of("mine").verdicts.extend(verdicts)
    return results


def said(results: Results, width: int = 140, **options: object) -> str:
    return " ".join(" ".join(list_verdicts(results, width, **options)).split())


def test_a_failure_says_which_bound_is_broken_most_and_by_how_much() -> None:
    broken = run_of(verdict(Outcome.FAIL), verdict(Outcome.FAIL, "rms_logit_drift", 0.2))
    assert said(broken) == "FAIL mine: 2 bounds are broken: max_abs_logit_drift = 0.5, expected at most 0.1 (5.0 times)"


def test_a_multiple_of_float32s_own_error_is_named_where_nothing_else_is_broken() -> None:
    ratio = verdict(Outcome.FAIL, "error_ratio_to_float32", 900.0)
    assert "max_abs_logit_drift = 0.5" in said(run_of(ratio, verdict(Outcome.FAIL)))
    assert "error_ratio_to_float32 = 900" in said(run_of(ratio))


def test_failed_tests_are_counted_and_properties_in_one_clause() -> None:
    failed = {"mine": FailedTests(("test_one", "test_two"), tuple("abcdefg"))}
    assert said(run_of(verdict(Outcome.FAIL)), failed=failed).endswith("; 2 tests and 7 properties failed")


def test_a_test_that_failed_without_a_bound_fails_its_backend_with_its_own_reason() -> None:
    failed = {"mine": FailedTests(("test_one",), reason="AssertionError: 4 threads, expected 2")}
    assert said(run_of(verdict(Outcome.PASS)), failed=failed).startswith(
        "FAIL mine: AssertionError: 4 threads, expected 2;"
    )


def test_the_cause_is_a_sentence_under_the_failure() -> None:
    results = run_of(verdict(Outcome.FAIL))
    results.of("mine").diagnosis = Diagnosis(
        "labels-exchanged", "the labels 'joy' and 'anger' are exchanged", True, 1.0
    )
    assert list_verdicts(results, 140)[1].strip() == "The labels 'joy' and 'anger' are exchanged."


def test_what_is_not_shown_says_how_many_rows_would_show_it() -> None:
    unshown = verdict(Outcome.NOT_SHOWN, "mean_of_largest_probability_drift", rows=1234)
    assert said(run_of(unshown)) == "NOT SHOWN mine: 0 bounds kept, 1 not shown, which would take about 1,234 rows"


def test_what_need_not_be_shown_does_not_take_the_pass_away() -> None:
    results = run_of(verdict(Outcome.PASS), verdict(Outcome.NOT_SHOWN, "flip_rate", rows=99))
    assert said(results).startswith("PASS mine: 1 bound kept, 1 not shown")
    assert said(results, not_shown=NotShown.FAIL).startswith("NOT SHOWN mine:")


def test_a_pass_by_checks_alone_speaks_of_no_bounds() -> None:
    results = Results()
    for _ in range(2):
        results.of("mine").check(passed=True)
    assert said(results) == "PASS mine: 2 checks passed"


@pytest.mark.parametrize("width", [80, 100, 140])
def test_lines_are_folded_to_the_terminal(width: int) -> None:
    results = run_of(verdict(Outcome.FAIL))
    results.of("mine").diagnosis = Diagnosis("unknown", "a long sentence " * 20, False, 0.0)
    assert max(map(len, list_verdicts(results, width))) < width


def test_names_from_outside_are_escaped() -> None:
    results = Results()
    results.of("\x1b[31mred").verdicts.append(verdict(Outcome.PASS))
    assert "\x1b" not in "".join(list_verdicts(results, 100))
