"""Is every backend still the same model? Its logits and probabilities against the torch reference's."""

import numpy as np
import onnx
import pytest
import torch

from driftgate.backends import Precision
from driftgate.builder.graph_precision import infer_precision
from driftgate.judge.arbiter import measure_error
from driftgate.judge.drift import measure_drift
from driftgate.judge.slices import MIN_ROWS, measure_slices
from driftgate.report.terminal import render_worst_rows
from driftgate.run.torch_backend import open_reference


def test_backend_is_what_its_name_says(backend, built, driftgate):
    """The variant is in force: provider, threads, and the precision of the graph's own nodes and weights."""
    in_force = backend.in_force
    assert in_force.threads == driftgate.options.settings.threads
    assert driftgate.options.settings.device.kind in in_force.provider.lower().replace("executionprovider", "")
    if built.artifact is not None:
        model = onnx.load(built.artifact.model, load_external_data=False)
        assert infer_precision(model) == built.spec.precision
    if built.spec.precision in (Precision.FP32, Precision.CHECKPOINT):
        assert in_force.arithmetic == "float32"


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


def test_drift_stays_within_bounds(predictions, gate, results, driftgate):
    """No label probability moves further from the reference than the precision class allows."""
    drift = measure_drift(
        predictions.reference, predictions.logits, predictions.encoder.labels, multi_label=predictions.multi_label
    )
    results.add(predictions.backend, "drift", drift)
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


def test_error_stays_within_a_multiple_of_float32_noise(predictions, gate, results, driftgate):
    """Against float64, the backend errs by no more than the class's multiple of what float32 itself errs by."""
    rows, exact = driftgate.exact
    ratio = measure_error(exact, predictions.reference[rows], predictions.logits[rows])
    results.add(predictions.backend, "error_ratio", ratio)
    gate({"error_ratio_to_float32": ratio.ratio})


def test_no_slice_drifts_much_more_than_the_corpus(predictions, gate, results, driftgate):
    """Long, truncated, padded, emoji and non-ASCII rows, and those of each label, drift little more than the rest."""
    slices = measure_slices(
        predictions.reference,
        predictions.logits,
        driftgate.slices | predictions.near_thresholds,
        0.5,
        multi_label=predictions.multi_label,
    )
    results.of(predictions.backend).slices = {}
    for name, found in slices.items():
        results.add(predictions.backend, "slices", found, name)
    large = {name: found for name, found in slices.items() if found.rows >= MIN_ROWS}
    if not large:
        pytest.skip(f"no slice of corpus {predictions.corpus.name} has {MIN_ROWS} rows")
    worst = max(large, key=lambda name: large[name].mean_of_largest)
    gate(
        {"mean_of_largest_probability_drift_in_worst_slice": large[worst].mean_of_largest},
        f"  worst slice: {worst} ({large[worst].rows} rows)",
    )
