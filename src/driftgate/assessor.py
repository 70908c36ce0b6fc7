"""From an encoder, a corpus and backends to an assessment: the same for `driftgate publish`, the accuracy suite and Python code.

assessment = driftgate.assess(load_encoder("DIR"), load_corpus("texts.jsonl", encoder), backends="onnx-int8")
assert assessment.passed, assessment.verdicts
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.arrays import BoolArray, FloatArray, Logits
from driftgate.backends import BackendSpec
from driftgate.builder.build import Announce
from driftgate.errors import NonFiniteLogitsError
from driftgate.inputs.batches import BatchPlan, BudgetPlan, make_batches, spread_sample
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.long_texts import make_lengths
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.judge.accuracy_verdicts import levels_of_run
from driftgate.judge.assessment import Assessment, BackendAssessment
from driftgate.judge.bounds import Bounds
from driftgate.judge.bounds_file import load_bounds
from driftgate.judge.diagnosis.diagnose import diagnose_non_finite
from driftgate.judge.diagnosis.suspects import Diagnosis
from driftgate.judge.drift import LengthAnswers
from driftgate.judge.evidence import Evidence
from driftgate.judge.judgement import Judgement
from driftgate.measure.kept_answers import Answers, keep_answers
from driftgate.measure.phases import CAUSES, REFERENCE
from driftgate.pipeline import OpenBackends, bounds_keys, choose_backends, describe_head, known_keys
from driftgate.run.backend import Backend, answer_in_random_batches, answer_with_padding, predict
from driftgate.run.device import RunSettings, available_threads
from driftgate.suites import FOLDER

ASKED_ROWS, MOVED_ROWS, EXACT_ROWS, NOISE_ROWS, PADDED_ROWS = 12, 4, 64, 32, 4


class Assessor:
    """Judges backends of one encoder on one corpus. Whatever costs time is found when it is first asked for, and once.

    Args:
        backends: opened when they are first judged.
        judged: how many backends the run judges: together, they fail without cause in at most 1% of runs.
        plan: how rows are batched: the answers of dynamic INT8 depend on it.
        past: logits of backends at an earlier time, float32, (rows, labels), by name.
        announce: told what is about to take long.
    """

    def __init__(
        self,
        backends: OpenBackends,
        corpus: Corpus,
        judged: int = 1,
        plan: BatchPlan | None = None,
        past: Mapping[str, Logits] | None = None,
        announce: Announce = lambda _: None,
    ) -> None:
        self.backends = backends
        self.encoder: Encoder = backends.encoder
        self.corpus = corpus
        self.plan: BatchPlan = plan or BudgetPlan()
        self.head = describe_head(self.encoder)
        self._levels, self._past = levels_of_run(judged), past or {}
        self._announce = announce
        self._phases = backends.phases
        self._logits: dict[str, Logits] = {}
        self._judgements: dict[str, Judgement] = {}

    @cached_property
    def tokens(self) -> TokenizedTexts:
        """Of the corpus."""
        return tokenize(self.encoder, self.corpus.texts)

    @cached_property
    def reference(self) -> Logits:
        """The reference's logits on the corpus, float32, (rows, labels)."""
        self._announce(f"reference: torch on {len(self.corpus)} rows")
        return self._ask_reference(self.tokens)

    @cached_property
    def exact(self) -> tuple[list[int], FloatArray]:
        """A few rows of every length, and the reference's logits for them in float64, (those rows, labels)."""
        from driftgate.run.torch_backend import predict_exact

        rows = spread_sample(self.tokens, EXACT_ROWS)
        tokens = self.tokens.take(rows)
        return rows, self._keep(tokens, lambda: predict_exact(self.encoder, tokens, self.plan), exact=True)

    @cached_property
    def slices(self) -> dict[str, BoolArray]:
        """Rows of the corpus by length, padding, script and label."""
        from driftgate.inputs.slices import slice_rows

        return slice_rows(self.encoder, self.corpus, self.tokens, make_batches(self.tokens, self.plan))

    @cached_property
    def long_texts(self) -> tuple[dict[str, tuple[TokenizedTexts, Logits]], list[str]]:
        """Texts joined to lengths up to the encoder's limit, with the reference's logits, and why other lengths are left out."""
        made, left_out = make_lengths(self.encoder, self.corpus, int(self.tokens.lengths.sum()))
        for reason in left_out:
            self._announce(reason)
        if not made:
            return {}, left_out
        longest = max(int(rows.lengths.max()) for rows in made.values())
        self._announce(f"reference: torch on texts of up to {longest:,} tokens")
        return {name: (rows, self._ask_reference(rows)) for name, rows in made.items()}, left_out

    @property
    def answered(self) -> dict[str, Logits]:
        """Logits of the backends that were asked so far, by name."""
        return dict(self._logits)

    def logits(self, spec: BackendSpec) -> Logits:
        """A backend's logits on the corpus, float32, (rows, labels)."""
        if spec.name not in self._logits:
            backend = self.backends.open(spec)
            self._announce(f"{spec.name}: judged on {len(self.corpus)} rows")
            self._logits[spec.name] = self._pass(spec.name, backend, self.tokens)
        return self._logits[spec.name]

    def diagnose(self, spec: BackendSpec) -> Diagnosis:
        """The likely cause of a failure: both sides are asked again, about the rows with the largest drift and others."""
        from driftgate.probing.ask import find_cause

        self._announce(f"{spec.name}: looking for the cause")
        backend, multi_label = self.backends.open(spec), self.head.multi_label
        try:
            moved = np.abs(self.logits(spec).astype(np.float64) - self.reference).max(axis=1)
            worst = np.argsort(-moved, kind="stable")[:MOVED_ROWS].tolist()
            rows = list(dict.fromkeys([*worst, *spread_sample(self.tokens, ASKED_ROWS)]))
            with self._phases.during(CAUSES):
                return find_cause(self.encoder, self._opened, backend, self.tokens, rows, multi_label=multi_label)
        except NonFiniteLogitsError as error:
            return diagnose_non_finite(str(spec.precision), str(error))

    def judgement(self, spec: BackendSpec) -> Judgement:
        """The judgement of a backend; nothing is measured before it is asked for."""
        if spec.name not in self._judgements:
            built = self.backends.built(spec).spec
            keys = bounds_keys(built, self.backends.settings, multi_label=self.head.multi_label)
            evidence = Evidence(
                head=self.head,
                truth=self.corpus.labels,
                reference=lambda: self.reference,
                backend=lambda: self.logits(spec),
                slices=lambda: self.slices,
                exact=lambda: self.exact,
                variations=lambda: self._vary(spec),
                long_texts=lambda: self._answer_long_texts(self.backends.open(spec)),
                targets=self.corpus.targets,
                groups=self.corpus.groups,
                past=self._past.get(spec.name),
                different=len(set(self.corpus.texts)),
            )
            self._judgements[spec.name] = Judgement(spec.name, keys, evidence, self._levels)
        return self._judgements[spec.name]

    def _answer_long_texts(self, backend: Backend) -> tuple[list[LengthAnswers], list[str]]:
        found, left_out = self.long_texts
        answers = [
            LengthAnswers(name, int(rows.lengths[0]), reference, self._pass(backend.spec.name, backend, rows))
            for name, (rows, reference) in found.items()
        ]
        return answers, left_out

    def _vary(self, spec: BackendSpec) -> dict[str, list[Logits]]:
        """Answers to the same rows in batches with other rows, those of the corpus among them, and with other padding."""
        backend, mates = self.backends.open(spec), spread_sample(self.tokens, NOISE_ROWS)
        alone = self.tokens.take(spread_sample(self.tokens, PADDED_ROWS))
        together = Logits(self.logits(spec)[mates])
        with self._phases.during(spec.name):
            return {
                "batch": [together, *answer_in_random_batches(backend, self.tokens.take(mates))],
                "padding": answer_with_padding(backend, alone, self.encoder.max_tokens),
            }

    @cached_property
    def _opened(self) -> Any:
        from driftgate.run.torch_backend import open_reference

        return open_reference(self.encoder, self.backends.settings)

    def _ask_reference(self, tokens: TokenizedTexts) -> Logits:
        """All rows once."""
        return self._keep(tokens, lambda: self._pass(REFERENCE, self._opened, tokens))

    def _keep(self, tokens: TokenizedTexts, ask: Callable[[], Answers], *, exact: bool = False) -> Answers:
        """What the reference answers, or answered in an earlier run, where that was kept."""
        settings, anew = self.backends.settings, self.backends.rebuild
        with self._phases.during(REFERENCE):
            return keep_answers(self.encoder, tokens, self.plan, settings, ask, exact=exact, anew=anew)

    def _pass(self, phase: str, backend: Backend, tokens: TokenizedTexts) -> Logits:
        """All rows once: what no judgement can do without."""
        with self._phases.during(phase, needed=True):
            return predict(backend, tokens, self.plan)


