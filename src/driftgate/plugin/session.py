"""State of one run: every encoder, backend and prediction is made once, when it is first asked for."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec
from driftgate.builder.build import Announce
from driftgate.errors import BackendUnavailableError, OptionError
from driftgate.inputs.batches import ArrivalPlan, BatchPlan, BudgetPlan
from driftgate.inputs.corpus import Corpus, load_corpus
from driftgate.inputs.embedded import corpora_folder, throughput_corpus
from driftgate.inputs.encoder import Encoder, ProblemType, load_encoder
from driftgate.inputs.thresholds import limit_tokens, require_labels
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.judge.bounds import Bounds
from driftgate.measure.phases import Phases
from driftgate.pipeline import Built, OpenBackends, known_keys
from driftgate.plugin.keeping import describe_header, describe_run
from driftgate.plugin.lock import HeldLock
from driftgate.plugin.options import Options, find_given
from driftgate.plugin.progress.live_hooks import begin_line, progress
from driftgate.plugin.run_bounds import RunBounds
from driftgate.results.accuracy_baseline import AccuracyBaseline, read_baseline, require_comparable
from driftgate.results.console import Console, plain
from driftgate.results.predictions import require_writable_format
from driftgate.results.record import About, Results
from driftgate.run.backend import Backend

if TYPE_CHECKING:
    from driftgate.assessor import Assessor
    from driftgate.judge.judgement import Judgement


class DriftgateSession:
    """One run's encoder, corpus, backends and results."""

    def __init__(self, config: pytest.Config, options: Options) -> None:
        self.config = config
        self.options = options
        self.results, self.phases = Results(), Phases()
        self.said: list[str] = []
        self._say: Announce = lambda message: None  # noqa: ARG005
        self._tokens: dict[Corpus, TokenizedTexts] = {}  # by identity: two corpora may share a name

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder under judgement."""
        options = self.options
        if not options.encoder:
            raise OptionError("no encoder to judge; give a folder or hub id with --encoder (ini: driftgate_encoder)")
        found = load_encoder(
            self._resolve(options.encoder),
            problem_type=options.problem_type,
            revision=options.revision,
            allow_pickle=options.allow_pickle,
            trust_remote_code=options.trust_remote_code,
        )
        return limit_tokens(replace(found, takes_pairs=bool(options.columns.pair)), options.max_tokens)

    @cached_property
    def corpus(self) -> Corpus:
        """The texts to judge on."""
        if not self.options.corpus:
            raise OptionError("no corpus to judge on; give a file with --corpus (ini: driftgate_corpus)")
        whole, rows = self._load_corpus(self.options.corpus), self.options.corpus_rows
        return whole.sample(rows) if rows else whole

    @cached_property
    def calibration(self) -> Corpus | None:
        """What calibrated build steps watch the graph on; None for the embedded texts."""
        return self._load_corpus(self.options.calibration) if self.options.calibration else None

    def _load_corpus(self, given: str) -> Corpus:
        path = Path(self._resolve(given))
        embedded = path.resolve().parent == corpora_folder().resolve()
        return load_corpus(path, self.encoder, self.options.columns, private=not embedded)

    def _resolve(self, given: str) -> str:
        """The path that is there, see `find_given`; else the text itself."""
        return str(find_given(self.config, given) or given)

    @cached_property
    def past(self) -> AccuracyBaseline | None:
        """The baseline to compare with: None where there is none yet, or this run is to become it."""
        folder = self.options.accuracy_baseline
        return read_baseline(folder) if folder and not self.options.accuracy_baseline_update else None

    @cached_property
    def graph_lock(self) -> HeldLock | None:
        """The lock that graphs are held to: None where there is none to hold them to."""
        if not self.options.graph_lock:
            return None
        path, device = Path(self._resolve(self.options.graph_lock)), self.options.settings.device
        return HeldLock.open(path, self.encoder, device.kind, update=self.options.graph_lock_update)

    @property
    def multi_label(self) -> bool:
        """Whether a text may have several labels."""
        return self.encoder.problem_type is ProblemType.MULTI_LABEL

    @property
    def plan(self) -> BatchPlan:
        """How rows are batched wherever speed is not the question: dynamic INT8 answers depend on it."""
        return BudgetPlan(self.options.token_budget)

    @property
    def benchmark_plans(self) -> tuple[BatchPlan, ...]:
        """The batch plans that are timed."""
        return (*(ArrivalPlan(size) for size in self.options.batch_sizes), self.plan)

    def throughput_corpus(self, name: str) -> Corpus:
        """The corpus that benchmarks take under that name."""
        return self.corpus if name == "corpus" else throughput_corpus(name, pairs=self.encoder.takes_pairs)

    def tokens(self, corpus: Corpus) -> TokenizedTexts:
        """Tokenized once."""
        if self.options.corpus and corpus is self.corpus:
            return self.assessor.tokens
        if corpus not in self._tokens:
            self._tokens[corpus] = tokenize(self.encoder, corpus.texts)
        return self._tokens[corpus]

    @cached_property
    def backends(self) -> OpenBackends:
        """The run's backends, each opened when a test first asks for it."""
        options = self.options
        return OpenBackends(
            self.encoder,
            options.settings,
            calibration=self.calibration,
            rebuild=options.rebuild,
            announce=self._tell,
            phases=self.phases,
        )

    @cached_property
    def assessor(self) -> "Assessor":
        """Judges the run's backends on its corpus."""
        from driftgate.assessor import Assessor  # scikit-learn is slow to import

        past = self.past.logits if self.past else {}
        return Assessor(self.backends, self.corpus, len(self.options.backends), self.plan, past, self._tell)

    @property
    def answered(self) -> Mapping[str, Logits]:
        """Logits of the backends that were asked so far, by name."""
        return self.assessor.answered if self.options.corpus else {}

    def backend(self, spec: BackendSpec) -> Backend:
        """The backend, loaded; what is in force of it is in the results."""
        entry = self.results.of(spec.name)
        try:
            with self.announce():
                backend = self.backends.open(spec)
        except BackendUnavailableError as error:
            entry.skipped = str(error)
            raise
        entry.about = entry.about or self.about(spec)
        return backend

    def built(self, spec: BackendSpec) -> Built:
        """A backend's files, once it has been opened."""
        self.backend(spec)
        return self.backends.built(spec)

    def about(self, spec: BackendSpec) -> About:
        """What is in force of a backend that can be opened."""
        built, backend = self.backends.built(spec), self.backends.open(spec)
        weights = sum(path.stat().st_size for path in built.encoder.weights)
        return About(
            precision=str(built.spec.precision),
            runtime=str(built.spec.runtime),
            **asdict(backend.in_force),
            artifact_sha256=built.artifact.sha256 if built.artifact else None,
            size_bytes=built.artifact.size_bytes if built.artifact else weights,
        )

    def judgement(self, spec: BackendSpec) -> "Judgement":
        """The judgement of a backend; what it measures is in the results at once."""
        self.backend(spec)
        judgement = self.assessor.judgement(spec)
        self.results.of(spec.name).measured = judgement.measured
        return judgement

    @cached_property
    def _bounds(self) -> RunBounds:
        given = self.options.bounds
        return RunBounds(Path(self._resolve(str(given))) if given else None, known_keys(self.options.backends))

    def bounds(self, suite_file: Path) -> Bounds:
        """The suite's bounds with the user's own before them."""
        return self._bounds.of(suite_file)

    def check_inputs(self, suites: Iterable[Path] = ()) -> None:
        """Load what every test needs, so that a mistake in an option ends the run at once.

        Args:
            suites: the bounds of the suites that are run.

        Raises:
            DriftgateError: whatever is wrong with encoder, corpus or bounds.
        """
        from driftgate.run.device import require_device

        require_device(self.options.settings.device)
        require_labels(self.encoder, "accuracy_baseline", self.options.accuracy_baseline)
        if self.options.save_predictions:
            require_writable_format(self.options.save_predictions)
        _ = self.encoder, self.options.corpus and self.corpus
        self.said.extend(self._bounds.read(suites))
        _ = self.graph_lock, self.calibration  # so that a malformed file is refused before anything is built
        self.results.header = describe_header(self)
        if self.past:
            require_comparable(self.past, describe_run(self))

    def _tell(self, message: str) -> None:
        self._say(message)

    @contextmanager
    def announce(self) -> Iterator[Announce]:
        """Say what is being built or loaded, past pytest's capture: a spinner on a terminal, plain lines elsewhere."""
        capture, console = self.config.pluginmanager.getplugin("capturemanager"), Console(stderr=True)

        def say(message: str) -> None:
            with capture.global_and_fixture_disabled():
                if console.is_terminal:
                    status.update(plain(f"driftgate: {message}{progress(self.config)}"))
                    status.start()
                else:
                    begin_line(self.config)
                    console.print(f"driftgate: {message}", soft_wrap=True)

        status = console.status("driftgate")
        before, self._say = self._say, say
        try:
            yield say
        finally:
            self._say = before
            with capture.global_and_fixture_disabled():
                status.stop()
