"""The speed gate of one run: which cells have a baseline, timing them beside it, and what comes of it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.errors import BaselineError, OptionError, WorkerError
from driftgate.gate.baseline import (
    BaselineBackend,
    GateBaseline,
    read_gate_baseline,
    require_baseline_folder,
    write_gate_baseline,
)
from driftgate.gate.decisions import regression_rounds
from driftgate.gate.pairs import Contest, Pair, Timing, time_pairs
from driftgate.gate.rendering import GateReport, write_gate_report
from driftgate.gate.rule import Verdict, exit_code
from driftgate.gate.units import Clock
from driftgate.gate.verdicts import CellVerdict, judge_cells, undecided
from driftgate.pipeline import Built
from driftgate.plugin.cells import CellSpec
from driftgate.plugin.gate_git import build_commit, find_commit
from driftgate.plugin.gate_notes import list_notes
from driftgate.plugin.gate_options import GateOptions
from driftgate.plugin.gate_sides import (
    by_backend,
    cell_times,
    describe_sides,
    gated_cells,
    is_gateable,
    list_encoder_changes,
    list_software_changes,
)
from driftgate.plugin.gate_workers import OpenSide, describe_worker, open_sides
from driftgate.plugin.session import DriftgateSession

CLOCK: Clock = time.perf_counter_ns


def draw_seed() -> int:
    """A seed nobody chose: the verdicts' error rates rest on the order of pairs being chance. Reports name it."""
    return int(np.random.SeedSequence().generate_state(1)[0])


