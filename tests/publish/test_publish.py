"""Publishing: judged first, then written whole or not at all, then pushed only where nothing of anyone else's is in the way."""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
import pytest
from publishing import (
    CORPUS,
    FP16,
    FP32,
    INT8,
    ONE_THREAD,
    RARE_WORD,
    WORDS,
    files_below,
    never,
)
from untimed import PLANS

from driftgate import pipeline as pipeline_module
from driftgate.assessor import suite_bounds
from driftgate.backends import REGISTRY, BackendSpec, Precision, Runtime, Step
from driftgate.builder.artifact import (
    CARD,
    MANIFEST,
    Artifact,
    file_sha256,
    open_artifact,
    read_manifest,
    verify_manifest,
)
from driftgate.builder.models import find_model
from driftgate.builder.vectors import vectors_folder
from driftgate.errors import BuildError, EncoderError
from driftgate.inputs.batches import ArrivalPlan
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.pipeline import open_backend, prepare_backend
from driftgate.publish import layout as layout_module
from driftgate.publish import publication as publish_module
from driftgate.publish.acceptance import Trial
from driftgate.publish.layout import Layout, fill_folder, place_of, write_artifacts
from driftgate.publish.publication import Published, describe_source, publish
from driftgate.publish.unjudged import build
from driftgate.run.backend import predict

Publish = Callable[..., Published]


def interrupted(*_arguments: object, **_options: object) -> NoReturn:
    raise KeyboardInterrupt


# What is written


def test_a_folder_holds_model_clients_vectors_card_and_manifest(single: Path) -> None:
    files = files_below(single)
    assert {"model.onnx", "config.json", "tokenizer.json", CARD, MANIFEST} <= files
    assert {"test_data_set_0/input_0.pb", "test_data_set_0/output_0.pb"} <= files
    assert verify_manifest(single).backend == "onnx-int8"


def test_the_manifest_covers_the_vectors_and_leaves_the_card_to_people(single: Path) -> None:
    assert set(read_manifest(single).files) == files_below(single) - {CARD, MANIFEST}


def test_hub_layout_names_files_as_published_models_do(hub: Path) -> None:
    models = {path.relative_to(hub).as_posix() for path in hub.rglob("*.onnx")}
    assert models == {"onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_quantized.onnx"}
    assert {"config.json", "tokenizer.json", CARD} <= {path.name for path in hub.iterdir()}


def test_hub_layout_has_a_manifest_and_vectors_for_every_model(hub: Path) -> None:
    for backend in ("onnx-fp32", "onnx-fp16", "onnx-int8"):
        model = hub / place_of(backend, Layout.HUB)
        manifest = read_manifest(model.with_suffix(f".{MANIFEST}"))
        assert manifest.backend == backend
        for name, sha256 in manifest.files.items():
            assert file_sha256(model.parent / name) == sha256
        assert {model.name, "../config.json"} <= set(manifest.files)
        assert len(list(vectors_folder(model).glob("test_data_set_*/output_0.pb"))) == 3


def test_names_of_backends_are_distinct_files_in_hub_layout() -> None:
    buildable = [name for name, spec in REGISTRY.items() if spec.steps]
    places = {place_of(name, Layout.HUB) for name in buildable}
    assert len(places) == len(buildable)


@pytest.mark.parametrize("backend", ["onnx-fp32", "onnx-fp16", "onnx-int8"])
def test_a_hub_folder_is_asked_by_the_backends_name(
    backend: str, hub: Path, encoder: Encoder, module_cache: None
) -> None:
    found = find_model(str(hub), backend)
    tokens = tokenize(encoder, WORDS)
    theirs = predict(open_backend(found.encoder, found.backend, ONE_THREAD), tokens, ArrivalPlan(1))
    ours = predict(open_backend(encoder, backend, ONE_THREAD), tokens, ArrivalPlan(1))
    assert theirs.tolist() == ours.tolist()


def test_several_backends_get_a_folder_each_with_a_card_of_its_own(
    encoder: Encoder, trial: Trial, module_cache: None, untimed: None, tmp_path: Path
) -> None:
    published = publish(encoder, [FP32, INT8], tmp_path / "out", trial)
    assert published.folders == {name: tmp_path / "out" / name for name in ("onnx-fp32", "onnx-int8")}
    cards = {name: (folder / CARD).read_text(encoding="utf-8") for name, folder in published.folders.items()}
    assert "`onnx-fp32`" in cards["onnx-fp32"]
    assert "`onnx-int8`" not in cards["onnx-fp32"]
    assert "--backend onnx-int8" in cards["onnx-int8"]


