"""Folders that others can load: what is in them, and whole or not at all."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np
import onnx
import pytest

from driftgate.backends import REGISTRY, Precision
from driftgate.builder.artifact import MANIFEST, open_artifact, verify_manifest
from driftgate.builder.build import build_artifact
from driftgate.errors import ArtifactError, BuildError, OptionError
from driftgate.inputs.batches import ArrivalPlan
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.publish import layout as layout_module
from driftgate.publish.unjudged import build
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings
from driftgate.run.torch_backend import open_reference

TEXTS = (
    "thank you so much, this made my day",
    "no",
    "the bus was late again and it rained, and nobody I know saw that coming at all",
)


SETTINGS = RunSettings(threads=1)


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


def test_a_copy_holds_model_configuration_tokenizer_and_manifest(
    encoder: Encoder, warm_cache: Path, tmp_path: Path
) -> None:
    (folder,) = build(encoder, "onnx-fp32", tmp_path / "out").values()
    names = {path.name for path in folder.iterdir()}
    assert {"model.onnx", "config.json", "tokenizer.json", "tokenizer_config.json", MANIFEST} <= names
    assert not {"model.safetensors", "thresholds.json"} & names


def test_a_copy_takes_the_thresholds_along(copy_encoder: Callable[..., Path], warm_cache: Path, tmp_path: Path) -> None:
    source = copy_encoder()
    thresholds = '{"thresholds": {"joy": 0.4, "anger": 0.3, "surprise": 0.2, "neutral": 0.5}}'
    (source / "thresholds.json").write_text(thresholds, encoding="utf-8")
    (folder,) = build(load_encoder(source), "onnx-fp32", tmp_path / "out").values()
    assert (folder / "thresholds.json").read_text(encoding="utf-8") == thresholds


def test_the_manifest_of_a_copy_says_how_it_was_made(encoder: Encoder, warm_cache: Path, tmp_path: Path) -> None:
    (folder,) = build(encoder, "onnx-fp16", tmp_path / "out").values()
    manifest = verify_manifest(folder)
    assert (manifest.backend, manifest.precision) == ("onnx-fp16", "fp16")
    assert [step.partition("@")[0] for step in manifest.steps] == ["export", "optimize-basic", "float16"]
    assert (manifest.encoder, manifest.encoder_sha256) == (encoder.name, encoder.sha256)
    assert manifest.versions["onnx"] == onnx.__version__
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert "test_data_set_0/input_0.pb" in written
    assert set(manifest.files) == written - {MANIFEST}


def test_a_changed_copy_does_not_verify(encoder: Encoder, warm_cache: Path, tmp_path: Path) -> None:
    (folder,) = build(encoder, "onnx-fp32", tmp_path / "out").values()
    (folder / "config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"differ from the manifest: config\.json"):
        verify_manifest(folder)


LOADED_BY_OTHERS = """
import sys
import numpy as np, onnxruntime, tokenizers

tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
encoding = tokenizer.encode(sys.argv[1])
feed = {"input_ids": np.array([encoding.ids]), "attention_mask": np.array([encoding.attention_mask])}
assert not {"torch", "transformers", "optimum", "driftgate"} & set(sys.modules)
print(*session.run(["logits"], feed)[0][0].tolist())
"""


def test_a_copy_answers_with_onnxruntime_and_tokenizers_alone(
    encoder: Encoder, warm_cache: Path, tmp_path: Path
) -> None:
    (folder,) = build(encoder, "onnx-fp32", tmp_path / "out").values()
    command = [sys.executable, "-c", LOADED_BY_OTHERS, TEXTS[0]]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    expected = predict(open_reference(encoder, SETTINGS), tokenize(encoder, TEXTS[:1]), ArrivalPlan(1))
    np.testing.assert_allclose(np.array(done.stdout.split(), dtype=np.float32), expected[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("depth", ["out", "not/yet/there"])
def test_a_new_folder_is_made(depth: str, encoder: Encoder, warm_cache: Path, tmp_path: Path) -> None:
    build(encoder, "onnx-fp32", tmp_path / depth)
    verify_manifest(tmp_path / depth)


def test_an_empty_folder_is_filled_and_not_replaced(encoder: Encoder, warm_cache: Path, tmp_path: Path) -> None:
    """It may be a mount point, which cannot be removed."""
    target = tmp_path / "out"
    target.mkdir()
    before = target.stat().st_ino
    build(encoder, "onnx-fp32", target)
    verify_manifest(target)
    assert target.stat().st_ino == before
    assert not list(target.glob("*.partial"))


def test_the_current_folder_can_be_filled(
    encoder: Encoder, warm_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "here"
    target.mkdir()
    monkeypatch.chdir(target)
    build(encoder, "onnx-fp32", ".")
    verify_manifest(Path.cwd())


def put_file(folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").touch()


@pytest.mark.parametrize("put", [put_file, Path.touch], ids=["folder-with-a-file", "file"])
def test_what_is_already_there_is_left_alone(
    put: Callable[[Path], None], encoder: Encoder, warm_cache: Path, tmp_path: Path
) -> None:
    put(tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BuildError, match=r"expected a new or empty folder, found .*nothing was written"):
        build(encoder, "onnx-fp32", tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_in_the_way_is_refused_before_anything_is_built(
    encoder: Encoder, empty_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    put_file(tmp_path / "out/onnx-fp16")
    with pytest.raises(BuildError, match="onnx-fp16: expected a new or empty folder"):
        build(encoder, "onnx-fp32,onnx-fp16", tmp_path / "out")
    assert not empty_cache.exists()


@pytest.mark.parametrize("exists", [False, True], ids=["new-folder", "empty-folder"])
def test_a_copy_onto_a_full_disk_keeps_nothing(
    exists: bool, encoder: Encoder, warm_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_artifact(encoder, REGISTRY["onnx-fp32"])
    place = tmp_path / "place"
    (place / "out" if exists else place).mkdir(parents=True)
    before = sorted(place.rglob("*"))

    def refuse(folder: Path, manifest: object) -> NoReturn:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(layout_module, "write_manifest", refuse)
    with pytest.raises(BuildError, match=r"cannot be written \(No space left on device\); nothing was kept"):
        build(encoder, "onnx-fp32", place / "out")
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("exists", [False, True], ids=["new-folder", "empty-folder"])
def test_what_a_killed_copy_left_is_not_in_the_way(
    exists: bool, encoder: Encoder, warm_cache: Path, tmp_path: Path
) -> None:
    target = tmp_path / "out"
    leftover = (target if exists else tmp_path) / ".out.partial"
    leftover.mkdir(parents=True)
    (leftover / "model.onnx").write_text("half", encoding="utf-8")
    build(encoder, "onnx-fp32", target)
    verify_manifest(target)
    assert not leftover.exists()


def test_a_place_that_cannot_be_written_is_named(encoder: Encoder, warm_cache: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BuildError, match="file/out: cannot be written"):
        build(encoder, "onnx-fp32", tmp_path / "file/out")


def test_several_backends_get_a_folder_each(encoder: Encoder, warm_cache: Path, tmp_path: Path) -> None:
    folders = build(encoder, "onnx-fp32,onnx-int8-dynamic", tmp_path / "out")
    assert folders == {name: tmp_path / "out" / name for name in ("onnx-fp32", "onnx-int8-dynamic")}
    assert [verify_manifest(folder).backend for folder in folders.values()] == list(folders)


@pytest.mark.parametrize("backends", ["torch", "torch-compile", "onnx-fp32,torch"])
def test_backends_without_files_cannot_be_built(
    backends: str, encoder: Encoder, empty_cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=r"torch.*nothing to build"):
        build(encoder, backends, tmp_path / "out")
    assert not empty_cache.exists()


def test_a_file_name_with_brackets_is_one_file(encoder: Encoder, warm_cache: Path, tmp_path: Path) -> None:
    artifact = build_artifact(encoder, REGISTRY["onnx-fp32"])
    model = shutil.copy2(artifact.model, tmp_path / "model[1].onnx")
    assert open_artifact(model, Precision.FP32).size_bytes == artifact.size_bytes