class SpeedGate:
    """Times this run's artifacts beside the baseline's, once, when the first gated test asks."""

    def __init__(self, session: DriftgateSession, options: GateOptions) -> None:
        self.options = options
        self.cells: tuple[CellSpec, ...] = ()
        self.tests = session.config.rootpath
        self.failed_as_not_measurable = 0
        self.seed = draw_seed()
        self.report: GateReport | None = None
        self.said: list[str] = []
        self._session = session
        self._timing: Timing | None = None
        self._specs = tuple(spec for spec in session.options.backends if is_gateable(spec))

    @cached_property
    def baseline(self) -> GateBaseline:
        if not self.options.reference:
            return read_gate_baseline(self.options.baseline)
        commit = find_commit(self.options.reference, self._session.config.invocation_params.dir)
        found = read_gate_baseline(build_commit(self._session, commit, self.tests))
        return replace(found, about={**found.about, "git": {"reference": commit.reference, "commit": commit.sha}})

    @property
    def _then(self) -> Mapping[str, Any]:
        """What the baseline was taken on, as `describe_sides` has it."""
        return self.baseline.about

    def check(self, cells: Sequence[CellSpec], tests: Path) -> None:
        """Take the cells to gate and the folder of their tests; refuse what cannot be compared, before anything is built.

        Raises:
            OptionError: there is nothing to gate.
            WorkerError: the Python of the baseline's side cannot be used.
            BaselineError: no baseline, a damaged one, or one of another tokenizer, labels or length limit.
        """
        self.cells, self.tests = tuple(cells), tests
        if not cells:
            raise OptionError(
                "--gate: no gated test was collected; run: pytest --pyargs driftgate.suites.benchmarks --gate, with at least one "
                "ONNX backend in --backends and no -k or -m that leaves out test_no_slower_than_the_baseline"
            )
        _ = self._software_changes  # asks the worker's Python: whatever is wrong with it is said now
        differences = list_encoder_changes(self._then, describe_sides(self._session))
        if differences:
            where = self.options.reference or self.options.baseline
            raise BaselineError(
                f"gate baseline {where}: taken on another encoder ({'; '.join(differences)}); both sides have to "
                "answer the same tokens: give that encoder's baseline, or save a new one with --gate-accept"
            )

    def check_accept(self) -> None:
        """Refuse what could not be kept at the end of the run.

        Raises:
            BaselineError: the folder is not a baseline's.
        """
        require_baseline_folder(self.options.baseline)

    @cached_property
    def verdicts(self) -> dict[str, CellVerdict]:
        """By cell id, in the order of the run's cells, then vanished ones. Builds and times on first use."""
        found = self._judge()
        ids = [cell.id for cell in self.cells]
        vanished = {
            cell: CellVerdict(cell, name, Verdict.VANISHED, "in the baseline, not in this run")
            for cell, name in self._cells_then().items()
            if cell not in ids
        }
        return {cell: found[cell] for cell in ids} | vanished

    def _cells_then(self) -> dict[str, str]:
        """The baseline's cells: backend by id."""
        return {cell: name for name, backend in self.baseline.backends.items() for cell in backend.cells}

    def _judge(self) -> dict[str, CellVerdict]:
        settled = self._settle()
        open_cells = [cell for cell in self.cells if cell.id not in settled]
        return settled | (self._time(open_cells) if open_cells else {})

    def _settle(self) -> dict[str, CellVerdict]:
        """Verdicts that need no timing: cells that are new, or the same bytes under the same software."""
        found = {}
        same_software = not self._software_changes
        for cell in self.cells:
            name = cell.backend.name
            then = self.baseline.backends.get(name)
            artifact = self._session.built(cell.backend).artifact
            if artifact is None:
                reason = "runs a checkpoint's weights: no artifact to keep"
                found[cell.id] = CellVerdict(cell.id, name, Verdict.NEW, reason)
            elif then is None or cell.id not in then.cells:
                found[cell.id] = CellVerdict(cell.id, name, Verdict.NEW, "not in the baseline")
            elif artifact.sha256 == then.artifact.sha256 and same_software and not self.options.measure_identical:
                reason = "the baseline's bytes and software"
                found[cell.id] = CellVerdict(cell.id, name, Verdict.IDENTICAL, reason)
        return found

    def _time(self, cells: Sequence[CellSpec]) -> dict[str, CellVerdict]:
        specs = {cell.backend.name: cell.backend for cell in cells}
        contested = {name: [cell for cell in cells if cell.backend == spec] for name, spec in specs.items()}
        try:
            return self._time_contests(contested)
        except WorkerError as error:
            return {
                cell.id: CellVerdict(cell.id, cell.backend.name, Verdict.NOT_MEASURABLE, str(error)) for cell in cells
            }

    def _time_contests(self, contested: Mapping[str, Sequence[CellSpec]]) -> dict[str, CellVerdict]:
        rule, counts = self.options.rule, [len(cells) for cells in contested.values()]
        with open_sides(self.options.baseline_python) as sides, self._session.announce() as announce:
            contests = [self._contest(cells, *sides) for cells in contested.values()]

            def still_open(pairs: Sequence[Pair]) -> set[str]:
                left = undecided(by_backend(contests, pairs), rule)
                announce(f"speed gate: round {pairs[-1].round + 1}, {len(left)} of {sum(counts)} cells undecided")
                return left

            self._timing = time_pairs(
                contests,
                still_open,
                budget_seconds=self.options.budget_seconds,
                milestones=sorted((rule.least_rounds, regression_rounds(counts, rule))),
                seed=self.seed,
                clock=CLOCK,
            )
        return judge_cells(by_backend(contests, self._timing.pairs), rule)

    def _contest(self, cells: Sequence[CellSpec], open_baseline: OpenSide, open_candidate: OpenSide) -> Contest:
        spec = cells[0].backend
        built = self._session.built(spec)
        artifact = self.baseline.backends[spec.name].artifact
        return Contest(
            spec.name,
            open_baseline(self._session, Built(built.spec, built.encoder, artifact), cells),
            open_candidate(self._session, built, cells),
            tuple(cell.id for cell in cells),
            control=cells[0].id,
        )

    def exit_code(self, status: int, *, failed_tests: int, failed_otherwise: bool) -> int:
        """The run's exit code, from pytest's and what else went wrong.

        A verdict does not hide another failure, what is broken goes before what is not shown, and a run that was refused or
        broken off keeps its code.
        """
        timed = "verdicts" in vars(self)
        if not self.options.wanted or status not in (0, 1, 7) or (status == 7 and not timed):
            return status
        if failed_otherwise or failed_tests > self.failed_as_not_measurable:
            return 1
        verdicts = (found.verdict for found in self.verdicts.values()) if timed else ()
        found = exit_code(verdicts, not_measurable=7 if self.options.not_measurable_fails else 0)
        return found or (7 if status == 7 else 0)  # what is not shown of accuracy stays so

    def finish(self, code: int) -> None:
        """Write the reports, and keep this run's artifacts if they are to be kept and the run ended with 0.

        Raises:
            BaselineError: the baseline cannot be written.
        """
        if "verdicts" in vars(self):
            self.report = self._make_report()
            self._session.results.gate = self.report.to_json()
            for path in self.options.reports:
                write_gate_report(self.report, path)
                self.said.append(f"report: {path}")
        if self.options.accept:
            self.said.append(self._accept(code))

    def count_verdict(self, found: CellVerdict) -> None:
        """A new cell counts too: `exit_code` has its own rule for a run of nothing else."""
        self._session.results.of(found.backend).check(passed=found.verdict is not Verdict.REGRESSION)

    def keep_violation(self, said: str) -> None:
        self._session.results.violations.append(said)

    def _accept(self, code: int) -> str:
        """Keep the artifacts as the baseline if the run passed whole; what was done, in a sentence."""
        if code != 0:
            return f"gate baseline not saved: a run that ends with {code} does not become one"
        found = vars(self).get("verdicts", {}).values()
        if any(cell.verdict is Verdict.NOT_MEASURABLE for cell in found):
            return "gate baseline not saved: some cells could not be measured"
        built = {spec.name: self._session.built(spec) for spec in self._specs}
        backends = {
            name: BaselineBackend(one.artifact, tuple(cell.id for cell in self._all_cells(name)))
            for name, one in built.items()
            if one.artifact is not None
        }
        if not backends:
            return "gate baseline not saved: no backend of this run has an artifact to keep"
        about, tokenizer_files = describe_sides(self._session), self._session.encoder.tokenizer_files
        write_gate_baseline(self.options.baseline, backends, tokenizer_files, about)
        return f"gate baseline saved: {self.options.baseline} ({', '.join(backends)}); later runs compare with it"

    def _all_cells(self, name: str) -> list[CellSpec]:
        return [cell for cell in gated_cells(self._session) if cell.backend.name == name]

    def _make_report(self) -> GateReport:
        pairs = self._timing.pairs if self._timing else ()
        seconds = self._timing.seconds if self._timing else 0.0
        return GateReport(
            self.options.rule,
            tuple(self.verdicts.values()),
            cell_times(pairs),
            seconds,
            self.options.budget_seconds,
            self.seed,
            self._notes(),
            describe_sides(self._session),
            self._then,
        )

    def _notes(self) -> list[str]:
        left_out = [spec.name for spec in self._session.options.backends if spec not in self._specs]
        changes = f"{'; '.join(self._software_changes)}. {self._what_changes_mean}" if self._software_changes else ""
        return list_notes(self.verdicts.values(), self._then, left_out, changes, self._timing, self.options)

    @cached_property
    def _software_changes(self) -> list[str]:
        then, python = self._then, self.options.baseline_python
        if python:
            then = {**then, "software": describe_worker(python)}
        return list_software_changes(then, describe_sides(self._session))

    @property
    def _what_changes_mean(self) -> str:
        if self.options.baseline_python:
            return "Each side ran on its own: verdicts say what artifacts and software do together"
        return "Both sides ran on what is installed now: verdicts say what the artifacts do, not what that change does"
