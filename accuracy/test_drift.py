"""Is every backend still the same model? Its logits and probabilities against the torch reference's."""

import numpy as np
import onnx
import torch

from driftgate.backends import Precision
from driftgate.judge.metric_sources import worst_slice
from driftgate.judge.parts import DRIFT, ERROR_RATIO, RANKS, SCORES, SLICES
from driftgate.onnx_graph.graph_precision import infer_precision
from driftgate.report.terminal import render_worst_rows, render_worst_scores
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


def test_drift_stays_within_bounds(judgement, gate_part, driftgate):
    """No label probability, and no score, moves further from the reference than the class allows; candidates keep their order."""
    corpus = driftgate.corpus
    texts = corpus.shown_texts if driftgate.options.show_texts or not corpus.private else None
    labels = driftgate.encoder.labels

    def list_worst():
        if driftgate.encoder.gives_score:
            return render_worst_scores(judgement.measure(SCORES), corpus.row_ids, texts)
        return render_worst_rows(judgement.measure(DRIFT), labels, corpus.row_ids, texts)

    gate_part(DRIFT, SCORES, RANKS, detail=list_worst)


def test_error_stays_within_a_multiple_of_float32_noise(gate_part):
    """Against float64, the backend errs by no more than the class's multiple of what float32 itself errs by."""
    gate_part(ERROR_RATIO)


def test_no_slice_drifts_much_more_than_the_corpus(judgement, gate_part):
    """Long, truncated, padded, emoji and non-ASCII rows, and those of each label, drift little more than the rest."""
    gate_part(SLICES, detail=lambda: f"  worst slice: {worst_slice(judgement.measure(SLICES))[0]}")