def assess(
    encoder: Encoder,
    corpus: Corpus,
    backends: str | Sequence[BackendSpec] = "onnx-fp32,onnx-fp16,onnx-int8",
    bounds: Path | Bounds | None = None,
    settings: RunSettings | None = None,
    announce: Announce = lambda _: None,
) -> Assessment:
    """Build, load and judge backends, with everything that the accuracy suite gates on a corpus.

    Args:
        backends: names, comma-separated, or published artifacts as `name[:class]=PATH`; or specifications.
        bounds: a file that goes before the accuracy suite's own, or bounds in place of both; None for the suite's.
        settings: threads and device; by default every core this process may use, on the CPU.

    Raises:
        BoundsError: bounds that cannot be read, or something that is measured has none.
        BuildError, BackendUnavailableError: a backend cannot be built, or not run on this machine.
        NonFiniteLogitsError: a backend answers NaN or infinity.
    """
    settings = settings or RunSettings(available_threads())
    specs = choose_backends(backends, device=settings.device.kind) if isinstance(backends, str) else backends
    limits = find_bounds(bounds, specs) if bounds is None or isinstance(bounds, Path) else bounds
    encoder = replace(encoder, takes_pairs=corpus.has_pairs)
    assessor = Assessor(OpenBackends(encoder, settings, announce=announce), corpus, len(specs), announce=announce)
    found: dict[str, BackendAssessment] = {spec.name: assessor.judgement(spec).assess(limits) for spec in specs}
    return Assessment(encoder.name, corpus.name, len(corpus), found)


def suite_bounds() -> Path:
    """The accuracy suite's bounds."""
    return FOLDER / "accuracy/bounds.toml"


def find_bounds(own: Path | None, specs: Sequence[BackendSpec] = ()) -> Bounds:
    """The accuracy suite's bounds, with a user's own before them.

    Args:
        specs: backends of the run, whose names bounds may be for besides the registered ones.

    Raises:
        BoundsError: a file that cannot be read.
    """
    keys = known_keys(specs)
    suites = load_bounds(suite_bounds(), keys=keys)
    return (load_bounds(own, keys=keys, metrics=()), suites) if own else (suites,)
