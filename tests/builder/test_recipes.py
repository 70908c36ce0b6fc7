"""Static INT8, float16, layers fused for a GPU, Optimum's presets: what the graph says, and what it answers."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from optional import mark_optimum, needs_optimum
from processor import require_exact_sums
from tiny_encoders import SENTENCES, make_encoder

from driftgate.backends import REGISTRY, BackendSpec, Precision, Step
from driftgate.builder.artifact import Manifest, read_manifest
from driftgate.builder.build import build_artifact
from driftgate.builder.calibration_texts import ROWS, measure_ranges, tokenize_calibration
from driftgate.builder.steps import STEPS
from driftgate.errors import ArtifactError, BackendUnavailableError, BuildError, EncoderError
from driftgate.inputs.batches import ArrivalPlan, BudgetPlan, pad_rows
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.onnx_graph import functions
from driftgate.onnx_graph.functions import load_inlined
from driftgate.onnx_graph.graph import QUANTIZED_OPERATORS, makers
from driftgate.onnx_graph.graph_precision import infer_precision
from driftgate.pipeline import open_backend, open_built, prepare_backend
from driftgate.publish.unjudged import build
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings
from driftgate.run.torch_backend import open_reference

SETTINGS = RunSettings(1)
TEXTS = (*SENTENCES, *(sentence[:length] for length, sentence in enumerate(SENTENCES, 4)))
STATIC, FLOAT16, FLOAT32 = (REGISTRY[name] for name in ("onnx-int8-static", "onnx-fp16", "onnx-fp32"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(make_encoder(tmp_path_factory.mktemp("recipes") / "roberta"))


def corpus_of(*texts: str, name: str = "mine") -> Corpus:
    return Corpus(name, texts, tuple(f"line {line}" for line in range(1, len(texts) + 1)), None)


def graph_of(encoder: Encoder, spec: BackendSpec) -> Any:
    return onnx.load(build_artifact(encoder, spec).model).graph


def manifest_of(encoder: Encoder, spec: BackendSpec) -> Manifest:
    return read_manifest(build_artifact(encoder, spec).model.parent)


def logits(encoder: Encoder, spec: BackendSpec) -> NDArray[np.float32]:
    backend = open_built(prepare_backend(encoder, spec), SETTINGS)
    return np.asarray(predict(backend, tokenize(encoder, TEXTS), ArrivalPlan(3)))


def reference(encoder: Encoder) -> NDArray[np.float32]:
    return np.asarray(predict(open_reference(encoder, SETTINGS), tokenize(encoder, TEXTS), ArrivalPlan(3)))


# Static INT8


def test_static_products_read_integers_of_ranges_fixed_at_build_time(encoder: Encoder) -> None:
    graph = graph_of(encoder, STATIC)
    constants, producers = {tensor.name for tensor in graph.initializer}, makers(graph)
    products = [node for node in graph.node if node.op_type in ("MatMul", "Gemm")]
    assert len(products) == 2 * 6 + 2  # a layer's six, and the head's two
    for node in products:
        assert all(maker_of(producers, name) == "DequantizeLinear" for name in node.input[:2]), node.name
    whole = [node for node in graph.node if node.op_type == functions.ATTENTION]  # products of two activations stay
    assert len(whole) == 2
    assert not any(maker_of(producers, name) == "DequantizeLinear" for node in whole for name in node.input)
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert node.input[1] in constants
    assert infer_precision(onnx.helper.make_model(graph)) is Precision.INT8_STATIC


def maker_of(producers: Mapping[str, Any], name: str) -> str:
    return producers[name].op_type if name in producers else ""


def test_static_embedding_tables_are_integers(encoder: Encoder) -> None:
    graph = graph_of(encoder, STATIC)
    floats = [tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == 2]
    assert not [tensor.name for tensor in floats if tensor.dims[0] == encoder.vocab_size and tensor.dims[1] > 1]


def test_static_answers_are_near_and_do_not_depend_on_batch_mates(encoder: Encoder) -> None:
    expected = reference(encoder)
    # Random weights; how far depends on how transformers draws them: 0.15 under 4.57, 0.27 under 5.23.
    assert np.abs(logits(encoder, STATIC) - expected).mean() < 0.35 * expected.std()
    backend, tokens = open_backend(encoder, "onnx-int8-static", SETTINGS), tokenize(encoder, TEXTS)
    alone = np.asarray(predict(backend, tokens, ArrivalPlan(1)))
    together = np.asarray(predict(backend, tokens, BudgetPlan(64)))
    # Scales are fixed, but float32 sums before them differ in the last bit, which may round to the next step.
    assert np.abs(alone - together).max() < 0.05 * expected.std()


def test_the_manifest_says_which_rows_were_watched(encoder: Encoder) -> None:
    corpus = corpus_of(*TEXTS)
    notes = manifest_of(encoder, replace(STATIC, calibration=corpus)).notes["int8-static"]
    assert notes["ranges"] == "entropy"
    assert notes["calibration"]["corpus"] == "mine"
    assert notes["calibration"]["sha256"] == corpus.sha256
    assert sorted(notes["calibration"]["rows"]) == sorted(corpus.row_ids)
    default = manifest_of(encoder, STATIC).notes["int8-static"]["calibration"]
    assert default["corpus"] == "normal"
    assert len(default["rows"]) == ROWS
    assert "warning" not in default


def test_a_copied_artifact_keeps_its_notes(encoder: Encoder, tmp_path: Path) -> None:
    build(encoder, "onnx-int8-static", tmp_path / "out", calibration=corpus_of(*TEXTS))
    copied = read_manifest(tmp_path / "out")
    assert copied.backend == "onnx-int8-static"
    assert copied.notes["int8-static"]["calibration"]["corpus"] == "mine"


def test_other_calibration_texts_make_another_artifact(encoder: Encoder) -> None:
    one, other = (
        build_artifact(encoder, replace(STATIC, calibration=corpus_of(*texts))) for texts in (TEXTS, TEXTS[:4])
    )
    assert one.sha256 != other.sha256


def test_few_calibration_rows_are_said_to_be_few(encoder: Encoder) -> None:
    said: list[str] = []
    spec = replace(STATIC, calibration=corpus_of("one text", "another one"))
    artifact = build_artifact(encoder, spec, announce=said.append)
    (warning,) = [message for message in said if "fewer than" in message]
    assert "int8-static was calibrated on 2 rows; fewer than 32" in warning
    assert "2 rows" in read_manifest(artifact.model.parent).notes["int8-static"]["calibration"]["warning"]


def test_calibration_batches_hold_no_padding_and_every_length(encoder: Encoder) -> None:
    found = tokenize_calibration(encoder, corpus_of(*TEXTS))
    assert all(feed["attention_mask"].all() for feed in found.feeds)
    lengths = sorted(feed["input_ids"].shape[1] for feed in found.feeds for _ in feed["input_ids"])
    assert lengths == sorted(tokenize(encoder, TEXTS).lengths.tolist())


def test_some_of_the_calibration_batches_have_their_rows_and_every_length(encoder: Encoder) -> None:
    corpus = corpus_of(*TEXTS)
    whole = tokenize_calibration(encoder, corpus)
    lengths = dict(zip(corpus.row_ids, tokenize(encoder, TEXTS).lengths.tolist(), strict=True))
    assert whole.take(len(whole.feeds)).rows == whole.rows
    some = whole.take(2)
    assert len(some.feeds) == 2
    watched = [feed["input_ids"].shape[1] for feed in some.feeds for _ in feed["input_ids"]]
    assert [lengths[row] for row in some.rows] == watched
    assert watched[0] < np.median(list(lengths.values())) < watched[-1]


def test_float16_says_which_rows_it_watched(encoder: Encoder) -> None:
    noted = manifest_of(encoder, FLOAT16).notes["float16"]["calibration"]
    assert 12 <= len(noted["rows"]) < ROWS
    assert "warning" not in noted
    few = manifest_of(encoder, replace(FLOAT16, calibration=corpus_of("one text"))).notes["float16"]["calibration"]
    assert "1 rows; fewer than 32" in few["warning"]


@pytest.mark.parametrize("spec", [STATIC, FLOAT16], ids=lambda spec: spec.name)
def test_a_graph_may_take_segments_that_its_tokenizer_does_not_give(tmp_path: Path, spec: BackendSpec) -> None:
    encoder = load_encoder(make_encoder(tmp_path / "mixed", "albert", tokenizer="roberta"))
    assert tokenize(encoder, TEXTS).token_type_ids is None
    assert "token_type_ids" in [value.name for value in graph_of(encoder, spec).input]


# Float16


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """An encoder that is the same in float32, but whose inner layer goes far beyond float16's range."""
    import transformers

    folder = make_encoder(tmp_path_factory.mktemp("recipes") / "wide", seed=7)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder)
    for layer in model.base_model.encoder.layer:
        layer.intermediate.dense.weight.data *= 2e4
        layer.output.dense.weight.data /= 2e4
    model.save_pretrained(folder)
    return load_encoder(folder)


