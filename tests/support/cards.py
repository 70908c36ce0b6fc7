"""Model cards of measurements that are made up."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np

from driftgate.arrays import LabelMatrix, Logits
from driftgate.backends import Precision
from driftgate.builder.artifact import Artifact, Manifest
from driftgate.builder.model_file import ModelFile, Port
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.judge.accuracy_verdicts import levels_of_run
from driftgate.judge.assessment import BackendAssessment
from driftgate.judge.bounds import Bound, MetricVerdict, Outcome
from driftgate.judge.confidence.levels import exact_limits
from driftgate.judge.evidence import Evidence, Head
from driftgate.judge.judgement import Judgement
from driftgate.judge.parts import DRIFT, FLIPS, OF_A_CORPUS, QUALITY, Measured
from driftgate.measure.timings import Ratio
from driftgate.publish.card_facts import Card, Source, Speed, Variant
from driftgate.results.environment import Environment

ROWS = 40


LABELS = ("joy", "anger", "fear|dread")


REVISION = "0123456789abcdef0123456789abcdef01234567"


PLANS = ("b1", "b8", "b32", "budget")


@cache
def measure(*, labelled: bool = True, multi_label: bool = True, noise: float = 0.05) -> Measured:
    generator = np.random.default_rng(0)
    reference = generator.normal(size=(ROWS, len(LABELS))).astype(np.float32)
    other = (reference + generator.normal(scale=noise, size=reference.shape)).astype(np.float32)
    truth = LabelMatrix(np.eye(len(LABELS), dtype=np.bool_)[np.arange(ROWS) % len(LABELS)]) if labelled else None
    policies = {"at 0.5": 0.5, "at thresholds": np.array([0.3, 0.4, 0.5])} if multi_label else {"at 0.5": 0.5}
    head = Head(LABELS, multi_label=multi_label, policies=policies)
    evidence = Evidence(head, truth, reference=lambda: Logits(reference), backend=lambda: Logits(other))
    judgement = Judgement("onnx-int8", (), evidence, levels_of_run(1))
    for part in OF_A_CORPUS:
        judgement.measure(part)
    return judgement.measured


def make_variant(
    measured: Measured, model: str = "model.onnx", backend: str = "onnx-int8", size: int = 1000
) -> Variant:
    bound = Bound(
        "int8-rowwise", "max_abs_logit_drift", 1.5, at_most=True, reason="seen 0.3", set_on=date(2026, 11, 21)
    )
    value = measured.require(DRIFT).max_abs_logit
    verdict = MetricVerdict(backend, "max_abs_logit_drift", "", exact_limits(value), bound, Outcome.PASS)
    inputs = dict.fromkeys(("input_ids", "attention_mask"), Port("int64", ("batch", "sequence")))
    steps, versions = ("export@1", "optimize-basic@3", "int8-rowwise@3"), {"torch": "2.13.0", "onnxruntime": "1.31.0"}
    return Variant(
        model=model,
        arithmetic="int8",
        artifact=Artifact(Path(model), Precision.INT8_ROWWISE, "ef" * 32, size),
        file=ModelFile(Path(model), "ef" * 32, size, (), 10, {"ai.onnx": 18}, inputs, {}, Precision.INT8_ROWWISE),
        made=Manifest(backend, "int8-rowwise", steps, "mini", "ab" * 32, versions, {}),
        assessment=BackendAssessment(backend, measured, (verdict,)),
    )


def make_card(
    *variants: Variant,
    encoder: Mapping[str, object] | None = None,
    carried: Mapping[str, object] | None = None,
    **changes: object,
) -> Card:
    variants = variants or (make_variant(measure()),)
    labelled = variants[0].measured.get(QUALITY) is not None
    truth = LabelMatrix(np.zeros((ROWS, len(LABELS)), dtype=np.bool_)) if labelled else None
    source = Encoder(
        path=Path("mini"),
        name="mini",
        model_type="roberta",
        labels=LABELS,
        problem_type=ProblemType.MULTI_LABEL,
        problem_type_inferred=False,
        max_tokens=512,
        vocab_size=100,
        thresholds=(0.3, 0.4, 0.5) if len(variants[0].measured.require(FLIPS)) > 1 else None,
        sha256="ab" * 32,
    )
    ratios = {one.assessment.backend: {plan: Ratio(3.14, 2.5, 4.0, 3) for plan in PLANS} for one in variants}
    card = Card(
        model_id=".",
        source=Source(replace(source, **(encoder or {})), 4000, carried or {}),
        corpus=Corpus("reviews", ("text",) * ROWS, ("line",) * ROWS, truth, drawn_from=500),
        variants=tuple(variants),
        speed=Speed("normal", 32, 2, "cpu", dict.fromkeys(PLANS, 40.0), ratios),
        environment=Environment("3.11.9", "Linux", {"torch": "2.13.0"}, "A processor", ("avx2",), 8, 2, ()),
    )
    return replace(card, **changes)
