"""Which encoder and which backend a user's model stands for."""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from driftgate.builder.models import Model, find_model
from driftgate.errors import ArtifactError, EncoderError, OptionError, UnsafeFileError
from driftgate.inputs.encoder import load_encoder
from driftgate.pipeline import open_backend
from driftgate.publish.unjudged import build
from driftgate.run.device import RunSettings

Publish = Callable[..., Path]
LABELS = ("joy", "anger", "surprise", "neutral")


@pytest.fixture
def publish(tiny_encoder: Path, tmp_path: Path) -> Publish:
    """`publish("onnx/model.onnx", ...)`: configuration and tokenizer without weights, and ONNX files with nothing in them."""

    def make(*files: str, name: str = "published") -> Path:
        folder = tmp_path / name
        shutil.copytree(tiny_encoder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
        for file in files:
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).touch()
        return folder

    return make


def write_manifest(folder: Path, backend: str, precision: str, files: Sequence[str] = ("model.onnx",)) -> None:
    content = {
        "backend": backend, "precision": precision, "steps": ["export@1"], "encoder": "tiny", "encoder_sha256": "0" * 64,
        "versions": {}, "notes": {}, "schema": 1,
        "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files},
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(content), encoding="utf-8")


def file_of(model: Model) -> str:
    return Path(model.backend.partition("=")[2]).name


# Encoders


@pytest.mark.parametrize(
    ("backend", "expected"), [(None, "onnx-fp32"), ("torch", "torch"), ("mine=x.onnx", "mine=x.onnx")]
)
def test_an_encoder_is_asked_as_the_backend_says(tiny_encoder: Path, backend: str | None, expected: str) -> None:
    model = find_model(str(tiny_encoder), backend)
    assert (model.encoder, model.backend) == (load_encoder(tiny_encoder), expected)


def test_an_encoder_with_onnx_files_beside_it_is_built_from_its_weights_unless_a_file_is_named(
    copy_encoder: Callable[..., Path],
) -> None:
    folder = copy_encoder()
    (folder / "onnx").mkdir()
    (folder / "onnx/model_quantized.onnx").touch()
    assert find_model(str(folder), "onnx-int8").backend == "onnx-int8"
    assert find_model(str(folder)).backend == "onnx-fp32"
    assert file_of(find_model(str(folder), "model_quantized")) == "model_quantized.onnx"


def test_onnx_files_go_before_pickled_weights_unless_these_are_allowed(publish: Publish) -> None:
    folder = publish("model.onnx")
    (folder / "pytorch_model.bin").touch()
    assert file_of(find_model(str(folder))) == "model.onnx"
    assert find_model(str(folder), allow_pickle=True).backend == "onnx-fp32"


@pytest.fixture
def simple_checkpoint(tmp_path: Path, make_tiny_encoder: Callable[..., Path]) -> Path:
    """A checkpoint as simpletransformers saves it: two unnamed labels, no problem type, no fast tokenizer."""
    folder = tmp_path / "checkpoint-1071-epoch-7"
    make_tiny_encoder(folder, "bert", labels=("LABEL_0", "LABEL_1"), problem_type=None)
    (folder / "tokenizer.json").unlink()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config.pop("id2label", None)
    config.pop("label2id", None)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "model_args.json").write_text('{"max_seq_length": 128}', encoding="utf-8")
    (folder / "training_args.bin").write_bytes(b"pickled, and never read")
    return folder


def test_a_simpletransformers_checkpoint_is_an_encoder_of_one_label_a_text(simple_checkpoint: Path) -> None:
    from driftgate.inputs.tokens import tokenize

    encoder = find_model(str(simple_checkpoint)).encoder
    assert encoder.labels == ("LABEL_0", "LABEL_1")
    assert encoder.problem_type == "single_label_classification"
    assert encoder.problem_type_inferred
    assert len(tokenize(encoder, ["thank you"]).input_ids[0]) == 4  # the slow tokenizer's files made a fast one


def test_a_simpletransformers_checkpoint_with_pickled_weights_is_refused_until_they_are_allowed(
    simple_checkpoint: Path,
) -> None:
    (simple_checkpoint / "model.safetensors").rename(simple_checkpoint / "pytorch_model.bin")
    with pytest.raises(UnsafeFileError, match="allow_pickle=True"):
        find_model(str(simple_checkpoint))
    assert find_model(str(simple_checkpoint), allow_pickle=True).encoder.weights[0].name == "pytorch_model.bin"


