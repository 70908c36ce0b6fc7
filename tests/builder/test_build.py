"""What a build writes: the variant it promises, shared steps, folders that others can load, several model families."""

import importlib
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
import pytest
from optional import mark_optimum
from tiny_encoders import make_encoder

from driftgate.backends import DEFAULT_BACKENDS, REGISTRY, BackendSpec, Precision, Runtime, Step
from driftgate.builder import build as build_module
from driftgate.builder import export
from driftgate.builder import steps as code_digest
from driftgate.builder.artifact import open_artifact, read_manifest
from driftgate.builder.build import build_artifact
from driftgate.builder.steps import STEPS
from driftgate.errors import BuildError
from driftgate.inputs.batches import ArrivalPlan
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.onnx_graph import functions
from driftgate.pipeline import open_backend
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings
from driftgate.run.torch_backend import open_reference

FLOAT32, FLOAT16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
INT8, UINT8 = onnx.TensorProto.INT8, onnx.TensorProto.UINT8
ONNX_BACKENDS = [name for name in REGISTRY if REGISTRY[name].steps]
INT8_BACKENDS = ["onnx-int8-dynamic", "onnx-int8-dynamic-per-tensor"]
TEXTS = (
    "thank you so much, this made my day",
    "no",
    "the bus was late again and it rained, and nobody I know saw that coming at all",
)
SETTINGS = RunSettings(threads=1)


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


@pytest.fixture
def quick_export(encoder: Encoder, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports of the encoder are copies of one: what is tested is which steps run when, and what they leave."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIFTGATE_CACHE", str(shared_cache))
        exported = build_artifact(encoder, with_steps("export")).model
    monkeypatch.setattr(export, "export_onnx", lambda encoder, target, *, opset: shutil.copyfile(exported, target))


def copy_step(name: str = "copy", version: str = "1") -> Step:
    return Step(name, version, lambda source, target: target.write_bytes(source.read_bytes()))


def with_steps(*steps: str | Step) -> BackendSpec:
    return BackendSpec("mine", Precision.FP32, Runtime.ONNXRUNTIME, steps)


def graph_of(encoder: Encoder, backend: str) -> Any:
    return onnx.load(build_artifact(encoder, REGISTRY[backend]).model).graph


def operators(graph: Any) -> Counter[str]:
    return Counter(node.op_type for node in graph.node)


def matrix_types(graph: Any) -> set[int]:
    """Element types of the weight matrices and embedding tables (INT64 ones hold positions)."""
    return {tensor.data_type for tensor in graph.initializer if len(tensor.dims) == 2} - {onnx.TensorProto.INT64}


def entries(cache: Path) -> set[str]:
    """The steps whose files are in the cache."""
    return {path.name.rpartition("-")[0] for path in cache.iterdir() if path.is_dir()}


# The variant is the one promised


@pytest.mark.parametrize("backend", mark_optimum(ONNX_BACKENDS))
def test_every_graph_takes_token_ids_and_gives_float32_logits(backend: str, encoder: Encoder, warm_cache: Path) -> None:
    graph = graph_of(encoder, backend)
    inputs = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    outputs = {value.name: value.type.tensor_type.elem_type for value in graph.output}
    assert inputs == dict.fromkeys(("input_ids", "attention_mask"), onnx.TensorProto.INT64)
    assert outputs == {"logits": FLOAT32}


@pytest.mark.parametrize("backend", mark_optimum(ONNX_BACKENDS))
def test_every_graph_has_free_batch_and_sequence_axes(backend: str, encoder: Encoder, warm_cache: Path) -> None:
    for value in graph_of(encoder, backend).input:
        assert [dim.dim_value for dim in value.type.tensor_type.shape.dim] == [0, 0]


def test_every_default_onnx_backend_is_covered_here() -> None:
    assert {name for name in DEFAULT_BACKENDS if name.startswith("onnx")} <= set(ONNX_BACKENDS)


def test_fp32_has_only_float32_weights(encoder: Encoder, warm_cache: Path) -> None:
    graph = graph_of(encoder, "onnx-fp32")
    assert matrix_types(graph) == {FLOAT32}
    assert not {FLOAT16, INT8, UINT8} & {tensor.data_type for tensor in graph.initializer}


