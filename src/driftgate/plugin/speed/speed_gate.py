"""The speed gate of one run, step by step: what pytest's hooks ask of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from driftgate.errors import BaselineError
from driftgate.gate.baseline import (
    BaselineBackend,
    GateBaseline,
    read_gate_baseline,
    require_baseline_folder,
    write_gate_baseline,
)
from driftgate.gate.commit import build_commit, find_commit
from driftgate.gate.comparison import compare, prepare_comparison, require_cells
from driftgate.gate.notes import GateState, draw_seed, make_report
from driftgate.gate.remote_side import is_gateable
from driftgate.gate.rendering import explain, write_gate_report
from driftgate.gate.rule import GateOptions, Verdict
from driftgate.gate.run_facts import describe_run
from driftgate.gate.schedule import Clock
from driftgate.gate.verdicts import CellVerdict
from driftgate.gate.work.records import WorkVerdict, explain_added
from driftgate.measure.workload import CellSpec
from driftgate.plugin.session import DriftgateSession
from driftgate.plugin.speed.cells import sample_tokens
from driftgate.plugin.speed.gate_invocation import describe_invocation

CLOCK: Clock = time.perf_counter_ns


def gated_cells(session: DriftgateSession) -> list[CellSpec]:
    """Every cell that can be gated: backends with artifacts, each under every batch plan."""
    corpus = session.options.throughput_corpus
    specs = (spec for spec in session.options.backends if is_gateable(spec))
    return [CellSpec(spec, plan, corpus) for spec in specs for plan in session.benchmark_plans]


class SpeedGate:
    """Times this run's artifacts against the baseline's, once, when the first gated test asks."""

    def __init__(self, session: DriftgateSession, options: GateOptions) -> None:
        self.options = options
        self.state = GateState(options, draw_seed())
        self.session = session

    def check(self, cells: Sequence[CellSpec], tests: Path) -> None:
        """Take the cells to gate and the folder of their tests; refuse what could not be kept at the end of the run, and what
        cannot be compared, before anything is built.

        Raises:
            OptionError, WorkerError, BaselineError: see `require_baseline_folder`, `require_cells`, `read_gate_baseline` and
                `prepare_comparison`.
        """
        if self.options.accept:
            require_baseline_folder(self.options.baseline)
        if not self.options.wanted:
            return
        require_cells(cells)
        baseline, session = self._read_baseline(tests), self.session
        now = describe_run(session.encoder, session.options.settings)
        self.state.comparison = prepare_comparison(cells, baseline, now, self.options)

    def _read_baseline(self, tests: Path) -> GateBaseline:
        if not self.options.reference:
            return read_gate_baseline(self.options.baseline)
        commit = find_commit(self.options.reference, self.session.config.invocation_params.dir)
        with self.session.announce() as announce:
            found = read_gate_baseline(build_commit(commit, describe_invocation(self.session, tests), announce))
        return replace(found, about={**found.about, "git": {"reference": commit.reference, "commit": commit.sha}})

    def judge(self) -> dict[str, CellVerdict]:
        """Verdicts by cell id. Builds and times when it is first called."""
        state, session, comparison = self.state, self.session, self.state.comparison
        if comparison is None:
            raise BaselineError(
                "--gate: the baseline is read when tests are collected, and none were; run the suite with pytest"
            )
        if state.outcome is None:
            built = {cell.backend.name: session.built(cell.backend) for cell in comparison.cells}
            tokens, settings = sample_tokens(session, session.options.throughput_corpus), session.options.settings
            with session.announce() as announce, session.phases.during("speed gate"):
                state.outcome = compare(
                    comparison, built, tokens, settings, self.options, announce=announce, seed=state.seed, clock=CLOCK
                )
        return dict(state.outcome.verdicts)

    def finish(self, code: int) -> None:
        """Write the reports, and keep this run's artifacts if they are to be kept and the run ended with 0.

        Raises:
            BaselineError: the baseline cannot be written.
        """
        state, options = self.state, self.options
        if state.comparison and state.outcome:
            left_out = [spec.name for spec in self.session.options.backends if not is_gateable(spec)]
            state.report = make_report(state.comparison, state.outcome, options, seed=state.seed, left_out=left_out)
            self.session.results.gate = state.report.to_json()
            for path in options.reports:
                write_gate_report(state.report, path)
                state.said.append(f"report: {path}")
        if options.accept:
            state.said.append(self._accept(code))

    def _accept(self, code: int) -> str:
        """Keep the artifacts as the baseline if the run passed whole; what was done, in a sentence."""
        if code != 0:
            return f"gate baseline not saved: a run that ends with {code} does not become one"
        if self.state.outcome and self.state.outcome.has(Verdict.NOT_MEASURABLE):
            return "gate baseline not saved: some cells could not be measured"
        if self.state.held_work(WorkVerdict.NOT_COUNTED):
            return "gate baseline not saved: the work of some cells could not be counted"
        session, cells = self.session, gated_cells(self.session)
        backends = {
            spec.name: BaselineBackend(artifact, tuple(cell.id for cell in cells if cell.backend == spec))
            for spec in dict.fromkeys(cell.backend for cell in cells)
            if (artifact := session.built(spec).artifact) is not None
        }
        if not backends:
            return "gate baseline not saved: no backend of this run has an artifact to keep"
        about = describe_run(session.encoder, session.options.settings)
        write_gate_baseline(self.options.baseline, backends, session.encoder.tokenizer_files, about)
        return f"gate baseline saved: {self.options.baseline} ({', '.join(backends)}); later runs compare with it"


@dataclass(frozen=True, slots=True, eq=False)
class GatedCell:
    """One cell's verdict."""

    verdict: CellVerdict
    gate: SpeedGate

    def require(self) -> None:
        """Fail on a regression and on added work, and on what could not be measured unless that only warns; skip a new cell."""
        __tracebackhide__ = True
        found, options, state, results = self.verdict, self.gate.options, self.gate.state, self.gate.session.results
        said = explain(found)
        broken = [said] if found.verdict is Verdict.REGRESSION else []
        added = state.held_work(WorkVerdict.ADDED).get(found.cell)
        if added and options.work_limit is not None:
            broken.append(explain_added(found.cell, added, options.work_limit))
        # A new cell counts too: `exit_code` has its own rule for a run of nothing else.
        results.of(found.backend).check(passed=not broken)
        if broken:
            results.violations.extend(broken)
            pytest.fail("\n".join(broken), pytrace=False)
        if found.verdict is Verdict.NEW:
            pytest.skip(said)
        open_questions = [said] if found.verdict is Verdict.NOT_MEASURABLE else []
        if uncounted := state.held_work(WorkVerdict.NOT_COUNTED).get(found.cell):
            open_questions.append(f"{found.cell}: work {WorkVerdict.NOT_COUNTED} ({uncounted.reason})")
        if open_questions:
            if not options.not_measurable_fails:
                pytest.skip("; ".join(open_questions))
            state.failed_as_not_measurable += 1
            pytest.fail("\n".join(open_questions), pytrace=False)