# What driftgate build wrote


@pytest.mark.parametrize("backend", [None, "onnx-int8", "model", "model.onnx"])
def test_an_artifact_is_asked_as_the_class_in_its_manifest(publish: Publish, backend: str | None) -> None:
    folder = publish("model.onnx")
    write_manifest(folder, "onnx-int8", "int8-rowwise")
    model = find_model(str(folder), backend)
    assert model.backend == f"artifact-onnx-int8:int8-rowwise={folder / 'model.onnx'}"
    assert model.encoder.labels == LABELS


def test_an_artifact_is_not_taken_for_another_backend(publish: Publish) -> None:
    folder = publish("model.onnx")
    write_manifest(folder, "onnx-int8", "int8-rowwise")
    with pytest.raises(
        ArtifactError, match=r"no ONNX file is named after backend 'onnx-fp32'.*model.onnx \(onnx-int8\)"
    ):
        find_model(str(folder), "onnx-fp32")


def test_an_artifact_that_changed_since_it_was_written_is_refused(publish: Publish) -> None:
    folder = publish("model.onnx")
    write_manifest(folder, "onnx-fp32", "fp32", ["model.onnx", "config.json"])
    (folder / "README.md").touch()  # added, as a model card is
    find_model(str(folder))
    (folder / "model.onnx").write_bytes(b"another")
    with pytest.raises(ArtifactError, match=r"files differ from its manifest or are missing: model\.onnx"):
        find_model(str(folder))


def test_artifacts_in_hub_layout_are_told_apart_by_their_manifests(publish: Publish) -> None:
    """A file name says only that weights are INT8; several kinds of it may lie in one folder."""
    folder = publish("onnx/model_quantized.onnx", "onnx/model_int8_dynamic.onnx")
    for stem, backend in (("model_quantized", "onnx-int8"), ("model_int8_dynamic", "onnx-int8-dynamic")):
        precision = "int8-rowwise" if backend == "onnx-int8" else "int8-dynamic"
        write_manifest(folder / "onnx", backend, precision, [f"{stem}.onnx"])
        (folder / "onnx/manifest.json").rename(folder / f"onnx/{stem}.manifest.json")
    assert find_model(str(folder), "onnx-int8").backend.startswith("artifact-onnx-int8:int8-rowwise=")
    assert find_model(str(folder), "onnx-int8-dynamic").backend.startswith("artifact-onnx-int8-dynamic:int8-dynamic=")


def test_several_artifacts_are_told_apart_by_backend(publish: Publish, tmp_path: Path) -> None:
    for backend, precision in (("onnx-fp32", "fp32"), ("onnx-int8", "int8-rowwise")):
        write_manifest(publish("model.onnx", name=backend), backend, precision)
    assert find_model(str(tmp_path), "onnx-int8").backend.startswith("artifact-onnx-int8:int8-rowwise=")
    with pytest.raises(ArtifactError, match="onnx-fp32, onnx-int8; name one with backend"):
        find_model(str(tmp_path))
    with pytest.raises(ArtifactError, match="onnx-fp32, onnx-int8; 'onnx-fp16' is none of them"):
        find_model(str(tmp_path), "onnx-fp16")


def test_an_artifact_answers_without_weights_as_the_backend_it_was_built_as(
    tiny_encoder: Path, warm_cache: Path, tmp_path: Path
) -> None:
    from driftgate.inputs.batches import ArrivalPlan
    from driftgate.inputs.tokens import tokenize
    from driftgate.run.backend import predict

    encoder = load_encoder(tiny_encoder)
    build(encoder, "onnx-fp32", tmp_path / "out")
    found = find_model(str(tmp_path / "out"))
    tokens = tokenize(found.encoder, ["thank you so much"])
    logits = [
        predict(open_backend(*asked, RunSettings(1)), tokens, ArrivalPlan(1))
        for asked in ((encoder, "onnx-fp32"), (found.encoder, found.backend))
    ]
    assert (logits[0] == logits[1]).all()


# What others published