def test_fp32_is_optimized_beyond_the_export(tmp_path: Path, warm_cache: Path) -> None:
    """DeBERTa's products of relative positions do not depend on the input."""
    encoder = load_encoder(make_encoder(tmp_path / "deberta", "deberta-v2"))
    exported = onnx.load(build_artifact(encoder, with_steps("export")).model).graph
    optimized = graph_of(encoder, "onnx-fp32")
    assert len(optimized.node) < len(exported.node)
    assert operators(optimized)["LayerNormalization"] == operators(exported)["LayerNormalization"] - 1
    assert operators(optimized)["Identity"] == operators(optimized)["Constant"] == 0


def test_fp32_has_one_node_a_layer_named_after_its_attention_module(encoder: Encoder, warm_cache: Path) -> None:
    graph = graph_of(encoder, "onnx-fp32")
    whole = [node for node in graph.node if node.op_type == functions.ATTENTION]
    assert [node.name for node in whole] == [f"roberta.encoder.layer.{layer}.attention.self" for layer in range(2)]
    assert {node.domain for node in whole} == {functions.DOMAIN}
    found = operators(graph)
    assert found["MatMul"] == 12  # 6 in each of 2 layers
    assert not {"Softmax", "Attention", "MultiHeadAttention", "EmbedLayerNormalization"} & set(found)


def test_every_node_of_a_module_and_every_constant_says_so_in_its_name(encoder: Encoder, warm_cache: Path) -> None:
    graph = graph_of(encoder, "onnx-fp32")
    products = [node for node in graph.node if node.op_type in ("MatMul", "Gemm")]
    modules = {node.name.partition("/")[0] for node in products}
    ends = ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
            "intermediate.dense", "output.dense")  # fmt: skip
    layers = {f"roberta.encoder.layer.{layer}.{end}" for layer in range(2) for end in ends}
    assert modules == layers | {"classifier.dense", "classifier.out_proj"}
    assert all(node.input[1].startswith(node.name.partition("/")[0]) for node in products)


def test_fp32_is_of_an_ir_version_that_old_runtimes_read_and_checks(encoder: Encoder, warm_cache: Path) -> None:
    model = onnx.load(build_artifact(encoder, REGISTRY["onnx-fp32"]).model)
    assert model.ir_version <= 9  # what ONNX Runtime 1.17 reads
    onnx.checker.check_model(model, full_check=True)


def test_fp16_has_only_float16_weights(encoder: Encoder, warm_cache: Path) -> None:
    graph = graph_of(encoder, "onnx-fp16")
    assert matrix_types(graph) == {FLOAT16}
    assert FLOAT32 not in {tensor.data_type for tensor in graph.initializer}


@pytest.mark.parametrize("backend", INT8_BACKENDS)
def test_int8_quantizes_activations_while_it_runs(backend: str, encoder: Encoder, warm_cache: Path) -> None:
    assert operators(graph_of(encoder, backend))["DynamicQuantizeLinear"] > 0


@pytest.mark.parametrize("backend", INT8_BACKENDS)
def test_int8_multiplies_every_weight_matrix_in_integers(backend: str, encoder: Encoder, warm_cache: Path) -> None:
    graph = graph_of(encoder, backend)
    found = operators(graph)
    assert found["MatMulInteger"] == 14  # 6 in each of 2 layers, 2 in the head
    assert found["MatMul"] == 0
    assert found["Gemm"] == 0


@pytest.mark.parametrize("backend", INT8_BACKENDS)
def test_int8_has_signed_weights(backend: str, encoder: Encoder, warm_cache: Path) -> None:
    graph = graph_of(encoder, backend)
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    weights = [node.input[1] for node in graph.node if node.op_type == "MatMulInteger"]
    assert {types[name] for name in weights} == {INT8}


@pytest.mark.parametrize("backend", INT8_BACKENDS)
def test_int8_quantizes_the_embedding_tables(backend: str, encoder: Encoder, warm_cache: Path) -> None:
    graph = graph_of(encoder, backend)
    tables = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}
    gathered = [tables[node.input[0]] for node in graph.node if node.op_type == "Gather" and node.input[0] in tables]
    assert len(gathered) == 3  # tokens, positions, segments
    assert {tensor.data_type for tensor in gathered} <= {INT8, UINT8}