def test_the_card_shows_what_was_measured_and_no_text(single: Path, encoder: Encoder, trial: Trial) -> None:
    text = (single / CARD).read_text(encoding="utf-8")
    assert RARE_WORD not in text
    assert CORPUS.sha256 in text
    assert encoder.sha256 in text
    assert "120 texts of `mine` (without labels)" in text
    assert f"{(single / 'model.onnx').stat().st_size:,} bytes" in text


def test_every_backend_is_timed_beside_torch_under_every_plan(hub: Path) -> None:
    text = (hub / CARD).read_text(encoding="utf-8")
    for plan in PLANS:
        (line,) = re.findall(rf"^\| {plan} \| (.*) \|$", text, re.MULTILINE)
        torch, *ratios = line.split(" | ")
        assert float(torch) > 0
        spreads = [[float(number) for number in re.findall(r"[\d.]+", ratio)] for ratio in ratios]
        assert len(spreads) == 3
        assert all(0 < low <= median <= high for median, low, high in spreads)


# What clients find in tokenizer.json


def test_a_tokenizer_without_padding_is_told_to_pad_and_to_cut(single: Path, encoder: Encoder) -> None:
    source, written = (
        json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")) for folder in (encoder.path, single)
    )
    assert source["padding"] is None
    assert (written["padding"]["strategy"], written["padding"]["pad_token"]) == ("BatchLongest", "<pad>")
    assert written["truncation"]["max_length"] == encoder.max_tokens
    assert {**written, "padding": None, "truncation": None} == {**source, "truncation": None}


def test_a_tokenizer_that_pads_and_cuts_already_is_copied_as_it_is(
    copy_encoder: Callable[..., Path], single: Path, tmp_path: Path
) -> None:
    folder = copy_encoder()
    told = json.loads((single / "tokenizer.json").read_text(encoding="utf-8"))
    (folder / "tokenizer.json").write_text(json.dumps(told, indent=7), encoding="utf-8")
    layout_module.write_tokenizer(load_encoder(folder), tmp_path)
    assert (tmp_path / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


def test_a_vocabulary_alone_becomes_a_tokenizer_file(
    copy_encoder: Callable[..., Path], single: Path, tmp_path: Path
) -> None:
    folder = copy_encoder()
    (folder / "tokenizer.json").unlink()
    layout_module.write_tokenizer(load_encoder(folder), tmp_path)
    written, usual = (
        json.loads((place / "tokenizer.json").read_text(encoding="utf-8")) for place in (tmp_path, single)
    )
    assert written["model"]["vocab"] == usual["model"]["vocab"]
    assert written["padding"] == usual["padding"]


# External data


def externalize(artifact: Artifact, folder: Path) -> Artifact:
    """The same model with its weights in a file of their own, as models over 2 GB have them."""
    folder.mkdir()
    onnx.save(
        onnx.load(artifact.model), folder / "model.onnx", save_as_external_data=True, location="model.onnx_data",
        size_threshold=1024,
    )  # fmt: skip
    shutil.copy2(artifact.model.parent / MANIFEST, folder)
    return open_artifact(folder / "model.onnx", artifact.precision)


def test_models_with_external_data_share_a_hub_folder(encoder: Encoder, module_cache: None, tmp_path: Path) -> None:
    built = [prepare_backend(encoder, spec).artifact for spec in (FP32, FP16)]
    artifacts = [externalize(one, tmp_path / str(number)) for number, one in enumerate(built) if one is not None]
    out = tmp_path / "out"
    out.mkdir()
    write_artifacts(encoder, list(zip((FP32, FP16), artifacts, strict=True)), out, Layout.HUB)
    assert {"model.onnx_data", "model_fp16.onnx_data"} <= {path.name for path in (out / "onnx").iterdir()}
    tokens = tokenize(encoder, WORDS)
    for spec in (FP32, FP16):
        found = find_model(str(out), spec.name)
        theirs = predict(open_backend(found.encoder, found.backend, ONE_THREAD), tokens, ArrivalPlan(1))
        ours = predict(open_backend(encoder, spec.name, ONE_THREAD), tokens, ArrivalPlan(1))
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5)


# Judged first


def spoil(source: Path, target: Path) -> None:
    """Scale one square weight: a wrong model that loads and answers."""
    model = onnx.load(source)
    weight = next(one for one in model.graph.initializer if len(one.dims) == 2 and one.dims[0] == one.dims[1])
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * np.float32(1.5), weight.name))
    onnx.save(model, target)


