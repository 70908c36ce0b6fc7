"""A failed gate in few lines: failures of one backend are folded into its verdict, unless -v asks for each of them."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from driftgate.judge.bounds import Outcome
from driftgate.judge.metrics import METRICS
from driftgate.plugin.options import SESSION
from driftgate.report.verdict_lines import FailedTests

MOST_LINES = 25
"""A gate that fails prints no more, as far as it depends on us."""
_AROUND = 14
"""Lines for verdicts, tables and notes."""
_NOT_FINITE = "NaN or infinite"


@dataclass(slots=True)
class Failures:
    """Reports of failed tests by backend; those that are folded are not printed one by one."""

    by_backend: dict[str, FailedTests] = field(default_factory=dict)
    not_finite: set[str] = field(default_factory=set)
    reports: list[pytest.TestReport] = field(default_factory=list)
    folded: list[pytest.TestReport] = field(default_factory=list)

    def add(self, report: pytest.TestReport) -> None:
        """Take in a report of a test of ours that failed."""
        name, is_property = report.driftgate_backend
        before = self.by_backend.get(name, FailedTests())
        test = report.location[2].partition("[")[0]
        reason = before.reason or next(_reasons(report.longreprtext), "")
        if is_property:
            found = replace(before, properties=(*before.properties, test), reason=reason)
        else:
            found = replace(before, names=(*before.names, test), reason=reason)
        self.by_backend[name] = found
        self.reports.append(report)


FAILURES: "pytest.StashKey[Failures]" = pytest.StashKey()


def _reasons(text: str) -> Iterator[str]:
    """Lines of a failure that say something: pytest marks those of an exception with an E."""
    lines = [line for line in text.splitlines() if line.strip()]
    marked = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
    yield from (marked or [line.strip() for line in lines])


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FAILURES] = Failures()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """Say which backend a failed test is of. A counterexample is shown without the source of what tried it."""
    report = yield
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    cell = parameters.get("cell")
    spec = parameters.get("backend_spec") or getattr(cell, "backend", None)
    if report.failed and spec is not None and "driftgate" in getattr(item, "fixturenames", ()):
        is_property = item.get_closest_marker("property") is not None
        report.driftgate_backend = (spec.name, is_property)
        if _NOT_FINITE in report.longreprtext:
            item.config.stash[FAILURES].not_finite.add(spec.name)
        if is_property and call.excinfo and item.config.get_verbosity() <= 0:
            report.longrepr = _describe_counterexample(call.excinfo.value)
    return report


def _describe_counterexample(error: BaseException) -> str:
    """What differed, and the smallest example; of several failures each."""
    if isinstance(error, BaseExceptionGroup):
        return "\n".join(_describe_counterexample(one) for one in error.exceptions)
    said = str(error) or type(error).__name__
    kind = "" if isinstance(error, (AssertionError, pytest.fail.Exception)) else f"{type(error).__name__}: "
    notes = [line for note in getattr(error, "__notes__", ()) for line in note.splitlines()]
    examples = [line for line in notes if line.startswith("@example(")]
    return "\n".join([f"E   {kind}{said}", *(f"    smallest example: {line}" for line in examples[:1])])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Generator[None, Any, Any]:
    """Leave folded failures out of what pytest prints, though not out of what it counts."""
    failures = config.stash[FAILURES]
    stats = terminalreporter.stats
    kept = {outcome: list(stats.get(outcome, ())) for outcome in ("failed", "error")}
    for report in (one for reports in kept.values() for one in reports if hasattr(one, "driftgate_backend")):
        failures.add(report)
    if config.get_verbosity() <= 0:
        failures.folded = _choose(failures, config)
    for outcome, reports in kept.items():
        if reports:
            stats[outcome] = [report for report in reports if report not in failures.folded]
    try:
        return (yield)
    finally:
        stats.update({outcome: reports for outcome, reports in kept.items() if reports})


def _choose(failures: Failures, config: pytest.Config) -> list[pytest.TestReport]:
    """All of ours if they are too long together; if not, the properties of backends that failed otherwise."""
    results = config.stash[SESSION].results
    broken = {name for name, entry in results.backends.items() if entry.verdict() is Outcome.FAIL}
    broken &= {name for name, tests in failures.by_backend.items() if tests.names}
    properties = {(name, True) for name in broken}
    others = [report for report in failures.reports if tuple(report.driftgate_backend) not in properties]
    lines = sum(2 + len(report.longreprtext.splitlines()) for report in others)
    kept = others if lines <= MOST_LINES - _AROUND or len(others) == 1 else []
    return [report for report in failures.reports if report not in kept]


def diagnose_failures(config: pytest.Config) -> None:
    """Leave the likely cause with each backend that broke a bound of its accuracy, or answered what is no number."""
    run, not_finite = config.stash[SESSION], config.stash[FAILURES].not_finite
    for spec in run.options.backends:
        entry = run.results.backends.get(spec.name)
        if entry is None or entry.skipped or entry.diagnosis or not run.options.corpus:
            continue
        found = (*entry.verdicts, *entry.searched.values())
        if spec.name in not_finite or any(one.verdict is Outcome.FAIL and one.metric in METRICS for one in found):
            with run.announce():
                entry.diagnosis = run.assessor.diagnose(spec)