@pytest.mark.parametrize("backend", INT8_BACKENDS)
def test_int8_leaves_no_float_matrix(backend: str, encoder: Encoder, warm_cache: Path) -> None:
    assert matrix_types(graph_of(encoder, backend)) <= {INT8, UINT8}


def weight_scales(graph: Any) -> list[tuple[int, ...]]:
    """Shapes of the scales of the matrices that MatMulInteger multiplies."""
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    weights = [node.input[1] for node in graph.node if node.op_type == "MatMulInteger"]
    return [shapes[name.removesuffix("_quantized") + "_scale"] for name in weights]


def test_per_channel_int8_has_a_scale_for_each_output_channel(encoder: Encoder, warm_cache: Path) -> None:
    assert Counter(weight_scales(graph_of(encoder, "onnx-int8-dynamic"))) == {(32,): 11, (64,): 2, (4,): 1}


def test_per_tensor_int8_has_one_scale_for_each_matrix(encoder: Encoder, warm_cache: Path) -> None:
    assert Counter(weight_scales(graph_of(encoder, "onnx-int8-dynamic-per-tensor"))) == {(): 14}


@pytest.mark.parametrize("backend", ["onnx-fp16", *INT8_BACKENDS])
def test_reduced_precision_makes_the_files_smaller(backend: str, encoder: Encoder, warm_cache: Path) -> None:
    full, reduced = (build_artifact(encoder, REGISTRY[name]) for name in ("onnx-fp32", backend))
    assert reduced.size_bytes < full.size_bytes


@pytest.mark.parametrize("backend", mark_optimum(ONNX_BACKENDS))
def test_an_artifact_carries_its_precision_class(backend: str, encoder: Encoder, warm_cache: Path) -> None:
    assert build_artifact(encoder, REGISTRY[backend]).precision is REGISTRY[backend].precision


# Steps are shared


def test_a_second_backend_runs_only_its_own_step(encoder: Encoder, quick_export: None, empty_cache: Path) -> None:
    announced: list[str] = []
    build_artifact(encoder, REGISTRY["onnx-fp32"], announce=announced.append)
    assert announced == ["onnx-fp32: export", "onnx-fp32: optimize-basic"]
    announced.clear()
    build_artifact(encoder, REGISTRY["onnx-fp16"], announce=announced.append)
    assert announced == ["onnx-fp16: float16"]


def test_a_backend_whose_files_are_there_runs_nothing(encoder: Encoder, warm_cache: Path) -> None:
    announced: list[str] = []
    first = build_artifact(encoder, REGISTRY["onnx-fp16"])
    assert build_artifact(encoder, REGISTRY["onnx-fp16"], announce=announced.append) == first
    assert announced == []


def test_an_artifact_does_not_need_the_steps_before_it(encoder: Encoder, quick_export: None, empty_cache: Path) -> None:
    build_artifact(encoder, REGISTRY["onnx-fp16"])
    for path in empty_cache.glob("export-*/"):
        shutil.rmtree(path)
    announced: list[str] = []
    build_artifact(encoder, REGISTRY["onnx-fp16"], announce=announced.append)
    assert announced == []


def test_a_rebuild_runs_every_step_again(encoder: Encoder, quick_export: None, empty_cache: Path) -> None:
    build_artifact(encoder, REGISTRY["onnx-fp16"])
    announced: list[str] = []
    build_artifact(encoder, REGISTRY["onnx-fp16"], rebuild=True, announce=announced.append)
    assert [message.partition(": ")[2] for message in announced] == ["export", "optimize-basic", "float16"]


def test_a_step_leaves_its_source_alone(encoder: Encoder, quick_export: None, empty_cache: Path) -> None:
    source = build_artifact(encoder, REGISTRY["onnx-fp32"])
    for backend in ("onnx-fp16", *INT8_BACKENDS):
        build_artifact(encoder, REGISTRY[backend])
    assert open_artifact(source.model, source.precision) == source


# What the key depends on


