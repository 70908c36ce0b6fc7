"""Facts of built graphs, on every family, and graphs that the lint must find fault with."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tiny_encoders import FAMILIES, make_encoder

from driftgate.backends import REGISTRY, BackendSpec, Precision, Runtime
from driftgate.builder.build import build_artifact
from driftgate.errors import ArtifactError
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.onnx_graph.functions import load_inlined
from driftgate.onnx_graph.graph_facts import EncoderShape, GraphFacts, read_encoder_shape, read_graph_facts
from driftgate.onnx_graph.graph_lint import lint_graph

# Recipes that quantize the export as it is are there for comparison, and ALBERT shows why.
OPTIMIZED = [spec for spec in REGISTRY.values() if "optimize-basic" in spec.steps]
SHAPE = EncoderShape(layers=2, heads=4, hidden_size=32, parameter_bytes=122896)
Change = Callable[[Any], None]


def rules(facts: GraphFacts, precision: Precision = Precision.FP32) -> list[str]:
    return [finding.rule for finding in lint_graph(facts, precision)]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encoder]:
    folder = tmp_path_factory.mktemp("families")
    return {family: load_encoder(make_encoder(folder / family, family)) for family in FAMILIES}


@pytest.fixture(scope="module")
def float_model(encoders: dict[str, Encoder], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In standard operators only, as what others publish is."""
    path = tmp_path_factory.mktemp("plain") / "model.onnx"
    onnx.save(load_inlined(build_artifact(encoders["roberta"], REGISTRY["onnx-fp32"]).model), path)
    return path


@pytest.fixture
def changed(float_model: Path, tmp_path: Path) -> Callable[[Change], GraphFacts]:
    """`changed(change)`: facts of a RoBERTa graph after `change(model)`."""

    def apply(change: Change) -> GraphFacts:
        model = onnx.load(float_model)
        change(model)
        onnx.save(model, tmp_path / "model.onnx")
        return read_graph_facts(tmp_path / "model.onnx", SHAPE)

    return apply


# Every family as it is built


@pytest.mark.parametrize("spec", OPTIMIZED, ids=lambda spec: spec.name)
@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_is_found_fault_with(encoders: dict[str, Encoder], family: str, spec: BackendSpec) -> None:
    shape = read_encoder_shape(encoders[family])
    assert (shape.layers, shape.heads, shape.hidden_size) == (2, 4, 32)
    facts = read_graph_facts(build_artifact(encoders[family], spec).model, shape)
    assert lint_graph(facts, spec.precision) == []
    assert facts.attention.unfused + facts.attention.fused == 2
    rotary = family in {"modernbert", "eurobert"}  # queries come by many nodes from the product that made them
    assert facts.attention.heads == (4,) or (rotary and not facts.attention.fused)
    assert facts.attention.widths == (32,) or rotary
    assert facts.attention.head_sizes in ((8,), ())  # DeBERTa leaves it to the inputs
    assert facts.inputs["input_ids"] == "int64[batch_size, sequence_length]"
    assert facts.outputs == {"logits": "float32[batch_size, 4]"}
    assert (facts.products.integer_share > 0.9) == spec.precision.startswith("int8")


def test_products_are_counted_by_the_elements_of_their_weights(float_model: Path) -> None:
    products = read_graph_facts(float_model, SHAPE).products
    layer = 4 * 32 * 32 + 2 * 32 * 64
    assert products.multiply_adds == 2 * layer + 32 * 32 + 32 * 4  # two layers and a head of two matrices
    assert products.nodes == 2 * 6 + 2
    assert products.integer_nodes == products.integer_multiply_adds == 0


def test_a_weight_that_layers_share_counts_as_often_as_it_is_read(encoders: dict[str, Encoder]) -> None:
    facts = read_graph_facts(build_artifact(encoders["albert"], REGISTRY["onnx-fp32"]).model, SHAPE)
    assert facts.products.nodes == 2 * 6 + 3
    assert facts.bytes_to_parameters is not None
    assert facts.constant_bytes["float32"] < 4 * facts.products.multiply_adds


