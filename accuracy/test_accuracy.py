"""Is every backend still the same model? Drift, flips and quality against the torch reference, held to `bounds.toml`."""

import numpy as np
import onnx
import pytest
import torch

from driftgate.backends import Precision
from driftgate.builder.published import infer_precision
from driftgate.judge.drift import measure_drift
from driftgate.judge.flips import count_flips
from driftgate.judge.quality import measure_quality
from driftgate.report.terminal import render_worst_rows
from driftgate.run.torch_backend import open_reference


def test_backend_is_what_its_name_says(backend, built, driftgate):
    """The variant is in force: provider, threads, and the precision of the graph's own nodes and weights."""
    in_force = backend.in_force
    assert in_force.threads == driftgate.options.settings.threads
    assert driftgate.options.settings.device.kind in in_force.provider.lower().replace("executionprovider", "")
    if built.artifact is not None:
        graph = onnx.load(built.artifact.model, load_external_data=False).graph
        assert infer_precision(graph) == built.spec.precision
    if built.spec.precision is Precision.FP32:
        assert in_force.arithmetic == "float32"


def test_drift_stays_within_bounds(predictions, gate, results, driftgate):
    """No label probability moves further from the reference than the precision class allows."""
    drift = measure_drift(
        predictions.reference, predictions.logits, predictions.encoder.labels, multi_label=predictions.multi_label
    )
    results.add_drift(predictions.backend, drift)
    corpus = predictions.corpus
    may_show = driftgate.options.show_texts or not corpus.private
    worst = render_worst_rows(drift, predictions.encoder.labels, corpus.row_ids, corpus.texts if may_show else None)
    gate(
        {
            "max_abs_logit_drift": drift.max_abs_logit,
            "max_abs_probability_drift": drift.largest_per_text.max,
            "p99_of_largest_probability_drift": drift.largest_per_text.percentiles["p99"],
            "mean_of_largest_probability_drift": drift.largest_per_text.mean,
        },
        worst,
    )


def test_flips_stay_within_bounds(predictions, gate, results):
    """Few label decisions differ from the reference's, at 0.5 and at the encoder's own thresholds."""
    values = {}
    for policy, thresholds in predictions.policies.items():
        flips = count_flips(
            predictions.decisions(predictions.reference, thresholds),
            predictions.decisions(predictions.logits, thresholds),
            predictions.encoder.labels,
        )
        results.add_flips(predictions.backend, policy, flips)
        values[f"flip_rate_{policy.replace(' ', '_').replace('.', '_')}"] = flips.rate
    gate(values)


def test_quality_stays_within_bounds(predictions, gate, results):
    """Precision, recall and F1 against the labels fall by no more than the precision class allows."""
    corpus = predictions.corpus
    if corpus.labels is None:
        pytest.skip(f"corpus {corpus.name} has no labels")
    losses = {}
    for policy, thresholds in predictions.policies.items():
        quality = {}
        for side, logits in (("reference", predictions.reference), (predictions.backend, predictions.logits)):
            quality[side] = measure_quality(
                predictions.decisions(logits, thresholds),
                corpus.labels,
                predictions.encoder.labels,
                multi_label=predictions.multi_label,
            )
            results.add_quality(side, policy, quality[side])
        name = policy.replace(" ", "_").replace(".", "_")
        for metric in ("micro_f1", "macro_f1", "subset_accuracy"):
            loss = getattr(quality["reference"], metric) - getattr(quality[predictions.backend], metric)
            losses[f"{metric}_loss_{name}"] = round(loss, 12)  # one row in a hundred is 0.01, not a rounding error more
    gate(losses)


def test_reference_is_torch_float32_on_the_cpu(reference, driftgate, encoder):
    """The reference is a torch module with eager attention, never an export."""
    module = open_reference(encoder, driftgate.options.settings).module
    assert isinstance(module, torch.nn.Module)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    assert {parameter.device.type for parameter in module.parameters()} == {"cpu"}
    assert module.config._attn_implementation == "eager"
    assert not module.training
    assert reference.dtype == np.float32
    assert reference.shape == (len(driftgate.corpus), len(encoder.labels))