HUB_LAYOUT = ("onnx/model.onnx", "onnx/model_fp16.onnx", "onnx/model_quantized.onnx")


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        (None, "model.onnx"),
        ("onnx-fp32", "model.onnx"),
        ("onnx-fp16", "model_fp16.onnx"),
        ("onnx-int8", "model_quantized.onnx"),
        ("onnx-int8-dynamic", "model_quantized.onnx"),
        ("model_quantized", "model_quantized.onnx"),
        ("onnx/model_quantized.onnx", "model_quantized.onnx"),
    ],
)
def test_a_file_in_hub_layout_is_found_by_backend_or_by_name(
    publish: Publish, backend: str | None, expected: str
) -> None:
    model = find_model(str(publish(*HUB_LAYOUT)), backend)
    assert file_of(model) == expected
    assert model.encoder.labels == LABELS


def test_a_published_file_says_nothing_of_its_class(publish: Publish) -> None:
    folder = publish(*HUB_LAYOUT)
    assert (
        find_model(str(folder), "onnx-int8").backend == f"artifact-model-quantized={folder}/onnx/model_quantized.onnx"
    )


@pytest.mark.parametrize(
    ("files", "backend", "message"),
    [
        (
            ("onnx/model_int8.onnx", "onnx/model_quantized.onnx"),
            "onnx-int8",
            "several ONNX files that answer to 'onnx-int8'",
        ),
        (
            ("onnx/model_O1.onnx", "onnx/model_O2.onnx"),
            None,
            "several ONNX files: onnx/model_O1.onnx, onnx/model_O2.onnx",
        ),
        (("model.onnx", "onnx/model.onnx"), "model", "several ONNX files"),
        (
            ("onnx/model.onnx",),
            "onnx-int8",
            "no ONNX file is named after backend 'onnx-int8'.*no weights to build it from",
        ),
        (("onnx/model.onnx",), "torch", "no ONNX file is named after backend 'torch'"),
    ],
)
def test_an_ambiguous_or_absent_file_is_answered_with_those_there_are(
    publish: Publish, files: tuple[str, ...], backend: str | None, message: str
) -> None:
    with pytest.raises(ArtifactError, match=message) as refusal:
        find_model(str(publish(*files)), backend)
    for file in files:
        assert file in str(refusal.value)


@pytest.mark.parametrize("file", ["model.onnx", "onnx/model_quantized.onnx"])
def test_a_file_is_read_with_the_tokenizer_beside_it_or_one_folder_up(publish: Publish, file: str) -> None:
    folder = publish(file)
    model = find_model(str(folder / file))
    assert (model.encoder.path.resolve(), file_of(model)) == (folder.resolve(), Path(file).name)


def test_a_file_is_found_from_inside_its_folder(publish: Publish, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(publish("onnx/model.onnx") / "onnx")
    assert find_model("model.onnx").encoder.labels == LABELS


def test_tokenizer_and_configuration_may_lie_in_the_folder_of_the_files(publish: Publish, tmp_path: Path) -> None:
    publish("model.onnx", "model_quantized.onnx", name="repository/onnx")
    assert file_of(find_model(str(tmp_path / "repository"), "onnx-int8")) == "model_quantized.onnx"


def test_a_file_without_a_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/model.onnx").touch()
    with pytest.raises(
        ArtifactError, match=r"expected config.json and the tokenizer's files beside it or one folder up"
    ):
        find_model(str(tmp_path / "alone/model.onnx"))


def test_a_file_without_a_tokenizer_is_refused_with_what_was_looked_for_and_found(publish: Publish) -> None:
    folder = publish("model.onnx")
    for name in ("tokenizer.json", "vocab.json", "merges.txt"):
        (folder / name).unlink()
    with pytest.raises(
        EncoderError, match=r"expected tokenizer files \(tokenizer\.json\), found none.*there is config\.json"
    ):
        find_model(str(folder / "model.onnx"))


def test_a_path_with_a_comma_is_refused(publish: Publish) -> None:
    with pytest.raises(OptionError, match="commas separate backends"):
        find_model(str(publish("model.onnx", name="a,b")))


@pytest.mark.parametrize("name", ["model.pt", "notes.txt"])
def test_another_file_is_no_model(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(ArtifactError, match=r"expected a folder, a hub id or an \.onnx file"):
        find_model(str(tmp_path / name))


def test_an_onnx_file_that_is_not_there_never_reaches_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_args, **_options: pytest.fail("asked the hub"))
    with pytest.raises(ArtifactError, match="no such file"):
        find_model("models/nowhere.onnx")
