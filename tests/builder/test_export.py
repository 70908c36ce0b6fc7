"""What the exporter leaves whole, and what later steps make of it: the same answers, in the form each of them needs."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from tiny_encoders import SENTENCES, make_encoder

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.inputs.batches import pad_rows
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.onnx_graph.functions import ATTENTION, DOMAIN, fuse_layers, load_inlined
from driftgate.onnx_graph.graph import MICROSOFT
from driftgate.onnx_graph.node_names import narrow_masks


@pytest.fixture(scope="module", params=["roberta", "albert", "modernbert"])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(make_encoder(tmp_path_factory.mktemp("encoders") / request.param, request.param))


@pytest.fixture
def exported(encoder: Encoder) -> Path:
    return build_artifact(encoder, REGISTRY["onnx-fp32"]).model


def answer(model: Path, encoder: Encoder) -> Any:
    """Logits of a padded batch, float32, (rows, labels)."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    batch = pad_rows(tokenize(encoder, SENTENCES), range(len(SENTENCES)))
    types = np.zeros_like(batch.input_ids)
    feed = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "token_type_ids": types}
    return session.run(None, {value.name: feed[value.name] for value in session.get_inputs()})[0]


def test_without_functions_a_file_answers_with_the_same_bits(exported: Path, encoder: Encoder, tmp_path: Path) -> None:
    model = load_inlined(exported)
    assert not model.functions
    assert not [node for node in model.graph.node if node.domain == DOMAIN]
    onnx.checker.check_model(model)
    onnx.save(model, tmp_path / "plain.onnx")
    assert np.array_equal(answer(tmp_path / "plain.onnx", encoder), answer(exported, encoder))


def test_nodes_that_stand_for_a_call_are_named_after_it(exported: Path) -> None:
    calls = {node.name for node in onnx.load(exported).graph.node if node.domain == DOMAIN}
    nodes = load_inlined(exported).graph.node
    names = [node.name for node in nodes]
    assert len(set(names)) == len(names)
    for operator in ("Softmax", "Erf" if any(node.op_type == "Erf" for node in nodes) else "Tanh"):
        of_calls = [node.name for node in nodes if node.op_type == operator and node.name.rpartition("/")[0] in calls]
        assert len(of_calls) >= 2, operator


def test_fused_for_kernels_a_graph_answers_alike_and_calls_nothing_of_ours(
    exported: Path, encoder: Encoder, tmp_path: Path
) -> None:
    fuse_layers(exported, tmp_path / "fused.onnx")
    fused = onnx.load(tmp_path / "fused.onnx")
    assert [node.op_type for node in fused.graph.node].count("MultiHeadAttention") == 2
    assert not fused.functions
    assert {entry.domain for entry in fused.opset_import} == {"", MICROSOFT}
    expected = answer(exported, encoder)
    assert np.abs(answer(tmp_path / "fused.onnx", encoder) - expected).max() < 1e-4 * expected.std()


def test_a_mask_that_is_the_same_for_every_query_is_not_spread_over_them(exported: Path, encoder: Encoder) -> None:
    model = onnx.load(exported)
    masks = {node.input[3] for node in model.graph.node if node.op_type == ATTENTION}
    for name in masks:
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    batch = pad_rows(tokenize(encoder, SENTENCES), range(len(SENTENCES)))
    rows, length = batch.input_ids.shape
    types = np.zeros_like(batch.input_ids)
    feed = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "token_type_ids": types}
    found = session.run(sorted(masks), {value.name: feed[value.name] for value in session.get_inputs()})
    shapes = {mask.shape for mask in found}
    local = {(rows, 1, length, length)} if encoder.model_type == "modernbert" else set()
    assert shapes == {(rows, 1, 1, length)} | local


def test_a_mask_that_something_else_reads_stays_as_wide_as_it_is(exported: Path) -> None:
    model = onnx.load(exported)
    node = next(node for node in model.graph.node if node.op_type == ATTENTION)
    helper = onnx.helper
    wide = helper.make_node("Expand", [node.input[3], "shape"], ["wide"], name="wide")
    shaped = helper.make_node("Shape", ["wide"], ["sizes"], name="sizes")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(4, np.int64), "shape"))
    model.graph.node.insert(list(model.graph.node).index(node), wide)
    node.input[3] = "wide"
    model.graph.node.append(shaped)
    narrow_masks(model.graph)
    assert [other.name for other in model.graph.node if other.name == "wide"] == ["wide"]
    model.graph.node.remove(shaped)
    narrow_masks(model.graph)
    assert not [other.name for other in model.graph.node if other.name == "wide"]


def test_a_step_leaves_the_file_that_it_reads_alone(exported: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy2(exported, tmp_path / "source.onnx"))
    before = source.read_bytes()
    fuse_layers(source, tmp_path / "fused.onnx")
    assert source.read_bytes() == before
