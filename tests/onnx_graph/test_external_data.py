"""The weights of a model are the files that its graph names: for its digest and size, in a baseline, and in what is copied."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from tiny_models import external_tensor, save_adder, save_graph

from driftgate.backends import REGISTRY, BackendSpec, Precision
from driftgate.builder.artifact import Artifact, Manifest, file_sha256, model_files, open_artifact, write_manifest
from driftgate.builder.model_file import read_model_file
from driftgate.doctor.read_graph import UNKNOWN_SHAPE, read_graph
from driftgate.errors import ArtifactError, UnsafeFileError
from driftgate.gate.baseline import BaselineBackend, read_gate_baseline, write_gate_baseline
from driftgate.inputs.encoder import load_encoder
from driftgate.onnx_graph.graph import has_external_data
from driftgate.onnx_graph.onnx_file import external_names
from driftgate.publish.layout import Layout, write_artifacts

FP32, FP16 = REGISTRY["onnx-fp32"], REGISTRY["onnx-fp16"]


def open_model(model: Path) -> Artifact:
    return open_artifact(model, Precision.FP32)


# What belongs to a model


def test_two_models_that_differ_in_a_file_of_weights_alone_have_two_digests(tmp_path: Path) -> None:
    one, other = (
        open_model(save_adder(tmp_path / name / "model.onnx", [1, 2, number])) for number, name in enumerate("ab")
    )
    assert one.model.read_bytes() == other.model.read_bytes()
    assert one.sha256 != other.sha256
    assert one.size_bytes == one.model.stat().st_size + 12


def test_what_only_looks_like_weights_does_not_belong_to_a_model(tmp_path: Path) -> None:
    model = save_adder(tmp_path / "model.onnx", [1, 2])
    before = open_model(model)
    for name in ("model.onnx_data", "model.onnx.bak", "weights.bin.tmp"):
        (tmp_path / name).write_bytes(b"something")
    assert open_model(model) == before
    assert model_files(model) == [model, tmp_path / "weights.bin"]


def test_the_digest_of_weights_under_the_usual_name_is_what_it_always_was(tmp_path: Path) -> None:
    """Baselines that were saved before stay good."""
    model = save_adder(tmp_path / "model.onnx", [1, 2], "model.onnx_data")
    lines = "".join(f"{path.name}{file_sha256(path)}" for path in (model, tmp_path / "model.onnx_data"))
    assert open_model(model).sha256 == hashlib.sha256(lines.encode()).hexdigest()


def _node(operator: str, **attributes: Any) -> Any:
    return helper.make_node(operator, [], ["y"], **attributes)


def _body(**parts: Any) -> Any:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    return helper.make_graph([_node("Constant", value_float=1.0)], "body", [], [output], **parts)


def _sparse() -> Any:
    indices = helper.make_tensor("indices", TensorProto.INT64, [2], [0, 1])
    return helper.make_sparse_tensor(external_tensor("s", [1, 2], "there"), indices, [4])


THERE = external_tensor("w", [1, 2], "there")
PLACES: dict[str, Callable[[], dict[str, Any]]] = {
    "initializer": lambda: {"initializer": [THERE]},
    "sparse initializer": lambda: {"sparse_initializer": [_sparse()]},
    "constant": lambda: {"nodes": [_node("Constant", value=THERE)]},
    "sparse constant": lambda: {"nodes": [_node("Constant", sparse_value=_sparse())]},
    "list of tensors": lambda: {"nodes": [helper.make_node("Mine", [], ["y"], domain="mine", values=[THERE])]},
    "initializer of a body": lambda: {"nodes": [_node("If", then_branch=_body(initializer=[THERE]))]},
    "body of a body": lambda: {
        "nodes": [_node("If", else_branch=helper.make_graph([_node("If", then_branch=_body(initializer=[THERE]))], "b", [], []))]
    },
    "function": lambda: {
        "functions": [
            helper.make_function("mine", "F", [], ["y"], [_node("Constant", value=THERE)], [helper.make_opsetid("", 17)])
        ]
    },
    "body in a function": lambda: {
        "functions": [
            helper.make_function(
                "mine", "F", [], ["y"], [_node("If", then_branch=_body(initializer=[THERE]))], [helper.make_opsetid("", 17)]
            )
        ]
    },
}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_weights_are_found_wherever_a_graph_has_them(place: str, tmp_path: Path) -> None:
    parts = PLACES[place]()
    nodes = parts.pop("nodes", [_node("Constant", value_float=1.0)])
    functions = parts.pop("functions", [])
    graph = helper.make_graph(nodes, "g", [], [], **parts)
    assert external_names(save_graph(tmp_path / "model.onnx", graph, functions=functions)) == ("there",)


def test_a_file_is_one_file_however_its_name_is_spelled(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/weights.bin").write_bytes(b"12345678")
    tensors = [
        external_tensor(str(number), [1], name)
        for number, name in enumerate(("data/weights.bin", "./data//weights.bin"))
    ]
    graph = helper.make_graph([_node("Constant", value_float=1.0)], "g", [], [], initializer=tensors)
    model = save_graph(tmp_path / "model.onnx", graph)
    assert external_names(model) == ("data/weights.bin",)
    assert open_model(model).size_bytes == model.stat().st_size + 8


def test_where_weights_lie_is_read_without_reading_them(tmp_path: Path) -> None:
    model = save_adder(tmp_path / "model.onnx", [1, 2])
    os.truncate(tmp_path / "weights.bin", 1 << 40)  # a terabyte of nothing
    assert model_files(model) == [model, tmp_path / "weights.bin"]
    assert has_external_data(model)


def test_a_model_without_weights_elsewhere_has_none(tmp_path: Path) -> None:
    graph = helper.make_graph([_node("Constant", value_float=1.0)], "g", [], [])
    model = save_graph(tmp_path / "model.onnx", graph)
    (tmp_path / "model.onnx_data").write_bytes(b"of another time")
    assert (model_files(model), has_external_data(model)) == ([model], False)


# What does not


@pytest.mark.parametrize("location", ["/etc/passwd", "../weights.bin", "a/../../b", "C:\\weights.bin", "\\weights.bin"])
def test_a_location_outside_the_models_folder_is_refused_before_anything_is_read(location: str, tmp_path: Path) -> None:
    graph = helper.make_graph([_node("Constant", value=external_tensor("w", [1], location))], "g", [], [])
    model = save_graph(tmp_path / "models/model.onnx", graph)
    (tmp_path / "weights.bin").write_bytes(b"1234")
    for read in (open_model, model_files, read_model_file, has_external_data):
        with pytest.raises(ArtifactError, match="expected a file in the model's own folder"):
            read(model)  # type: ignore[operator]
    assert "expected a file in the model's own folder" in str(read_graph(model, "m", UNKNOWN_SHAPE, None).error)


def test_weights_that_are_a_link_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    save_adder(tmp_path / "private/model.onnx", [1, 2])
    model = save_adder(tmp_path / "models/model.onnx", [1, 2])
    (tmp_path / "models/weights.bin").unlink()
    (tmp_path / "models/weights.bin").symlink_to(tmp_path / "private/weights.bin")
    with pytest.raises(UnsafeFileError, match=r"weights\.bin: expected a file that lies in the model's folder"):
        open_model(model)
    assert "lies in the model's folder" in str(read_graph(model, "m", UNKNOWN_SHAPE, None).error)


@pytest.mark.parametrize("name", ["weights.bin", "a\0b", "w" * 5000])
def test_missing_weights_are_named(name: str, tmp_path: Path) -> None:
    graph = helper.make_graph([_node("Constant", value=external_tensor("w", [1], name))], "g", [], [])
    with pytest.raises(ArtifactError, match=r"its weights lie in .*found no such file"):
        open_model(save_graph(tmp_path / "model.onnx", graph))


# Copies


def test_a_baseline_keeps_the_weights_where_the_graph_names_them(tmp_path: Path) -> None:
    artifact = open_model(save_adder(tmp_path / "built/model.onnx", [1, 2], "parts/weights.bin"))
    write_gate_baseline(tmp_path / "baseline", {"x": BaselineBackend(artifact, ())}, [], {})
    kept = read_gate_baseline(tmp_path / "baseline").backends["x"].artifact
    assert kept.sha256 == artifact.sha256
    assert answer(kept.model, [5, 5]) == [6, 7]


def answer(model: Path, values: list[float]) -> list[float]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found: list[float] = session.run(None, {"x": np.asarray(values, np.float32)})[0].tolist()
    return found


@pytest.fixture
def built(tmp_path: Path) -> Callable[[str, str, list[float]], Artifact]:
    def make(name: str, location: str, values: list[float]) -> Artifact:
        model = save_adder(tmp_path / "built" / name / "model.onnx", values, location)
        write_manifest(model.parent, Manifest(name, "fp32", ("export",), "e", "0", {}, {}))
        return open_model(model)

    return make


@pytest.mark.parametrize("location", ["weights.bin", "parts/weights.bin", "model.onnx_data", "config.json"])
def test_models_share_a_folder_and_each_finds_its_own_weights(
    location: str, built: Callable[[str, str, list[float]], Artifact], tiny_encoder: Path, tmp_path: Path
) -> None:
    artifacts: list[tuple[BackendSpec, Artifact]] = [
        (replace(spec, precision=Precision.FP32), built(spec.name, location, [1, number]))
        for number, spec in enumerate((FP32, FP16))
    ]
    out = tmp_path / "out"
    out.mkdir()
    write_artifacts(load_encoder(tiny_encoder), artifacts, out, Layout.HUB)
    for number, name in enumerate(("model.onnx", "model_fp16.onnx")):
        assert answer(out / "onnx" / name, [5, 5]) == [6, 5 + number]
    names = {name for model in ("model", "model_fp16") for name in external_names(out / f"onnx/{model}.onnx")}
    stored = {path.relative_to(out / "onnx").as_posix() for path in (out / "onnx").rglob("*") if path.is_file()}
    assert names == {name for name in stored if not name.endswith((".onnx", "manifest.json"))}
    expected = {"model.onnx_data", "model_fp16.onnx_data"}
    assert names == (expected if location == "model.onnx_data" else {location, f"model_fp16.{location}"})


@pytest.mark.parametrize("location", ["weights.bin", "parts/weights.bin", "model.onnx_data"])
def test_a_folder_of_one_model_keeps_the_names_that_its_graph_says(
    location: str, built: Callable[[str, str, list[float]], Artifact], tiny_encoder: Path, tmp_path: Path
) -> None:
    artifact = built("x", location, [1, 2])
    out = tmp_path / "out"
    out.mkdir()
    write_artifacts(load_encoder(tiny_encoder), [(FP32, artifact)], out, Layout.FOLDER)
    assert (out / "model.onnx").read_bytes() == artifact.model.read_bytes()
    assert (out / location).read_bytes() == (artifact.model.parent / location).read_bytes()
    assert location in (out / "manifest.json").read_text(encoding="utf-8")


def test_an_external_name_that_another_file_of_the_folder_has_is_changed(
    built: Callable[[str, str, list[float]], Artifact], tiny_encoder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_artifacts(load_encoder(tiny_encoder), [(FP32, built("x", "config.json", [1, 2]))], out, Layout.FOLDER)
    assert answer(out / "model.onnx", [5, 5]) == [6, 7]
    assert (out / "config.json").read_bytes() == (tiny_encoder / "config.json").read_bytes()
    assert onnx.load(out / "model.onnx", load_external_data=False).graph.initializer[0].external_data[0].value == (
        "model.config.json"
    )