def test_nodes_beyond_float16_stay_float32_and_are_named(wide: Encoder, encoder: Encoder) -> None:
    kept = manifest_of(wide, FLOAT16).notes["float16"]["kept in float32 for their range"]
    assert {name.partition("/")[0] for name in kept} >= {
        f"roberta.encoder.layer.0.{module}" for module in ("intermediate.dense", "intermediate.intermediate_act_fn")
    }
    assert all("intermediate" in name or "output" in name for name in kept)
    assert manifest_of(encoder, FLOAT16).notes["float16"]["kept in float32 for their range"] == []


def test_in_true_float16_arithmetic_an_encoder_of_wide_range_still_answers(wide: Encoder, tmp_path: Path) -> None:
    """ONNX's reference evaluator computes float16 in float16, as a GPU does and ONNX Runtime's CPU provider does not."""
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    plain = tmp_path / "plain.onnx"
    converted = OnnxModel(
        convert_float_to_float16(load_inlined(build_artifact(wide, FLOAT32).model), keep_io_types=True)
    )
    converted.topological_sort()
    converted.save_model_to_file(plain)
    expected = reference(wide)
    with np.errstate(all="ignore"):
        overflown = evaluate(wide, plain)
        found = evaluate(wide, build_artifact(wide, FLOAT16).model)
    assert not np.abs(overflown - expected).max() < expected.std()
    assert np.abs(found - expected).max() < 0.05 * expected.std()