def test_an_encoder_with_other_files_is_built_on_its_own(
    encoder: Encoder, copy_encoder: Callable[..., Path], warm_cache: Path
) -> None:
    other = load_encoder(copy_encoder(hidden_dropout_prob=0.2))
    spec = REGISTRY["onnx-fp32"]
    assert build_artifact(encoder, spec).model != build_artifact(other, spec).model


def test_the_same_encoder_in_another_folder_is_not_built_again(
    encoder: Encoder, tmp_path: Path, warm_cache: Path
) -> None:
    elsewhere = load_encoder(shutil.copytree(encoder.path, tmp_path / "elsewhere"))
    spec = REGISTRY["onnx-fp32"]
    assert build_artifact(encoder, spec).model == build_artifact(elsewhere, spec).model


def test_a_step_of_another_version_is_built_on_its_own(encoder: Encoder, warm_cache: Path) -> None:
    first, second = (build_artifact(encoder, with_steps("export", copy_step(version=version))) for version in "12")
    assert first.model != second.model


def test_a_step_whose_code_changed_is_built_anew_though_its_version_is_the_same(
    encoder: Encoder, warm_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = "import shutil\ndef apply(source, target):\n    shutil.copy(source, target)\n"
    (tmp_path / "my_pass.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    spec = with_steps("export", Step("my-pass", "1", importlib.import_module("my_pass").apply))
    first = build_artifact(encoder, spec)
    assert build_artifact(encoder, spec).model == first.model
    (tmp_path / "my_pass.py").write_text(code + "# another\n", encoding="utf-8")
    second = build_artifact(encoder, spec)
    assert second.model != first.model
    steps = [read_manifest(artifact.model.parent).steps[-1] for artifact in (first, second)]
    assert steps[0] != steps[1]
    assert {step.partition("+")[0] for step in steps} == {"my-pass@1"}


def test_a_digest_is_of_every_module_that_a_step_is_made_of() -> None:
    sources = {path.name for path in code_digest._files("driftgate.builder.rowwise.nodes")}
    assert {"nodes.py", "products.py", "token_rows.py", "functions.py", "graph.py"} <= sources
    assert "weights.py" in {path.name for path in code_digest._files("driftgate.builder.export")}


def test_a_new_version_of_an_early_step_is_a_new_artifact(
    encoder: Encoder, warm_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_artifact(encoder, REGISTRY["onnx-fp16"])
    monkeypatch.setitem(STEPS, "optimize-basic", replace(STEPS["optimize-basic"], version="next"))  # type: ignore[misc]
    assert build_artifact(encoder, REGISTRY["onnx-fp16"]).model != first.model


@pytest.mark.parametrize("library", ["torch", "transformers", "onnxscript", "onnx", "onnxruntime"])
def test_another_release_of_a_library_is_a_new_artifact(
    library: str, encoder: Encoder, warm_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = with_steps("export")
    first = build_artifact(encoder, spec)
    versions = {**build_module.library_versions(), library: "99.0"}
    monkeypatch.setattr(build_module, "installed_versions", lambda names: versions)
    assert build_artifact(encoder, spec).model != first.model


# Steps of someone else


def test_a_custom_step_writes_the_artifact(encoder: Encoder, quick_export: None, empty_cache: Path) -> None:
    def mark(source: Path, target: Path) -> None:
        model = onnx.load(source)
        model.producer_name = "my step"
        onnx.save(model, target)

    artifact = build_artifact(encoder, with_steps("export", "optimize-basic", Step("mark", "1", mark)))
    assert onnx.load(artifact.model).producer_name == "my step"
    assert entries(empty_cache) == {"export", "optimize-basic", "mark"}


@pytest.mark.parametrize(
    "error",
    [ValueError("wrong axis"), FileNotFoundError(2, "wrong axis"), BuildError("step 'half-head': wrong axis")],
    ids=["any", "missing-file", "ours"],
)
def test_a_failing_custom_step_is_named(error: Exception, encoder: Encoder, warm_cache: Path) -> None:
    def fail(source: Path, target: Path) -> NoReturn:
        raise error

    with pytest.raises(BuildError, match=r"step 'half-head'.*wrong axis") as failure:
        build_artifact(encoder, with_steps("export", Step("half-head", "1", fail)))
    assert "free space" not in str(failure.value)


def test_a_custom_step_on_a_full_disk_is_told_to_free_space(encoder: Encoder, warm_cache: Path) -> None:
    def fail(source: Path, target: Path) -> NoReturn:
        raise OSError(28, os.strerror(28))

    with pytest.raises(BuildError, match=r"half-head.*No space left on device.*free space"):
        build_artifact(encoder, with_steps("export", Step("half-head", "1", fail)))


def test_a_step_that_writes_nothing_is_named(encoder: Encoder, warm_cache: Path) -> None:
    idle = Step("idle", "1", lambda source, target: None)
    with pytest.raises(BuildError, match=r"step 'idle' wrote no model\.onnx"):
        build_artifact(encoder, with_steps("export", idle))


def test_a_failed_step_leaves_the_earlier_ones(encoder: Encoder, quick_export: None, empty_cache: Path) -> None:
    with pytest.raises(BuildError):
        build_artifact(encoder, with_steps("export", Step("idle", "1", lambda source, target: None)))
    assert entries(empty_cache) == {"export"}


def test_an_unknown_step_is_answered_with_the_known_ones(encoder: Encoder, warm_cache: Path) -> None:
    with pytest.raises(BuildError, match=r"unknown build step 'fuse'; known: export, optimize-basic, .*float16"):
        build_artifact(encoder, with_steps("export", "fuse"))


@pytest.mark.parametrize("steps", [(), ("optimize-basic",), (copy_step(),)], ids=["none", "known", "custom"])
def test_steps_that_do_not_start_with_an_export_are_refused(
    steps: tuple[str | Step, ...], encoder: Encoder, warm_cache: Path
) -> None:
    with pytest.raises(BuildError, match="steps start with 'export'"):
        build_artifact(encoder, with_steps(*steps))


def test_an_architecture_that_the_exporter_does_not_know_is_named(
    encoder: Encoder, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.roberta.modeling_roberta import RobertaIntermediate

    def branch(self: Any, hidden_states: Any) -> Any:
        return hidden_states if hidden_states.sum() > 0 else -hidden_states

    monkeypatch.setattr(RobertaIntermediate, "forward", branch)
    with pytest.raises(BuildError) as failure:
        build_artifact(encoder, with_steps("export"))
    message = str(failure.value)
    assert (
        "cannot export architecture 'roberta' in opset 18: in module roberta.encoder.layer.0.intermediate: " in message
    )
    assert message.endswith("or export it in another way and give that file as a backend, NAME=PATH")
    assert "\n" not in message
    assert entries(empty_cache) == set()


# Families


SEGMENTS = "token_type_ids"
FAMILY_INPUTS = {
    "roberta": {"input_ids", "attention_mask"},
    "bert": {"input_ids", "attention_mask", SEGMENTS},
    "albert": {"input_ids", "attention_mask", SEGMENTS},
    "distilbert": {"input_ids", "attention_mask"},
    # As many on the hub are: the tokenizer's class is BERT's, which gives segments that the model does not take.
    "distilbert-with-segments": {"input_ids", "attention_mask"},
}


@pytest.fixture(scope="module", params=FAMILY_INPUTS)
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    name, _, segments = request.param.partition("-with-")
    folder = tmp_path_factory.mktemp("families") / name
    return load_encoder(make_encoder(folder, name, tokenizer="bert" if segments else None))


def test_a_family_is_loaded_as_itself(family: Encoder, request: pytest.FixtureRequest) -> None:
    assert family.model_type == request.node.callspec.params["family"].removesuffix("-with-segments")


def test_a_familys_graph_takes_the_inputs_it_has(
    family: Encoder, request: pytest.FixtureRequest, warm_cache: Path
) -> None:
    expected = FAMILY_INPUTS[request.node.callspec.params["family"]]
    assert {value.name for value in graph_of(family, "onnx-fp32").input} == expected


def test_a_familys_export_agrees_with_the_reference(family: Encoder, warm_cache: Path) -> None:
    tokens = tokenize(family, TEXTS)
    expected = predict(open_reference(family, SETTINGS), tokens, ArrivalPlan(3))
    found = predict(open_backend(family, "onnx-fp32", SETTINGS), tokens, ArrivalPlan(3))
    assert np.abs(expected - expected.mean(0)).max() > 0.01, "rows that answer alike prove nothing"
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)
