"""Benchmark cells: one backend, one batch plan, one corpus, timed by pytest-benchmark."""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec
from driftgate.errors import BackendUnavailableError
from driftgate.inputs.batches import BatchPlan, spread_sample
from driftgate.inputs.texts import Text
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.measure.leak import Growth, measure_memory_over_shapes, memory_growth
from driftgate.measure.phases import RATIOS
from driftgate.measure.process import FreshProcess, measure_in_fresh_process
from driftgate.measure.timings import Ratio, relative_margin, speed_ratio
from driftgate.measure.workload import Answers, CellSpec, Workload, prepare_workload, time_blocks
from driftgate.pipeline import Built
from driftgate.plugin.options import reported
from driftgate.plugin.session import DriftgateSession
from driftgate.results.record import CellThroughput

CELL_SECONDS = 2.0
"""Once the passes of a cell took so long, it is timed no more, however far apart they are."""
MIN_ROUNDS, MAX_ROUNDS = 2, 20
# One session, one batch, the same threads: answers repeat. Room is left for a math library that picks its kernel by
# memory alignment, far under any drift that matters.
REPEAT_TOLERANCE_LOGITS = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A cell ready to be timed."""

    spec: CellSpec
    corpus_name: str
    workload: Workload
    session: DriftgateSession

    def time(self, benchmark: Any) -> None:
        """Time the run alone until its interval is narrow, and require that every run of it gives the same answers.

        Fails, and keeps the measurement out of every saved file, where they differ.
        """
        benchmark.group = self.corpus_name
        with self.session.phases.during(f"cells {self.spec.plan.name}", needed=True):
            expected, first = self._run()
            answers = benchmark.pedantic(self.workload.run, rounds=1)
            if benchmark.stats is not None:  # --benchmark-disable runs it once
                answers = self._time_more(benchmark.stats, first) or answers
        self._require_same(self.workload.logits(expected), self.workload.logits(answers))
        self._record(benchmark)

    def _run(self) -> tuple[Answers, float]:
        """Answers, and the seconds that they took."""
        started = time.perf_counter()
        return self.workload.run(), time.perf_counter() - started

    def _time_more(self, stats: Any, first: float) -> Answers | None:
        """Add rounds to pytest-benchmark's one until they are enough.

        Args:
            first: seconds of the pass before it, which counts unless it was slower, as passes are that make a runtime allocate.

        Returns:
            the answers of the last one, if any was added.
        """
        timed, precision, answers = stats.stats.data, self.session.options.precision, None
        if first <= (1 + precision) * timed[0]:
            stats.update(first)
        while wants_another_round(timed, precision):
            answers, seconds = self._run()
            stats.update(seconds)
        return answers

    def _require_same(self, expected: Logits, found: Logits) -> None:
        difference = float(np.abs(expected - found).max())
        same = difference <= REPEAT_TOLERANCE_LOGITS
        self.session.results.of(self.spec.backend.name).check(passed=same)
        if not same:
            pytest.fail(
                f"{self.spec.id}: the last run answered differently from the first one of the same rows: largest logit "
                f"difference {difference:.3g}, expected at most {REPEAT_TOLERANCE_LOGITS}; the time is not saved",
                pytrace=False,
            )

    def _record(self, benchmark: Any) -> None:
        workload = self.workload
        about = self.session.about(self.spec.backend)
        facts: dict[str, Any] = {
            "cell": self.spec.id,
            "backend": self.spec.backend.name,
            "plan": self.spec.plan.name,
            "corpus": self.corpus_name,
            "rows": workload.rows,
            "real_tokens": workload.real_tokens,
            "padded_tokens": workload.padded_tokens,
            "padding_share": 1 - workload.real_tokens / workload.padded_tokens,
            "threads": about.threads,
            "provider": about.provider,
            "artifact_sha256": about.artifact_sha256,
        }
        benchmark.extra_info.update(facts)
        if benchmark.stats is None:  # --benchmark-disable
            return
        seconds = benchmark.stats.stats.median
        speed = {
            "texts_per_second": workload.rows / seconds,
            "real_tokens_per_second": workload.real_tokens / seconds,
            "padded_tokens_per_second": workload.padded_tokens / seconds,
        }
        benchmark.extra_info.update(speed)
        timed = benchmark.stats.stats
        measured = CellThroughput(
            **facts,
            **speed,
            seconds_median=seconds,
            seconds_min=timed.min,
            seconds_max=timed.max,
            rounds=timed.rounds,
            relative_margin=relative_margin(timed.data),
        )
        entry = self.session.results.of(self.spec.backend.name)
        entry.throughput.setdefault(self.corpus_name, {})[self.spec.plan.name] = measured


def wants_another_round(seconds: Sequence[float], precision: float) -> bool:
    """Whether a cell is timed once more: its interval is too wide, and neither its time nor its rounds are used up.

    Args:
        seconds: of its rounds so far, at least one.
        precision: largest relative margin with which nobody has to look closer.
    """
    if len(seconds) < MIN_ROUNDS:
        return True
    if len(seconds) >= MAX_ROUNDS or sum(seconds) >= CELL_SECONDS:
        return False
    return relative_margin(seconds) > precision


def sample_tokens(session: DriftgateSession, corpus_name: str) -> TokenizedTexts:
    """The rows that every cell of a corpus is timed on."""
    tokens = session.tokens(session.throughput_corpus(corpus_name))
    return tokens.take(spread_sample(tokens, session.options.sample_rows))


def sample_texts(session: DriftgateSession, corpus_name: str) -> list[Text]:
    """The same rows as texts, for a process that has no tokens yet."""
    corpus = session.throughput_corpus(corpus_name)
    return [corpus.texts[row] for row in spread_sample(session.tokens(corpus), session.options.sample_rows)]


def prepare_cell(session: DriftgateSession, spec: CellSpec) -> Cell:
    """Load the backend and prepare the batches that are timed."""
    sample = sample_tokens(session, spec.corpus)
    workload = prepare_workload(session.backend(spec.backend), sample, spec.plan)
    return Cell(spec, session.throughput_corpus(spec.corpus).name, workload, session)


@pytest.fixture
def cell(driftgate: DriftgateSession, request: pytest.FixtureRequest) -> Cell:
    """One cell of backend x plan x corpus."""
    with reported():
        return prepare_cell(driftgate, request.param)


@dataclass(frozen=True, slots=True)
class SideBySide:
    """Ratios to torch of every backend under one plan, by backend name, measured in alternating blocks."""

    plan: str
    corpus: str
    ratios: dict[str, Ratio]


@pytest.fixture
def side_by_side(driftgate: DriftgateSession, request: pytest.FixtureRequest) -> SideBySide:
    """All backends of the run under one plan, timed in alternating blocks."""
    plan: BatchPlan = request.param
    specs = {spec.name: spec for spec in driftgate.options.backends}
    if "torch" not in specs or len(specs) < 2:  # noqa: PLR2004 - one beside torch
        pytest.skip("ratios to torch need torch and another backend in --backends")
    if request.config.getoption("benchmark_disable") or hasattr(request.config, "workerinput"):
        pytest.skip("nothing is timed under --benchmark-disable or pytest-xdist")
    cells = {}
    with reported():
        for name, spec in specs.items():
            # A backend that this machine cannot run is shown as skipped by tests of its own.
            with suppress(BackendUnavailableError):
                cells[name] = prepare_cell(driftgate, CellSpec(spec, plan, driftgate.options.throughput_corpus))
        if len(cells) < 2:  # noqa: PLR2004 - one beside torch
            pytest.skip("this machine can run no backend but torch: nothing to relate to it")
        with driftgate.phases.during(RATIOS):
            seconds = time_blocks({name: cell.workload for name, cell in cells.items()})
        driftgate.phases.count_inference(sum(map(sum, seconds.values())))
    ratios = {name: speed_ratio(seconds["torch"], own) for name, own in seconds.items()}
    corpus = cells["torch"].corpus_name
    for name, ratio in ratios.items():
        driftgate.results.of(name).ratios.setdefault(corpus, {})[plan.name] = ratio
    return SideBySide(plan.name, corpus, ratios)


@pytest.fixture(scope="session")
def fresh_process(driftgate: DriftgateSession, backend_spec: BackendSpec, built: Built) -> FreshProcess:
    """Cold start and memory of the backend on the benchmark's sample, in a process of its own."""
    if backend_spec.open_with is not None:
        pytest.skip(f"{backend_spec.name} is opened by a function of this run; a fresh process does not have it")
    texts = sample_texts(driftgate, driftgate.options.throughput_corpus)
    with reported(), driftgate.phases.during("fresh processes"):
        measured = measure_in_fresh_process(
            built.encoder, built.spec, built.artifact, texts, driftgate.options.settings
        )
    driftgate.results.of(built.spec.name).fresh_process = measured
    return measured


@pytest.fixture(scope="session")
def growth(driftgate: DriftgateSession, built: Built) -> Growth:
    """Memory growth of the backend over many shapes, in a process of its own."""
    if not Path("/proc/self/statm").is_file():
        pytest.skip("this system does not tell the resident memory of a process; Linux does")
    opener = built.spec.open_with
    if opener is not None and not opener.__qualname__.isidentifier():
        pytest.skip(
            f"{built.spec.name} is opened by {opener.__qualname__}; a fresh process finds only functions at a file's top"
        )
    texts, options = sample_texts(driftgate, "normal"), driftgate.options
    with reported(), driftgate.phases.during("fresh processes"):
        seen = measure_memory_over_shapes(
            built.encoder, built.spec, built.artifact, texts, options.settings, options.token_budget
        )
    measured = memory_growth(seen.resident_bytes, seen.runs_per_cycle)
    driftgate.results.of(built.spec.name).leak = (measured, seen)
    return measured