def evaluate(encoder: Encoder, model: Path) -> NDArray[np.float32]:
    from onnx.reference import ReferenceEvaluator
    from onnx.reference.op_run import OpRun

    class GatherElements(OpRun):  # type: ignore[misc]
        """onnx's own takes no table of more than 64 entries (onnx 1.23)."""

        op_domain = ""

        def _run(self, data: Any, indices: Any, axis: int = 0) -> tuple[Any]:
            return (np.take_along_axis(data, indices, axis),)

    evaluator, tokens = ReferenceEvaluator(str(model), new_ops=[GatherElements]), tokenize(encoder, TEXTS)
    batches = [pad_rows(tokens, [row]) for row in range(len(TEXTS))]
    feeds = [{"input_ids": batch.input_ids, "attention_mask": batch.attention_mask} for batch in batches]
    return np.concatenate([np.asarray(evaluator.run(None, feed)[0]) for feed in feeds])


def test_ranges_are_those_of_the_texts(encoder: Encoder) -> None:
    model = build_artifact(encoder, FLOAT32).model
    ranges = measure_ranges(onnx.load(model), model.parent, tokenize_calibration(encoder, corpus_of(*TEXTS)))
    answers = logits(encoder, FLOAT32)
    assert ranges["logits"] == pytest.approx((answers.min(), answers.max()), rel=1e-4)


# Layers fused for a GPU


def test_on_a_gpu_float16_is_made_from_fused_layers(encoder: Encoder) -> None:
    spec = FLOAT16.built_for("cuda")
    assert spec.built_for("cpu") == spec
    assert FLOAT16.built_for("cpu") == FLOAT16
    operators = [node.op_type for node in graph_of(encoder, spec).node]
    assert operators.count("MultiHeadAttention") == operators.count("Gelu") == 2
    assert "FastGelu" not in operators  # GELU stays what it is
    assert infer_precision(onnx.helper.make_model(graph_of(encoder, spec))) is Precision.FP16
    expected = reference(encoder)
    assert np.abs(logits(encoder, spec) - expected).max() < 0.02 * expected.std()


def test_fused_layers_answer_alike_on_either_side_of_padding(encoder: Encoder) -> None:
    spec = replace(FLOAT32, name="fused", steps=("export", "optimize-basic", "fuse-layers"))
    assert [node.op_type for node in graph_of(encoder, spec).node].count("MultiHeadAttention") == 2
    tokens = tokenize(encoder, TEXTS)
    for side in ("right", "left"):
        batch = pad_rows(replace(tokens, padding_side=side), range(len(TEXTS)), width=40)
        expected = open_reference(encoder, SETTINGS).prepare(batch)()
        found = open_built(prepare_backend(encoder, spec), SETTINGS).prepare(batch)()
        assert np.abs(found - expected).max() < 1e-4 * expected.std(), side


# Optimum's presets


@needs_optimum
@pytest.mark.parametrize(
    ("name", "elements"), [("avx512-vnni", TensorProto.INT8), ("avx2", TensorProto.UINT8)], ids=["avx512-vnni", "avx2"]
)
def test_optimum_builds_its_presets_itself(encoder: Encoder, name: str, elements: int) -> None:
    spec = REGISTRY[f"onnx-int8-optimum-{name}"]
    assert spec.steps[0] == "export"
    assert "optimize-basic" not in spec.steps
    graph = graph_of(encoder, spec)
    types = {tensor.name: tensor.data_type for tensor in graph.initializer}
    products = [node for node in graph.node if node.op_type == "MatMulInteger"]
    weights = [types[node.input[1]] for node in products if node.input[1] in types]
    assert len(weights) == 2 * 6 + 2
    assert len(products) == len(weights) + 2 * 2  # products of two activations, which the other recipes leave alone
    assert set(weights) == {elements}
    if elements == TensorProto.INT8:
        require_exact_sums(spec.precision)
    expected = reference(encoder)
    assert np.abs(logits(encoder, spec) - expected).mean() < 0.15 * expected.std()


