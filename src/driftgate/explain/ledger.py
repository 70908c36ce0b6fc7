"""What each stage of a build costs: from torch in float64 to the finished file, every file asked on its own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import cast

from driftgate.arrays import LabelMatrix, Logits
from driftgate.assessor import Assessor
from driftgate.backends import BackendSpec, Runtime
from driftgate.builder.artifact import Artifact
from driftgate.builder.build import build_artifact
from driftgate.errors import OptionError
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder
from driftgate.judge.accuracy_verdicts import levels_of_run
from driftgate.judge.evidence import Evidence
from driftgate.judge.judgement import Judgement
from driftgate.judge.parts import DRIFT, FLIPS, QUALITY
from driftgate.pipeline import OpenBackends
from driftgate.results.record import Results
from driftgate.results.stages import Distance, Stage, render_ledgers
from driftgate.run.backend import Backend, predict
from driftgate.run.device import RunSettings
from driftgate.run.open import open_backend


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """The stages in the order in which they were made; the last one's logits, float32, (rows, labels)."""

    stages: tuple[Stage, ...]
    logits: Logits


def measure_ledger(assessor: Assessor, spec: BackendSpec) -> Ledger:
    """Ask the file after each build step, and compare it with the reference and with the stage before.

    Raises:
        OptionError: a backend without build steps.
        BuildError, ArtifactError: a step failed, or its file does not load.
        NonFiniteLogitsError: NaN or infinity; the message names the step.
    """
    if not spec.steps:
        raise OptionError(f"{spec.name}: nothing is built, so there is no ledger; choose a backend with build steps")
    stages = list(_torch_stages(assessor))
    before = assessor.reference
    for step, artifact, backend in _open_steps(assessor.encoder, spec, assessor.backends.settings):
        logits = predict(backend, assessor.tokens, assessor.plan)
        added = _distance(_compare(assessor, before, logits))
        stages.append(_judge(assessor, range(len(logits)), logits, step, artifact.size_bytes, added))
        before = logits
    return Ledger(tuple(stages), before)


def tabulate_ledgers(
    encoder: Encoder, specs: Iterable[BackendSpec], corpus: Corpus, settings: RunSettings, width: int
) -> str:
    """The ledger of each backend on the same texts, as text."""
    results = Results()
    assessor = Assessor(OpenBackends(encoder, settings), corpus)
    for spec in specs:
        results.of(spec.name).stages = measure_ledger(assessor, spec).stages
    return render_ledgers(results, width)


def _torch_stages(assessor: Assessor) -> Iterator[Stage]:
    rows, found = assessor.exact
    exact = cast("Logits", found)  # kept in float64: rounding it would cost as much as what is looked for
    yield _judge(assessor, rows, exact, "torch float64", None, None)
    rounding = _distance(_compare(assessor, exact, Logits(assessor.reference[rows])))
    weights = sum(path.stat().st_size for path in assessor.encoder.weights)
    every_row = range(len(assessor.reference))
    yield _judge(assessor, every_row, assessor.reference, "torch float32", weights, rounding)


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
    assessor: Assessor,
    rows: range | list[int],
    logits: Logits,
    name: str,
    size_bytes: int | None,
    added: Distance | None,
) -> Stage:
    """The stage that answered `rows` with `logits`, (those rows, labels)."""
    truth = assessor.corpus.labels
    known = None if truth is None else LabelMatrix(truth[rows])
    judgement = _compare(assessor, Logits(assessor.reference[rows]), logits, known)
    flips, quality = judgement.measure(FLIPS) or {}, judgement.measure(QUALITY) or {}
    return Stage(
        name,
        size_bytes,
        _distance(judgement),
        added,
        decisions=next(iter(flips.values())).decisions,
        flips={policy: found.total for policy, found in flips.items()},
        macro_f1_change={policy: both.backend.macro_f1 - both.reference.macro_f1 for policy, both in quality.items()},
    )


def _compare(assessor: Assessor, before: Logits, after: Logits, truth: LabelMatrix | None = None) -> Judgement:
    evidence = Evidence(assessor.head, truth, reference=lambda: before, backend=lambda: after)
    return Judgement("", (), evidence, levels_of_run(1))


def _distance(judgement: Judgement) -> Distance:
    judgement.measure(DRIFT)
    drift = judgement.measured.require(DRIFT)
    return Distance(drift.rows, drift.largest_per_text.mean, drift.largest_per_text.max, drift.max_abs_logit)
