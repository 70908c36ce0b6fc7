"""Artifacts that someone else published: which are opened, and how each unfit one is refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from driftgate.backends import REGISTRY, BackendSpec, Precision
from driftgate.builder.artifact import Artifact
from driftgate.builder.build import build_artifact
from driftgate.builder.published import open_published
from driftgate.errors import ArtifactError
from driftgate.inputs.backend_names import parse_backends
from driftgate.inputs.batches import ArrivalPlan
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.onnx_graph.graph_precision import infer_precision
from driftgate.pipeline import open_backend
from driftgate.publish.unjudged import build
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings

CopyModel = Callable[..., Path]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


@pytest.fixture
def copy_model(encoder: Encoder, warm_cache: Path, tmp_path: Path) -> CopyModel:
    """`copy_model("onnx-fp16", "name.onnx")`: the model file alone, in a folder of its own."""

    def copy(backend: str = "onnx-fp32", name: str = "model.onnx") -> Path:
        folder = tmp_path / "published"
        folder.mkdir(exist_ok=True)
        return Path(shutil.copy2(build_artifact(encoder, REGISTRY[backend]).model, folder / name))

    return copy


def model_of(node: onnx.NodeProto) -> onnx.ModelProto:
    return onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], []))


def open_as(text: str, encoder: Encoder) -> tuple[BackendSpec, Artifact]:
    (spec,) = parse_backends(text)
    return open_published(spec, encoder)


# What is opened


@pytest.mark.parametrize(
    ("backend", "precision"),
    [
        ("onnx-fp32", Precision.FP32),
        ("onnx-fp16", Precision.FP16),
        ("onnx-int8-dynamic", Precision.INT8_DYNAMIC),
        ("onnx-int8-dynamic-per-tensor", Precision.INT8_DYNAMIC),
    ],
)
def test_a_good_artifact_gets_its_class_from_its_graph(
    backend: str, precision: Precision, copy_model: CopyModel, encoder: Encoder
) -> None:
    spec, artifact = open_as(f"mine={copy_model(backend)}", encoder)
    assert spec.precision is artifact.precision is precision


def test_a_static_int8_graph_is_told_from_a_dynamic_one() -> None:
    node = onnx.helper.make_node("QuantizeLinear", ["x", "scale"], ["y"])
    assert infer_precision(model_of(node)) is Precision.INT8_STATIC


def test_a_class_that_the_graph_confirms_is_accepted(copy_model: CopyModel, encoder: Encoder) -> None:
    spec, _ = open_as(f"mine:int8-dynamic={copy_model('onnx-int8-dynamic')}", encoder)
    assert spec.precision is Precision.INT8_DYNAMIC


def test_a_name_that_the_graph_confirms_is_accepted(copy_model: CopyModel, encoder: Encoder) -> None:
    spec, _ = open_as(f"their-fp16={copy_model('onnx-fp16')}", encoder)
    assert spec.name == "their-fp16"


def test_a_folder_with_one_model_is_that_model(copy_model: CopyModel, encoder: Encoder) -> None:
    path = copy_model(name="theirs.onnx")
    spec, artifact = open_as(f"mine={path.parent}", encoder)
    assert artifact.model == spec.published == path


def test_what_driftgate_builds_can_be_published(encoder: Encoder, warm_cache: Path, tmp_path: Path) -> None:
    build(encoder, "onnx-int8-dynamic", tmp_path / "out")
    spec, _ = open_as(f"mine={tmp_path / 'out'}", encoder)
    assert spec.precision is Precision.INT8_DYNAMIC


def test_a_published_artifact_answers_as_the_built_one(copy_model: CopyModel, encoder: Encoder) -> None:
    settings = RunSettings(threads=1)
    tokens = tokenize(encoder, ["what a game! nobody saw that coming", "thank you"])
    theirs, ours = (
        predict(open_backend(encoder, name, settings), tokens, ArrivalPlan(2))
        for name in (f"mine={copy_model()}", "onnx-fp32")
    )
    assert theirs.tolist() == ours.tolist()


# Names and classes that the graph contradicts


@pytest.mark.parametrize(
    ("name", "backend", "message"),
    [
        ("their-fp32", "onnx-int8-dynamic", "says fp32, but the graph of model.onnx is int8-dynamic"),
        ("their-float32", "onnx-fp16", "says fp32, but the graph of model.onnx is fp16"),
        ("their-fp16", "onnx-fp32", "says fp16, but the graph of model.onnx is fp32"),
        ("quantized", "onnx-fp32", "says int8, but the graph of model.onnx is fp32"),
    ],
)
def test_a_name_that_the_graph_contradicts_is_refused(
    name: str, backend: str, message: str, copy_model: CopyModel, encoder: Encoder
) -> None:
    with pytest.raises(ArtifactError, match=f"{message}; rename it"):
        open_as(f"{name}={copy_model(backend)}", encoder)


@pytest.mark.parametrize(
    ("given", "backend", "found"),
    [
        ("fp32", "onnx-int8-dynamic", "int8-dynamic"),
        ("fp16", "onnx-fp32", "fp32"),
        ("int8-static", "onnx-int8-dynamic", "int8-dynamic"),
    ],
)
def test_a_class_that_the_graph_contradicts_is_refused(
    given: str, backend: str, found: str, copy_model: CopyModel, encoder: Encoder
) -> None:
    with pytest.raises(ArtifactError, match=f"given as {given}, but the graph of model.onnx is {found}"):
        open_as(f"mine:{given}={copy_model(backend)}", encoder)


# Models of something else


def test_another_number_of_labels_is_refused(
    copy_model: CopyModel, make_tiny_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    other = load_encoder(make_tiny_encoder(tmp_path / "other", labels=("joy", "anger", "surprise")))
    with pytest.raises(ArtifactError, match="expected 3 outputs, one for each label of the encoder other, found 4"):
        open_as(f"mine={copy_model()}", other)


def test_labels_in_another_order_are_refused(copy_model: CopyModel, encoder: Encoder) -> None:
    path = copy_model()
    id2label = {str(index): label for index, label in enumerate(reversed(encoder.labels))}
    (path.parent / "config.json").write_text(json.dumps({"id2label": id2label}), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"config\.json: its labels, or their order"):
        open_as(f"mine={path}", encoder)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"id2label": ["joy"]}', '{"id2label": {"first": "joy"}}'],
    ids=["not-json", "list", "label-list", "labels-without-numbers"],
)
def test_labels_that_cannot_be_read_are_refused(content: str, copy_model: CopyModel, encoder: Encoder) -> None:
    path = copy_model()
    (path.parent / "config.json").write_text(content, encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"config\.json: its labels cannot be read"):
        open_as(f"mine={path}", encoder)


def test_a_configuration_without_labels_says_nothing(copy_model: CopyModel, encoder: Encoder) -> None:
    path = copy_model()
    (path.parent / "config.json").write_text("{}", encoding="utf-8")
    open_as(f"mine={path}", encoder)


@pytest.mark.parametrize("backend", ["onnx-fp32", "onnx-fp16", "onnx-int8-dynamic"])
def test_another_vocabulary_is_refused(backend: str, copy_model: CopyModel, encoder: Encoder) -> None:
    other = replace(encoder, vocab_size=30522)
    with pytest.raises(ArtifactError, match="has 320 tokens, the encoder tiny-roberta has 30522"):
        open_as(f"mine={copy_model(backend)}", other)


def keep_inputs(path: Path, keep: Callable[[str], bool]) -> None:
    model = onnx.load(path)
    for value in list(model.graph.input):
        if not keep(value.name):
            model.graph.input.remove(value)
    onnx.save(model, path)


def test_a_graph_without_a_mask_is_refused(copy_model: CopyModel, encoder: Encoder) -> None:
    path = copy_model()
    keep_inputs(path, lambda name: name != "attention_mask")
    with pytest.raises(ArtifactError, match="takes no attention_mask: padding would change its answers"):
        open_as(f"mine={path}", encoder)


def test_a_graph_without_token_ids_is_refused_with_what_it_takes(copy_model: CopyModel, encoder: Encoder) -> None:
    path = copy_model()
    keep_inputs(path, lambda name: name != "input_ids")
    with pytest.raises(ArtifactError, match=r"expected inputs input_ids, .*found attention_mask"):
        open_as(f"mine={path}", encoder)


def test_a_graph_with_another_input_is_refused_with_its_name(copy_model: CopyModel, encoder: Encoder) -> None:
    path = copy_model()
    model = onnx.load(path)
    model.graph.input.append(onnx.helper.make_tensor_value_info("pixel_values", onnx.TensorProto.FLOAT, [1]))
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match="found attention_mask, input_ids, pixel_values"):
        open_as(f"mine={path}", encoder)


# Files that are no models


@pytest.mark.parametrize(
    "content",
    [b"version https://git-lfs.github.com/spec/v1\n", b"<html>not found</html>", b"{}", b""],
    ids=["lfs-pointer", "html", "json", "empty"],
)
@pytest.mark.parametrize("suffix", ["onnx", "json"])
def test_a_file_that_is_no_model_is_refused(content: bytes, suffix: str, encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"model.{suffix}: expected an ONNX file"):
        open_as(f"mine={path}", encoder)


def test_half_a_model_is_refused(copy_model: CopyModel, encoder: Encoder) -> None:
    path = copy_model()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ArtifactError, match="expected an ONNX file"):
        open_as(f"mine={path}", encoder)


def test_a_missing_file_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="expected an ONNX file or a folder with one, found nothing"):
        open_as(f"mine={tmp_path / 'nowhere.onnx'}", encoder)


def test_an_empty_folder_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"expected .* a folder with one, found no \.onnx file"):
        open_as(f"mine={tmp_path}", encoder)


def test_a_folder_with_two_models_is_refused_with_their_names(copy_model: CopyModel, encoder: Encoder) -> None:
    copy_model(name="model.onnx")
    folder = copy_model("onnx-fp16", "model_fp16.onnx").parent
    with pytest.raises(ArtifactError, match=r"found model\.onnx, model_fp16\.onnx"):
        open_as(f"mine={folder}", encoder)


def test_weights_alone_in_eight_bits_count_as_static() -> None:
    node = onnx.helper.make_node("DequantizeLinear", ["weight", "scale"], ["out"])
    assert infer_precision(model_of(node)) is Precision.INT8_STATIC


@pytest.mark.parametrize("last", ["Sigmoid", "Softmax"])
def test_a_graph_that_answers_with_probabilities_is_refused(last: str, copy_model: CopyModel, encoder: Encoder) -> None:
    path = copy_model()
    model = onnx.load(path)
    output = model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["scores" if name == output else name for name in node.output]
    model.graph.node.append(onnx.helper.make_node(last, ["scores"], [output]))
    onnx.save(model, path)
    with pytest.raises(ArtifactError, match=f"is computed by {last}, which gives probabilities; expected logits"):
        open_as(f"mine={path}", encoder)