def test_size_is_compared_with_the_parameters_of_the_encoder(encoders: dict[str, Encoder], float_model: Path) -> None:
    shape = read_encoder_shape(encoders["roberta"])
    facts = read_graph_facts(float_model, shape)
    assert facts.bytes_to_parameters == pytest.approx(sum(facts.constant_bytes.values()) / 122896, abs=1e-4)
    assert shape.parameter_bytes == 122896
    assert read_graph_facts(float_model, replace(shape, parameter_bytes=None)).bytes_to_parameters is None


def test_a_family_whose_attention_is_another_is_not_judged_by_it(encoders: dict[str, Encoder]) -> None:
    shape = read_encoder_shape(replace(encoders["bert"], model_type="mobilebert"))
    assert (shape.layers, shape.heads, shape.hidden_size) == (None, None, None)
    assert shape.parameter_bytes


def test_facts_are_plain_values(float_model: Path) -> None:
    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(inner) for key, inner in value.items())
        return all(map(plain, value)) if isinstance(value, tuple) else isinstance(value, str | int | float | None)

    assert plain(asdict(read_graph_facts(float_model, SHAPE)))


# Attention in other forms


@pytest.mark.parametrize("steps", [("optimize-basic",), ("fuse-layers",)], ids=["SelfAttention", "MultiHeadAttention"])
def test_fused_attention_is_counted_and_read(
    encoders: dict[str, Encoder], tmp_path: Path, steps: tuple[str, ...]
) -> None:
    spec = BackendSpec("fused", Precision.FP32, Runtime.ONNXRUNTIME, ("export", *steps))
    path = build_artifact(encoders["roberta"], spec).model
    facts = read_graph_facts(path, SHAPE)
    assert (facts.attention.fused, facts.attention.unfused) == (2, 0)
    assert (facts.attention.heads, facts.attention.widths) == ((4,), (32,))
    assert rules(facts) == []
    fused = onnx.load(path)
    for node in fused.graph.node:
        for attribute in node.attribute:
            if attribute.name == "num_heads":
                attribute.i = 2
    onnx.save(fused, tmp_path / "wrong.onnx")
    assert rules(read_graph_facts(tmp_path / "wrong.onnx", SHAPE))[0] == "heads"


def test_attention_that_holds_its_own_projections_is_counted_and_read(tmp_path: Path) -> None:
    """As ONNX Runtime's optimizer writes it."""
    weight = numpy_helper.from_array(np.ones((32, 96), np.float32), "weight")
    bias = numpy_helper.from_array(np.ones(96, np.float32), "bias")
    nodes = [
        helper.make_node("Attention", ["x", "weight", "bias"], ["y"], domain="com.microsoft", num_heads=4),
        helper.make_node("Attention", ["y", "weight", "bias"], ["z"], domain="com.microsoft", num_heads=4),
    ]
    x, z = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", "sequence", 32]) for name in "xz")
    graph = helper.make_graph(nodes, "g", [x], [z], [weight, bias])
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    attention = read_graph_facts(tmp_path / "model.onnx", SHAPE).attention
    assert (attention.fused, attention.unfused, attention.heads, attention.widths) == (2, 0, (4,), (32,))


def test_a_softmax_over_labels_is_no_attention(changed: Callable[[Change], GraphFacts]) -> None:
    def add(model: Any) -> None:
        model.graph.node.append(helper.make_node("Softmax", ["logits"], ["shares"], axis=-1))

    assert changed(add).attention.unfused == 2


# Graphs with a fault


def _lose_a_layer(model: Any) -> None:
    next(node for node in model.graph.node if node.op_type == "Softmax").op_type = "Sigmoid"


def _split_heads(heads: int, size: int) -> Change:
    def split(model: Any) -> None:
        makers = {node.output[0]: node for node in model.graph.node}
        for node in model.graph.node:
            shape = makers.get(node.input[1]) if node.op_type == "Reshape" else None
            if shape is not None and len(shape.input) == 4:
                shape.input[2], shape.input[3] = "heads", "size"
        for name, value in (("heads", heads), ("size", size)):
            model.graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))

    return split


