"""What each stage of a build costs: from torch in float64 to the finished file, every file asked on its own."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import cast

from driftgate.arrays import Decisions, FloatArray, LabelMatrix, Logits
from driftgate.backends import BackendSpec, Runtime
from driftgate.builder.artifact import Artifact
from driftgate.builder.build import build_artifact
from driftgate.errors import OptionError
from driftgate.inputs.batches import BatchPlan, BudgetPlan
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.judge.drift import measure_drift
from driftgate.judge.flips import count_flips
from driftgate.judge.probabilities import decide, to_probabilities
from driftgate.judge.quality import measure_quality
from driftgate.pipeline import answer_exactly, decision_policies
from driftgate.report.ledger import Distance, Stage, render_ledgers
from driftgate.report.record import Results
from driftgate.run.backend import Backend, predict
from driftgate.run.device import RunSettings
from driftgate.run.open import open_backend


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceAnswers:
    """What every build of an encoder is compared with.

    Args:
        logits: the reference's on the corpus, float32, (rows, labels).
        exact_rows: the rows that were answered in float64 too. `exact`: their logits, float64, (exact rows, labels).
    """

    encoder: Encoder
    corpus: Corpus
    tokens: TokenizedTexts
    plan: BatchPlan
    logits: Logits
    exact_rows: list[int]
    exact: FloatArray

    @property
    def multi_label(self) -> bool:
        return self.encoder.problem_type is ProblemType.MULTI_LABEL


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """The stages in the order in which they were made; the last one's logits, float32, (rows, labels)."""

    stages: tuple[Stage, ...]
    logits: Logits


def answer_reference(encoder: Encoder, corpus: Corpus, plan: BatchPlan, settings: RunSettings) -> ReferenceAnswers:
    """Ask torch, in float32 and for a few rows in float64."""
    from driftgate.run.torch_backend import open_reference

    tokens = tokenize(encoder, corpus.texts)
    logits = predict(open_reference(encoder, settings), tokens, plan)
    return ReferenceAnswers(encoder, corpus, tokens, plan, logits, *answer_exactly(encoder, tokens, plan))


def measure_ledger(reference: ReferenceAnswers, spec: BackendSpec, settings: RunSettings) -> Ledger:
    """Ask the file after each build step, and compare it with the reference and with the stage before.

    Raises:
        OptionError: a backend without build steps.
        BuildError, ArtifactError: a step failed, or its file does not load.
        NonFiniteLogitsError: NaN or infinity; the message names the step.
    """
    if not spec.steps:
        raise OptionError(f"{spec.name}: nothing is built, so there is no ledger; choose a backend with build steps")
    stages = list(_torch_stages(reference))
    before = reference.logits
    for step, artifact, backend in _open_steps(reference.encoder, spec, settings):
        logits = predict(backend, reference.tokens, reference.plan)
        added = _distance(reference, before, logits)
        stages.append(_judge(reference, range(len(logits)), logits, step, artifact.size_bytes, added))
        before = logits
    return Ledger(tuple(stages), before)


def tabulate_ledgers(
    encoder: Encoder, specs: Iterable[BackendSpec], corpus: Corpus, settings: RunSettings, width: int
) -> str:
    """The ledger of each backend on the same texts, as text."""
    results = Results()
    reference = answer_reference(encoder, corpus, BudgetPlan(), settings)
    for spec in specs:
        stages = measure_ledger(reference, spec, settings).stages
        results.of(spec.name).ledger = {"stages": [asdict(stage) for stage in stages]}
    return render_ledgers(results, width)


def _torch_stages(reference: ReferenceAnswers) -> Iterator[Stage]:
    rows = reference.exact_rows
    exact = cast("Logits", reference.exact)  # kept in float64: rounding it would cost as much as what is looked for
    yield _judge(reference, rows, exact, "torch float64", None, None)
    rounding = _distance(reference, exact, Logits(reference.logits[rows]))
    weights = sum(path.stat().st_size for path in reference.encoder.weights)
    yield _judge(reference, range(len(reference.logits)), reference.logits, "torch float32", weights, rounding)


def _open_steps(encoder: Encoder, spec: BackendSpec, settings: RunSettings) -> Iterator[tuple[str, Artifact, Backend]]:
    """Each step's name, its file, and a backend that runs it."""
    for count, step in enumerate(spec.steps, 1):
        name = step if isinstance(step, str) else step.name
        artifact = build_artifact(encoder, replace(spec, steps=spec.steps[:count]))
        stage = replace(spec, name=f"{spec.name}-after-{name}")  # what an error says
        if count < len(spec.steps):  # someone else's runtime may know the finished file only
            stage = replace(stage, runtime=Runtime.ONNXRUNTIME, open_with=None)
        yield name, artifact, open_backend(encoder, stage, artifact, settings)


def _judge(
    reference: ReferenceAnswers,
    rows: range | list[int],
    logits: Logits,
    name: str,
    size_bytes: int | None,
    added: Distance | None,
) -> Stage:
    """The stage that answered `rows` with `logits`, (those rows, labels)."""
    encoder, truth, expected = reference.encoder, reference.corpus.labels, Logits(reference.logits[rows])
    multi_label = reference.multi_label
    flips, changes = {}, {}
    for policy, thresholds in decision_policies(encoder).items():
        theirs, own = (
            decide(to_probabilities(side, multi_label=multi_label), thresholds, multi_label=multi_label)
            for side in (expected, logits)
        )
        flips[policy] = count_flips(theirs, own, encoder.labels, multi_label=multi_label)
        if truth is not None:
            known = LabelMatrix(truth[rows])
            changes[policy] = _macro_f1(reference, own, known) - _macro_f1(reference, theirs, known)
    decisions = next(iter(flips.values())).decisions
    totals = {policy: found.total for policy, found in flips.items()}
    return Stage(name, size_bytes, _distance(reference, expected, logits), added, decisions, totals, changes)


def _macro_f1(reference: ReferenceAnswers, decisions: Decisions, truth: LabelMatrix) -> float:
    return measure_quality(decisions, truth, reference.encoder.labels, multi_label=reference.multi_label).macro_f1


def _distance(reference: ReferenceAnswers, before: Logits, after: Logits) -> Distance:
    drift = measure_drift(before, after, reference.encoder.labels, multi_label=reference.multi_label)
    return Distance(drift.rows, drift.largest_per_text.mean, drift.largest_per_text.max, drift.max_abs_logit)
