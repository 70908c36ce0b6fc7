"""One verdict a backend, with the reason in a clause and the likely cause in a sentence, before any table."""

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

from driftgate.edges.escape import for_terminal
from driftgate.judge.accuracy_verdicts import NotShown
from driftgate.judge.bounds import MetricVerdict, Outcome
from driftgate.results.record import BackendResults, Results

_WHOLE = 10
"""From so many times on, they are given in whole numbers."""
_WIDTH = 12
"""Columns of the verdict itself."""
_OF_THIS_MACHINE = "error_ratio_to_float32"
"""Depends on how float32's own error comes out here: another broken bound says more to a reader, and the same everywhere."""
PASS, FAIL, NOT_SHOWN, SKIPPED = "PASS", "FAIL", "NOT SHOWN", "SKIPPED"
_WORDS = {Outcome.PASS: PASS, Outcome.FAIL: FAIL, Outcome.NOT_SHOWN: NOT_SHOWN}


@dataclass(frozen=True, slots=True)
class FailedTests:
    """The tests that failed of one backend.

    Args:
        names: of those that judge. `properties`: of those that search for counterexamples. `reason`: the first failure in a line.
    """

    names: tuple[str, ...] = ()
    properties: tuple[str, ...] = ()
    reason: str = ""

    @property
    def count(self) -> int:
        """Of both kinds."""
        return len(self.names) + len(self.properties)


def list_verdicts(
    results: Results, width: int, not_shown: NotShown = NotShown.DRIFT, failed: Mapping[str, FailedTests] | None = None
) -> list[str]:
    """The lines, at most `width` columns wide, escaped; a backend without any verdict has none."""
    lines = []
    for name, entry in results.backends.items():
        tests = (failed or {}).get(name, FailedTests())
        word = verdict_word(entry, not_shown, failed=bool(tests.count))
        if word:
            lines += _fold(word.ljust(_WIDTH), f"{name}: {_explain(word, entry, tests)}", width)
            if entry.diagnosis and word == FAIL:
                sentence = entry.diagnosis.sentence
                lines += _fold(" " * _WIDTH, f"{sentence[:1].upper()}{sentence[1:]}.", width)
    return lines


def verdict_word(entry: BackendResults, not_shown: NotShown = NotShown.DRIFT, *, failed: bool = False) -> str:
    """PASS, FAIL, NOT SHOWN or SKIPPED; "" of a backend that nothing was judged of.

    Args:
        failed: one of its tests failed, whatever else its verdicts say.
    """
    if failed:
        return FAIL
    if entry.skipped:
        return SKIPPED
    outcome = entry.verdict(not_shown)
    return "" if outcome is None else _WORDS[outcome]


def _explain(word: str, entry: BackendResults, tests: FailedTests) -> str:
    if word == SKIPPED:
        return entry.skipped
    if word == FAIL:
        return "; ".join(filter(None, [_describe_failure(entry, tests), _count_tests(tests)]))
    kept = sum(verdict.verdict is Outcome.PASS for verdict in entry.verdicts)
    unshown = [verdict for verdict in entry.verdicts if verdict.verdict is Outcome.NOT_SHOWN]
    rows = max((verdict.rows_needed or 0 for verdict in unshown), default=0)
    needs = f", which would take about {rows:,} rows" if rows else ""
    others = f", {len(unshown)} not shown{needs}" if unshown else ""
    checks = f"{entry.checks} check{'s' * (entry.checks != 1)} passed" if entry.checks and word == PASS else ""
    bounds = f"{kept} bound{'s' * (kept != 1)} kept" if kept or not checks else ""
    return ", ".join(filter(None, [bounds, checks])) + others


def _describe_failure(entry: BackendResults, tests: FailedTests) -> str:
    broken = [one for one in (*entry.verdicts, *entry.searched.values()) if one.verdict is Outcome.FAIL]
    if not broken:
        return tests.reason or f"{entry.failed_checks} of {entry.checks} checks failed"
    most = max(broken, key=lambda one: (one.bound.metric != _OF_THIS_MACHINE, _times_over(one)))
    rule = "at most" if most.bound.at_most else "at least"
    times = _times_over(most)
    over = f" ({times:,.{0 if times >= _WHOLE else 1}f} times)" if 1 < times < math.inf else ""
    count = "1 bound is broken" if len(broken) == 1 else f"{len(broken)} bounds are broken"
    return f"{count}: {most.bound.metric} = {most.value:.3g}, expected {rule} {most.bound.limit:.3g}{over}"


def _times_over(verdict: MetricVerdict) -> float:
    value, limit = verdict.value, verdict.bound.limit
    if math.isnan(value) or not verdict.bound.at_most or limit <= 0:
        return 0.0
    return value / limit


def _count_tests(tests: FailedTests) -> str:
    """How many tests failed, those that search for counterexamples in one clause with their count."""
    if not tests.count:
        return ""
    counted = f"{len(tests.names)} test{'s' * (len(tests.names) != 1)}" if tests.names else ""
    searched = f"{len(tests.properties)} propert{'ies' if len(tests.properties) != 1 else 'y'}"
    return " and ".join(filter(None, [counted, searched if tests.properties else ""])) + " failed"


def _fold(begin: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        for_terminal(text),
        max(width - 1, 40),
        initial_indent=begin,
        subsequent_indent=" " * _WIDTH,
        break_on_hyphens=False,
    )