def test_a_wrong_artifact_is_not_published(encoder: Encoder, trial: Trial, module_cache: None, tmp_path: Path) -> None:
    wrong = BackendSpec("mine", Precision.FP32, Runtime.ONNXRUNTIME, ("export", Step("spoil", "1", spoil)))
    published = publish(encoder, [FP32, wrong], tmp_path / "out", trial)
    assert published.folders == {}
    assert {failure.backend for failure in published.failures} == {"mine"}
    assert "mean_of_largest_probability_drift" in {failure.metric for failure in published.failures}
    assert published.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_the_bounds_are_the_accuracy_suites() -> None:
    assert suite_bounds().read_bytes() == (Path(__file__).parents[2] / "accuracy/bounds.toml").read_bytes()


# Nothing half-made


@pytest.mark.parametrize("exists", [False, True], ids=["new-folder", "empty-folder"])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        (pipeline_module, "prepare_backend"), (publish_module, "measure_speed"), (publish_module, "render_card"),
        (layout_module, "write_vectors"), (layout_module, "write_manifest"), (layout_module, "_move"),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)  # fmt: skip
def test_an_interrupted_build_leaves_nothing(
    module: Any, name: str, exists: bool, encoder: Encoder, trial: Trial, module_cache: None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "not/yet" if not exists else tmp_path / "there"
    if exists:
        out.mkdir()
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(publish_module, "measure_speed", lambda *_arguments: None)
    monkeypatch.setattr(publish_module, "render_card", lambda _card: "a card")
    monkeypatch.setattr(module, name, interrupted)
    with pytest.raises(KeyboardInterrupt):
        publish(encoder, [FP32], out, trial)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_second_backend_that_cannot_be_written_takes_the_first_with_it(
    encoder: Encoder, module_cache: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = layout_module.write_vectors

    def refuse_the_second(folder: Path, model: Path, feeds: Any) -> object:
        if "onnx-int8" in str(folder):
            raise OSError(28, os.strerror(28))
        return write(folder, model, feeds)

    monkeypatch.setattr(layout_module, "write_vectors", refuse_the_second)
    with pytest.raises(BuildError, match="No space left on device"):
        build(encoder, "onnx-fp32,onnx-int8", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_move_into_an_empty_folder_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename

    def stop_at_the_second(path: Path, target: Path) -> Path:
        if path.name == "b":
            raise KeyboardInterrupt
        return rename(path, target)

    def write_and_move() -> None:
        with fill_folder(tmp_path / "out") as folder:
            (folder / "a").touch()
            (folder / "b").mkdir()

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(Path, "rename", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        write_and_move()
    assert list((tmp_path / "out").iterdir()) == []


# The source's licence


def write_card(folder: Path, text: str) -> Encoder:
    (folder / CARD).write_text(text, encoding="utf-8")
    return load_encoder(folder)


def test_licence_and_language_come_from_the_sources_card(copy_encoder: Callable[..., Path]) -> None:
    encoder = write_card(copy_encoder(), "---\nlicense: mit\nlanguage: en\ndatasets: [go_emotions]\n---\n# A model\n")
    assert describe_source(encoder).carried == {"license": "mit", "language": "en"}


def test_a_card_without_metadata_states_no_licence(copy_encoder: Callable[..., Path]) -> None:
    assert describe_source(write_card(copy_encoder(), "# A model\n")).carried == {}


def test_metadata_that_cannot_be_read_is_refused_before_anything_is_built(
    copy_encoder: Callable[..., Path], trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = write_card(copy_encoder(), "---\nlicense: [mit\n---\n")
    monkeypatch.setattr(pipeline_module, "prepare_backend", never)
    with pytest.raises(EncoderError, match=r"README\.md: its metadata cannot be read"):
        publish(encoder, [FP32], tmp_path / "out", trial)


def test_an_encoder_of_the_hub_is_recorded_with_its_commit(
    encoder: Encoder, module_cache: None, tmp_path: Path
) -> None:
    fetched = replace(encoder, name="ME/mini", revision="0" * 40)
    build(fetched, "onnx-fp32", tmp_path / "out")
    assert read_manifest(tmp_path / "out").encoder_revision == "0" * 40
    source = describe_source(fetched)
    assert (source.repository, source.encoder.revision) == ("ME/mini", "0" * 40)
    assert describe_source(encoder).repository is None