@pytest.mark.parametrize("spec", mark_optimum(spec for spec in REGISTRY.values() if spec.steps))
def test_nodes_stand_behind_what_they_read(encoder: Encoder, spec: BackendSpec) -> None:
    """ONNX asks for it; ONNX Runtime puts up with less, other readers do not."""
    graph = graph_of(encoder, spec)
    known = {"", *(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)}
    for node in graph.node:
        assert set(node.input) <= known, node.name
        known.update(node.output)


# What cannot be built


@pytest.mark.parametrize("step", mark_optimum(name for name in STEPS if name.startswith(("int8", "float16"))))
def test_a_step_refuses_a_graph_that_is_quantized_already(encoder: Encoder, tmp_path: Path, step: str) -> None:
    spec = replace(STATIC, name="twice", steps=("export", "optimize-basic", "int8-dynamic", step))
    with pytest.raises(
        BuildError, match=r"expected a float32 graph, found one that is quantized already \(.*MatMulInteger"
    ):
        build_artifact(encoder, replace(spec, calibration=corpus_of(*TEXTS)))


@pytest.mark.parametrize("spec", mark_optimum(spec for spec in REGISTRY.values() if spec.precision.startswith("int8")))
def test_every_registered_int8_graph_is_known_to_be_quantized(encoder: Encoder, spec: BackendSpec) -> None:
    assert {node.op_type for node in graph_of(encoder, spec).node} & QUANTIZED_OPERATORS


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_by_name(encoder: Encoder, tmp_path: Path, value: float) -> None:
    from safetensors.numpy import load_file, save_file

    folder = Path(shutil.copytree(encoder.path, tmp_path / "broken"))
    weights = load_file(folder / "model.safetensors")
    name = "roberta.encoder.layer.1.output.dense.weight"
    weights[name][3, 4] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=rf"NaN or infinity in 1 weights: {name}"):
        build_artifact(load_encoder(folder), FLOAT32)
    with pytest.raises(EncoderError, match=name):
        open_reference(load_encoder(folder), SETTINGS)


def test_a_custom_operator_is_named(encoder: Encoder, tmp_path: Path) -> None:
    """ONNX Runtime has no kernel for it; the message says which operator, whoever brought it in."""

    def insert(source: Path, target: Path) -> None:
        model = onnx.load(source)
        output = model.graph.output[0].name
        for node in model.graph.node:
            node.output[:] = ["raw" if name == output else name for name in node.output]
        model.graph.node.append(helper.make_node("Sharpen", ["raw"], [output], domain="acme.custom"))
        model.opset_import.append(helper.make_opsetid("acme.custom", 1))
        onnx.save(model, target)

    custom = Step("sharpen", "1", insert)
    with pytest.raises(BuildError, match=r"'float16' failed on model.onnx.*(acme.custom|Sharpen)"):
        build_artifact(encoder, replace(FLOAT16, name="sharp", steps=("export", custom, "float16")))
    model = build_artifact(encoder, replace(FLOAT32, name="sharp", steps=("export", custom))).model
    with pytest.raises(ArtifactError, match=r"cannot load it: .*(acme.custom|Sharpen)"):
        open_backend(encoder, f"theirs={shutil.copy2(model, tmp_path / 'theirs.onnx')}", SETTINGS)


def test_external_data_is_read_and_written_by_every_step(encoder: Encoder, tmp_path: Path) -> None:
    """As files over 2 GB have it; the weights of a small one answer the same from there."""

    def move_out(source: Path, target: Path) -> None:
        model = onnx.load(source)
        onnx.save(model, target, save_as_external_data=True, location=f"{target.name}_data", size_threshold=0)

    for name, spec in REGISTRY.items():
        if spec.steps and "optimum" not in name:
            first, *rest = spec.steps
            moved = replace(spec, name=f"{name}-moved", steps=(first, Step("move-out", "1", move_out), *rest))
            folder = build_artifact(encoder, moved).model.parent
            assert len(list(folder.glob("model.onnx*"))) == 2, name
            own = [numpy_helper.to_array(tensor) for tensor in onnx.load(folder / "model.onnx").graph.initializer]
            assert all(np.isfinite(array).all() for array in own if array.dtype.kind == "f")
            assert np.array_equal(logits(encoder, moved), logits(encoder, spec)), name


def test_without_optimum_its_presets_are_unavailable_and_say_what_to_install(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTGATE_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "optimum.onnxruntime", None)
    with pytest.raises(BackendUnavailableError, match=r'cannot be imported here.*install "driftgate\[optimum\]"'):
        build_artifact(encoder, REGISTRY["onnx-int8-optimum-avx2"])
    assert not list(tmp_path.glob("int8*.partial*"))