def _fix(axis: int) -> Change:
    def fix(model: Any) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = 16

    return fix


def _store_twice(model: Any) -> None:
    matrices = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 2]
    for tensor in matrices:
        model.graph.initializer.add().CopyFrom(tensor)
        model.graph.initializer[-1].name += "/again"


def _use_float64(model: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3), "doubles"))
    model.graph.node.append(helper.make_node("Cast", ["logits"], ["wide"], "widen", to=TensorProto.DOUBLE))


def _quantize_when_it_runs(model: Any) -> None:
    product = next(node for node in model.graph.node if node.op_type == "MatMul")
    weight = next(node for node in model.graph.node if node.op_type == "MatMul").input[1]
    model.graph.node.insert(0, helper.make_node("Identity", [weight], ["hidden"]))
    model.graph.node.insert(1, helper.make_node("DynamicQuantizeLinear", ["hidden"], ["q", "scale", "zero"]))
    product.input[1] = "q"


@pytest.mark.parametrize(
    ("change", "expected", "words"),
    [
        pytest.param(_lose_a_layer, ["attention"], "expected 2 attention nodes", id="attention"),
        pytest.param(_split_heads(2, 16), ["heads"], "config.json has 4 heads, the graph 2", id="heads"),
        pytest.param(_split_heads(4, 16), ["head size"], "4 heads of 16 are 64", id="head-size"),
        pytest.param(_fix(0), ["fixed axes"], "input_ids axis 0 is 16", id="batch-axis"),
        pytest.param(_fix(1), ["fixed axes"], "input_ids axis 1 is 16", id="sequence-axis"),
        pytest.param(_store_twice, ["duplicate constants", "size"], "twice in the file", id="duplicates"),
        pytest.param(_use_float64, ["float64"], "doubles, widen", id="float64"),
        pytest.param(
            _quantize_when_it_runs, ["weights quantized at run time"], "quantizers that read", id="requantized"
        ),
    ],
)
def test_a_fault_is_found_and_named(
    changed: Callable[[Change], GraphFacts], change: Change, expected: list[str], words: str
) -> None:
    facts = changed(change)
    assert rules(facts) == expected
    assert words in str(lint_graph(facts, Precision.FP32)[0])


def test_a_graph_of_another_encoder_does_not_fit(float_model: Path) -> None:
    other = EncoderShape(layers=6, heads=12, hidden_size=384, parameter_bytes=56303728)
    assert rules(read_graph_facts(float_model, other)) == ["attention", "heads", "hidden size"]


def test_a_float_graph_is_no_int8_graph(float_model: Path) -> None:
    assert rules(read_graph_facts(float_model, SHAPE), Precision.INT8_DYNAMIC) == ["integer work"]


def _hide_shared_weights(model: Any) -> None:
    """Behind Identity nodes, as torch's first exporter did and Optimum's still does."""
    seen: set[str] = set()
    for index, node in reversed(list(enumerate(model.graph.node))):
        if node.op_type == "MatMul" and node.input[1] in seen:
            model.graph.node.insert(index, helper.make_node("Identity", [node.input[1]], [f"{node.name}/weight"]))
            model.graph.node[index + 1].input[1] = f"{node.name}/weight"
        elif node.op_type == "MatMul":
            seen.add(node.input[1])


def test_albert_quantized_as_optimum_exports_it_is_found_out(encoders: dict[str, Encoder], tmp_path: Path) -> None:
    """Identity nodes hide its shared weights: quantizers leave them in float, or quantize them in every run."""
    deep = shutil.copytree(encoders["albert"].path, tmp_path / "albert")
    config = json.loads((deep / "config.json").read_text(encoding="utf-8"))
    (deep / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 6}), encoding="utf-8")
    encoder = load_encoder(deep)  # shares one layer's weights among six
    model, source = load_inlined(build_artifact(encoder, REGISTRY["onnx-fp32"]).model), tmp_path / "hidden.onnx"
    _hide_shared_weights(model)
    onnx.save(model, source)
    shape = read_encoder_shape(encoder)
    left = read_graph_facts(_quantize(source, tmp_path / "left.onnx"), shape)
    assert "integer work" in rules(left, Precision.INT8_DYNAMIC)
    again = _quantize(source, tmp_path / "again.onnx", extra_options={"MatMulConstBOnly": False})
    assert "weights quantized at run time" in rules(read_graph_facts(again, shape), Precision.INT8_DYNAMIC)


