"""How far a gated run has come, and what is said of it: the report, and the sentences below its table."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from driftgate.gate.comparison import Comparison, Outcome
from driftgate.gate.pairs import Pair, Timing
from driftgate.gate.rendering import CellTimes, GateReport
from driftgate.gate.rule import GateOptions, Verdict, exit_code
from driftgate.gate.verdicts import CellVerdict
from driftgate.gate.work.records import WorkChange, WorkVerdict, list_work


def make_report(
    comparison: Comparison, outcome: Outcome, options: GateOptions, *, seed: int, left_out: Sequence[str]
) -> GateReport:
    """Everything there is to show.

    Args:
        left_out: backends that are not gated.
    """
    timing = outcome.timing
    return GateReport(
        options,
        tuple(outcome.verdicts.values()),
        cell_times(timing.pairs if timing else ()),
        outcome.work,
        timing.seconds if timing else 0.0,
        seed,
        list_notes(comparison, outcome, options, left_out),
        comparison.now,
        comparison.baseline.about,
    )


def cell_times(pairs: Sequence[Pair]) -> Mapping[str, CellTimes]:
    """Medians of each cell that was timed, by cell id."""
    own: dict[str, list[Pair]] = {}
    for pair in pairs:
        if not pair.is_control:
            own.setdefault(pair.cell, []).append(pair)
    return {
        cell: CellTimes(
            float(np.median([pair.baseline_ns for pair in found])) / 1e6,
            float(np.median([pair.candidate_ns for pair in found])) / 1e6,
            len(found),
        )
        for cell, found in own.items()
    }


def list_notes(comparison: Comparison, outcome: Outcome, options: GateOptions, left_out: Sequence[str]) -> list[str]:
    """Sentences about one gated run; `left_out` as of `make_report`."""
    notes, verdicts = [], outcome.verdicts.values()
    if commit := comparison.baseline.about.get("git"):
        notes.append(f"baseline: git:{commit['reference']}, built from commit {commit['commit']}")
    if left_out:
        notes.append(f"not gated, because they have no artifact to keep: {', '.join(left_out)}")
    if all(found.verdict is Verdict.NEW for found in verdicts):
        notes.append("nothing was compared: no cell of this run is in the baseline")
    if outcome.has(Verdict.VANISHED):
        notes.append(
            "a missing cell fails the run: time it too (with more --backends, or without -k), or keep a baseline without it with "
            "--gate-accept and no --gate"
        )
    if comparison.software_changes:
        meaning = (
            "Each side ran on its own: verdicts say what artifacts and software do together"
            if options.baseline_python
            else "Both sides ran on what is installed now: verdicts say what the artifacts do, not what that change does"
        )
        notes.append(f"{'; '.join(comparison.software_changes)}. {meaning}")
    if fewer := [
        f"{cell} ({own.rows} of {own.of_rows})" for cell, own in outcome.samples.items() if own.rows < own.of_rows
    ]:
        notes.append(f"timed on fewer rows, because a call of all would take long: {', '.join(fewer)}")
    backends = {cell: found.backend for cell, found in outcome.verdicts.items()}
    notes.extend(list_work(outcome.work, backends, options.work_limit))
    if outcome.timing and outcome.timing.out_of_time:
        notes.append(_time_needed(verdicts, outcome.timing, options))
    return notes


def _time_needed(verdicts: Collection[CellVerdict], timing: Timing, options: GateOptions) -> str:
    open_cells = [found for found in verdicts if found.verdict is Verdict.NOT_MEASURABLE]
    needed = [found.rounds_needed for found in open_cells if found.rounds_needed]
    said = f"out of time after {timing.seconds:.0f} s of --gate-budget {options.budget_seconds:g}"
    if len(needed) < len(open_cells):
        return f"{said}; rounds differ so much from each other that no budget would be enough: use a quieter machine"
    rounds = max([options.rule.least_rounds, *needed])
    seconds = sum(timing.seconds_a_round[found.cell] for found in open_cells)
    return (
        f"{said}; the {len(open_cells)} undecided would take about {rounds} rounds, {seconds:.1f} s each: "
        f"--gate-budget {np.ceil(1.2 * (timing.seconds + rounds * seconds)):.0f}"
    )


def draw_seed() -> int:
    """A seed nobody chose: the verdicts' error rates rest on the order of pairs being chance. Reports name it."""
    return int(np.random.SeedSequence().generate_state(1)[0])


@dataclass(slots=True)
class GateState:
    """Each step of a run leaves its record for the next; None: not reached.

    Args:
        seed: of the order of pairs. `comparison`: since the tests were collected. `outcome`: since the first gated test.
            `report`: since the end of the run.
        failed_as_not_measurable: tests that failed for that alone. `said`: sentences for below the report.
    """

    options: GateOptions
    seed: int
    comparison: Comparison | None = None
    outcome: Outcome | None = None
    report: GateReport | None = None
    failed_as_not_measurable: int = 0
    said: list[str] = field(default_factory=list)

    def held_work(self, verdict: WorkVerdict) -> dict[str, WorkChange]:
        """Cells of which `--gate-work` says so, by id; none where the option is not given."""
        limit = self.options.work_limit
        if limit is None or self.outcome is None:
            return {}
        return {cell: change for cell, change in self.outcome.work.items() if change.judge(limit) is verdict}

    def exit_code(self, status: int, *, failed_tests: int, failed_otherwise: bool) -> int:
        """The run's exit code, from pytest's and what else went wrong.

        A verdict does not hide another failure, what is broken goes before what is not shown, and a run that was refused or
        broken off keeps its code.
        """
        if not self.options.wanted or status not in (0, 1, 7) or (status == 7 and self.outcome is None):  # noqa: PLR2004 - pytest's exit codes, and 7
            return status
        if failed_otherwise or failed_tests > self.failed_as_not_measurable or self.held_work(WorkVerdict.ADDED):
            return 1
        verdicts = (found.verdict for found in self.outcome.verdicts.values()) if self.outcome else ()
        undecided = 7 if self.options.not_measurable_fails else 0
        found = exit_code(verdicts, not_measurable=undecided)
        if self.held_work(WorkVerdict.NOT_COUNTED):
            found = found or undecided
        return found or (7 if status == 7 else 0)  # noqa: PLR2004 - pytest's exit codes, and 7; what is not shown of accuracy stays so
