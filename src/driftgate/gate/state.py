"""How far a gated run has come, and the exit code that follows from it."""

from dataclasses import dataclass, field

import numpy as np

from driftgate.gate.comparison import Comparison, Outcome
from driftgate.gate.rendering import GateReport
from driftgate.gate.rule import GateOptions, exit_code
from driftgate.gate.work.records import WorkChange, WorkVerdict


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
        if not self.options.wanted or status not in (0, 1, 7) or (status == 7 and self.outcome is None):
            return status
        if failed_otherwise or failed_tests > self.failed_as_not_measurable or self.held_work(WorkVerdict.ADDED):
            return 1
        verdicts = (found.verdict for found in self.outcome.verdicts.values()) if self.outcome else ()
        undecided = 7 if self.options.not_measurable_fails else 0
        found = exit_code(verdicts, not_measurable=undecided)
        if self.held_work(WorkVerdict.NOT_COUNTED):
            found = found or undecided
        return found or (7 if status == 7 else 0)  # what is not shown of accuracy stays so