def _quantize(source: Path, target: Path, **options: Any) -> Path:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, **options)
    finally:
        logging.disable(logging.NOTSET)
    return target


def test_an_excluded_name_that_matches_nothing_is_found(float_model: Path, tmp_path: Path) -> None:
    """The quantizer makes a Gemm a MatMul of another name before it looks for what to leave alone."""
    names = [node.name for node in onnx.load(float_model).graph.node if node.op_type == "Gemm"]
    assert names
    missed = _quantize(float_model, tmp_path / "missed.onnx", nodes_to_exclude=names)
    facts = read_graph_facts(missed, SHAPE, exclude=names)
    assert facts.unmatched_excludes == tuple(names)
    assert "excluded names" in rules(facts, Precision.INT8_DYNAMIC)
    renamed = [f"{name}_MatMul" for name in names]
    kept = _quantize(float_model, tmp_path / "kept.onnx", nodes_to_exclude=renamed)
    assert read_graph_facts(kept, SHAPE, exclude=renamed).unmatched_excludes == ()


def test_static_quantization_counts_as_integer_work(float_model: Path, tmp_path: Path) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

    class Rows(CalibrationDataReader):
        def __init__(self) -> None:
            row = np.ones((1, 8), np.int64)
            self.rows = iter([{"input_ids": row, "attention_mask": row}])

        def get_next(self) -> Any:
            return next(self.rows, None)

    logging.disable(logging.WARNING)
    try:
        quantize_static(
            float_model,
            tmp_path / "static.onnx",
            Rows(),
            op_types_to_quantize=["MatMul", "Gemm"],
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        logging.disable(logging.NOTSET)
    facts = read_graph_facts(tmp_path / "static.onnx", SHAPE)
    assert facts.products.integer_share > 0.9
    assert rules(facts, Precision.INT8_STATIC) == []


# Files


def test_external_data_gives_the_same_facts(float_model: Path, tmp_path: Path) -> None:
    onnx.save(
        onnx.load(float_model),
        tmp_path / "model.onnx",
        save_as_external_data=True,
        location="weights",
        size_threshold=64,
    )
    assert read_graph_facts(tmp_path / "model.onnx", SHAPE) == read_graph_facts(float_model, SHAPE)


def test_external_data_that_is_missing_is_said_to_be(float_model: Path, tmp_path: Path) -> None:
    model = onnx.load(float_model)
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="weights", size_threshold=64)
    (tmp_path / "weights").unlink()
    with pytest.raises(ArtifactError, match="keep the model's files together"):
        read_graph_facts(tmp_path / "model.onnx", SHAPE)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("not a graph", encoding="utf-8")
    with pytest.raises(ArtifactError, match="expected an ONNX file"):
        read_graph_facts(tmp_path / "model.onnx", SHAPE)


def test_local_functions_are_looked_into(float_model: Path, tmp_path: Path) -> None:
    model = onnx.load(float_model)
    opset = [helper.make_opsetid("", 18)]
    model.functions.append(
        helper.make_function("local", "Twice", ["x"], ["y"], [helper.make_node("Add", ["x", "x"], ["y"])], opset)
    )
    model.graph.node.append(helper.make_node("Twice", ["logits"], ["doubled"], domain="local"))
    model.opset_import.append(helper.make_opsetid("local", 1))
    shutil.copy(float_model, tmp_path / "before.onnx")
    onnx.save(model, tmp_path / "model.onnx")
    before, after = (read_graph_facts(tmp_path / name, SHAPE).operators for name in ("before.onnx", "model.onnx"))
    assert after["Add"] == before["Add"] + 1
    assert "local.Twice" not in after
