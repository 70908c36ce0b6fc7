"""Equal weights are stored once: by element type, shape and bytes, and never because they are close."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_encoders import SENTENCES, make_encoder

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.builder.optimize import merge_duplicates, optimize_basic
from driftgate.inputs.batches import ArrivalPlan
from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.pipeline import open_backend
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings

MATRIX = np.arange(6, dtype=np.float32).reshape(2, 3)


def make_model(constants: dict[str, Any], nodes: Sequence[Any], outputs: Sequence[str] = ("y",)) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 2])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 3]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def names(model: onnx.ModelProto) -> set[str]:
    return {tensor.name for tensor in model.graph.initializer}


def run(model: onnx.ModelProto) -> Any:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.ones((4, 2), np.float32)})


def products(*weights: str) -> list[Any]:
    first, *rest = weights
    nodes = [helper.make_node("MatMul", ["x", first], ["p0"])]
    for index, weight in enumerate(rest, 1):
        nodes.append(helper.make_node("MatMul", ["x", weight], [f"m{index}"]))
        nodes.append(helper.make_node("Add", [f"p{index - 1}", f"m{index}"], [f"p{index}"]))
    return [*nodes, helper.make_node("Identity", [f"p{len(rest)}"], ["y"])]


def test_equal_weights_are_stored_once_and_answers_keep_their_bits() -> None:
    model = make_model({"a": MATRIX, "b": MATRIX.copy(), "c": MATRIX + 1}, products("a", "b", "c"))
    before = run(model)
    assert merge_duplicates(model) == 1
    assert names(model) == {"a", "c"}
    onnx.checker.check_model(model)
    assert np.array_equal(run(model)[0], before[0])


@pytest.mark.parametrize(
    "other",
    [
        MATRIX + np.float32(1e-7),
        MATRIX.T.copy().reshape(3, 2),
        MATRIX.reshape(1, 2, 3),
        MATRIX.view(np.int32),
        np.where(MATRIX == 0, np.float32(-0.0), MATRIX),
    ],
    ids=["close", "transposed", "another-shape", "another-type", "minus-zero"],
)
def test_what_is_not_the_same_tensor_stays_apart(other: Any) -> None:
    model = make_model({"a": MATRIX, "b": other}, products("a"))
    assert merge_duplicates(model) == 0
    assert names(model) == {"a", "b"}


def test_outputs_and_inputs_with_a_default_keep_their_names() -> None:
    model = make_model({"a": MATRIX, "b": MATRIX.copy(), "c": MATRIX.copy()}, products("a", "b", "c"), ["y", "b"])
    model.graph.input.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, [2, 3]))
    assert merge_duplicates(model) == 0
    assert names(model) == {"a", "b", "c"}


def test_bodies_of_if_read_what_was_kept_unless_the_name_is_their_own() -> None:
    def body(name: str, **own: Any) -> Any:
        constants = [numpy_helper.from_array(value, key) for key, value in own.items()]
        node = helper.make_node("MatMul", ["x", "b"], [name])
        return helper.make_graph(
            [node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)], constants
        )

    def model(**own: Any) -> onnx.ModelProto:
        branch = helper.make_node(
            "If", ["yes"], ["z"], then_branch=body("then", **own), else_branch=body("else", **own)
        )
        total = helper.make_node("Add", ["z", "p"], ["y"])
        nodes = [helper.make_node("MatMul", ["x", "a"], ["p"]), branch, total]
        return make_model({"a": MATRIX, "b": MATRIX.copy(), "yes": np.array(True)}, nodes)

    for own, reads in (({}, "a"), ({"b": MATRIX + 1}, "b")):
        found = model(**own)
        before = run(found)
        assert merge_duplicates(found) == 1
        assert found.graph.node[1].attribute[0].g.node[0].input[1] == reads
        assert np.array_equal(run(found)[0], before[0])


def test_an_export_that_repeats_shared_layers_is_as_small_as_one_that_shares_them(tmp_path: Path) -> None:
    """As ALBERT's exports did and torch's newer exporter does: each use of a weight with a copy of its own."""
    encoder = load_encoder(make_encoder(tmp_path / "albert", "albert"))
    exported = build_artifact(encoder, replace(REGISTRY["onnx-fp32"], steps=("export",))).model
    model = onnx.load(exported)
    repeat_shared(model.graph)
    (tmp_path / "repeated").mkdir()
    repeated = tmp_path / "repeated/model.onnx"
    onnx.save(model, repeated)
    optimize_basic(exported, tmp_path / "shared.onnx")
    optimize_basic(repeated, tmp_path / "merged.onnx")
    sizes = [path.stat().st_size for path in (tmp_path / "shared.onnx", tmp_path / "merged.onnx", repeated)]
    assert sizes[2] > 1.3 * sizes[0]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.01)
    tokens = tokenize(encoder, SENTENCES)
    answers = [
        predict(open_backend(encoder, f"file={path}", RunSettings(1)), tokens, ArrivalPlan(2))
        for path in (exported, repeated, tmp_path / "merged.onnx")
    ]
    assert np.array_equal(answers[0], answers[1])
    assert np.array_equal(answers[0], answers[2])


def repeat_shared(graph: Any) -> None:
    """Give every reader of a weight a copy of its own."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    aliases = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    for number, node in enumerate(graph.node):
        for index, name in enumerate(node.input):
            source = aliases.get(name, name)
            if source in weights and node.op_type != "Identity":
                copy = type(weights[source])()
                copy.CopyFrom(weights[source])
                copy.name = node.input[index] = f"{source}/{number}"
                graph.initializer.append(copy)
    kept = [tensor for tensor in graph.initializer if tensor.name not in weights]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    nodes = [node for node in graph.node if node.op_type != "Identity" or node.input[0] not in weights]
    del graph.node[:]
    graph.node.extend(nodes)
