"""Row-wise INT8: the same bits whatever other texts or padding its batch has, on every family."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_encoders import FAMILIES, SENTENCES, make_encoder

from driftgate.backends import REGISTRY, Precision
from driftgate.builder.build import build_artifact
from driftgate.builder.rowwise.nodes import quantize_rowwise
from driftgate.errors import BuildError
from driftgate.inputs.backend_names import parse_backends
from driftgate.inputs.batches import ArrivalPlan, BudgetPlan, TokenBatch, pad_rows
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.onnx_graph.graph import GraphWriter
from driftgate.onnx_graph.graph_precision import infer_precision
from driftgate.pipeline import open_backend
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings

SPEC = REGISTRY["onnx-int8"]
TEXTS = (*SENTENCES, *(sentence[:length] for length, sentence in enumerate(SENTENCES, 4)))


@pytest.fixture(scope="module", params=FAMILIES)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(make_encoder(tmp_path_factory.mktemp("encoders") / request.param, request.param))


def graph_of(encoder: Encoder, backend: str = "onnx-int8") -> onnx.GraphProto:
    return onnx.load(build_artifact(encoder, REGISTRY[backend]).model).graph


def test_a_text_answers_with_the_same_bits_in_any_company_and_on_any_number_of_threads(encoder: Encoder) -> None:
    tokens = tokenize(encoder, TEXTS)
    alone = predict(open_backend(encoder, "onnx-int8", RunSettings(1)), tokens, ArrivalPlan(1))
    for threads in (1, 2):
        backend = open_backend(encoder, "onnx-int8", RunSettings(threads))
        for plan in (ArrivalPlan(1), ArrivalPlan(3), ArrivalPlan(len(TEXTS)), BudgetPlan(64)):
            assert np.array_equal(predict(backend, tokens, plan), alone), (threads, plan)
        wide = pad_rows(tokens, range(len(TEXTS)), width=encoder.max_tokens)
        assert np.array_equal(backend.prepare(wide)(), alone)


def test_ids_behind_the_mask_change_no_bit(encoder: Encoder) -> None:
    tokens = tokenize(encoder, TEXTS)
    backend = open_backend(encoder, "onnx-int8", RunSettings(1))
    batch = pad_rows(tokens, range(len(TEXTS)))
    other = np.where(batch.attention_mask == 1, batch.input_ids, encoder.vocab_size - 1)
    changed = TokenBatch(batch.rows, other, batch.attention_mask, batch.token_type_ids)
    assert np.array_equal(backend.prepare(batch)(), backend.prepare(changed)())


def test_every_product_with_a_constant_matrix_is_an_integer_one(encoder: Encoder) -> None:
    graph = graph_of(encoder)
    constants = {tensor.name for tensor in graph.initializer}
    left = [node.name for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]
    integer = [node for node in graph.node if node.op_type == "MatMulIntegerToFloat"]
    assert not left
    dynamic = [node for node in graph_of(encoder, "onnx-int8-dynamic").node if node.op_type == "MatMulInteger"]
    in_head = [node for node in graph.node if node.op_type == "Gemm"]  # of one row a text
    assert len(integer) == len(dynamic) - len(in_head)
    assert infer_precision(onnx.helper.make_model(graph)) is Precision.INT8_ROWWISE


def test_the_source_is_left_alone(encoder: Encoder, tmp_path: Path) -> None:
    source = Path(shutil.copy2(build_artifact(encoder, REGISTRY["onnx-fp32"]).model, tmp_path / "source.onnx"))
    before = source.read_bytes()
    quantize_rowwise(source, tmp_path / "target.onnx")
    assert source.read_bytes() == before
    assert (tmp_path / "target.onnx").stat().st_size < len(before)


@pytest.mark.parametrize("backend", ["onnx-int8", "onnx-int8-dynamic"])
def test_a_graph_that_is_quantized_already_is_refused(tiny_encoder: Path, tmp_path: Path, backend: str) -> None:
    source = build_artifact(load_encoder(tiny_encoder), REGISTRY[backend]).model
    with pytest.raises(BuildError, match="expected a float32 graph, found one that is quantized already"):
        quantize_rowwise(source, tmp_path / "target.onnx")
    assert not (tmp_path / "target.onnx").exists()


def test_a_graph_without_matrices_is_refused(tmp_path: Path) -> None:
    inputs = [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "sequence"])]
    nodes = [helper.make_node("Cast", ["input_ids"], ["logits"], to=TensorProto.FLOAT)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs), opset_imports=[helper.make_opsetid("", 18)], ir_version=9
    )
    onnx.save(model, tmp_path / "source.onnx")
    with pytest.raises(BuildError, match="found no product with a constant matrix"):
        quantize_rowwise(tmp_path / "source.onnx", tmp_path / "target.onnx")


def test_a_published_row_wise_file_is_recognized(tiny_encoder: Path, tmp_path: Path) -> None:
    encoder = load_encoder(tiny_encoder)
    path = shutil.copy2(build_artifact(encoder, SPEC).model, tmp_path / "theirs.onnx")
    backend = open_backend(encoder, f"theirs={path}", RunSettings(1))
    assert backend.spec.precision is Precision.INT8_ROWWISE
    assert parse_backends("theirs:int8-rowwise=x.onnx")[0].precision is Precision.INT8_ROWWISE


def test_equal_constants_are_stored_once_and_unequal_ones_apart() -> None:
    model = helper.make_model(helper.make_graph([], "g", [], []))
    writer = GraphWriter(model)
    one = writer.constant(np.array([1, 0], np.int64))
    assert writer.constant(np.array([1, 0], np.int64), "another name") == one
    assert writer.constant(np.array([1], np.int64)) != one
    assert writer.constant(np.array([1, 0, 0, 0], np.int32)) != one  # the same bytes
    assert numpy_helper.to_array(model.graph.initializer[0]).tolist() == [1, 0]
