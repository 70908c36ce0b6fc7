"""Publishing: judged first, then written whole or not at all, then pushed only where nothing of anyone else's is in the way."""

import json
import math
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
import pytest
from command_line import run_driftgate
from huggingface_hub.errors import RepositoryNotFoundError
from untimed import PLANS, made_up_speed

from driftgate import pipeline as pipeline_module
from driftgate.assessor import find_bounds, suite_bounds
from driftgate.backends import REGISTRY, BackendSpec, Precision, Runtime, Step
from driftgate.builder import layout as layout_module
from driftgate.builder.artifact import (
    CARD,
    MANIFEST,
    Artifact,
    file_sha256,
    open_artifact,
    read_manifest,
    verify_manifest,
)
from driftgate.builder.layout import Layout, fill_folder, place_of, write_artifacts
from driftgate.builder.models import find_model
from driftgate.builder.vectors import vectors_folder
from driftgate.cli import build_command
from driftgate.errors import BuildError, EncoderError, PushError
from driftgate.inputs.batches import ArrivalPlan
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.pipeline import open_backend, prepare_backend
from driftgate.publish import acceptance as trial_module
from driftgate.publish import publication as publish_module
from driftgate.publish.acceptance import Trial
from driftgate.publish.publication import Published, describe_source, publish
from driftgate.publish.push import Destination, find_destination, open_hub, push_folder, require_repository
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings

FP32, FP16, INT8 = REGISTRY["onnx-fp32"], REGISTRY["onnx-fp16"], REGISTRY["onnx-int8"]
ONE_THREAD = RunSettings(1)
RARE_WORD = "zanzibar"
WORDS = (f"thank you so much, this made my day {RARE_WORD}", "the bus was late again and it rained", "what a game!")
TEXTS = tuple(f"{text} {number}" for number in range(40) for text in WORDS)
CORPUS = Corpus("mine", TEXTS, tuple(map(str, range(len(TEXTS)))), labels=None)

Publish = Callable[..., Published]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


@pytest.fixture(scope="module")
def trial() -> Trial:
    """Only float32 is held to its bounds: random weights decide by a hair."""
    bounds = {
        key: replace(bound, limit=math.inf) if not key[0].startswith("fp32") else bound
        for key, bound in find_bounds(None)[-1].items()
    }
    return Trial(CORPUS, len(CORPUS), [bounds], ONE_THREAD)


@pytest.fixture(scope="module")
def module_cache(shared_cache: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIFTGATE_CACHE", str(shared_cache))
        yield


@pytest.fixture(scope="module")
def single(encoder: Encoder, trial: Trial, module_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One backend in a folder, not timed."""
    out = tmp_path_factory.mktemp("published") / "single"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publish_module, "measure_speed", made_up_speed)
        publish(encoder, [INT8], out, trial)
    return out


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish_module, "measure_speed", made_up_speed)


@pytest.fixture(scope="module")
def hub(encoder: Encoder, trial: Trial, module_cache: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three backends in hub layout, really timed, on a few texts."""
    out = tmp_path_factory.mktemp("published") / "hub"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial_module, "_SPEED_ROWS", 4)
        publish(encoder, [FP32, FP16, INT8], out, trial, layout=Layout.HUB)
    return out


def never(*_arguments: object, **_options: object) -> NoReturn:
    pytest.fail("called, though a mistake should have ended it before")


def interrupted(*_arguments: object, **_options: object) -> NoReturn:
    raise KeyboardInterrupt


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


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
        place = place_of(backend, Layout.HUB)
        manifest = read_manifest(hub / place.manifest)
        assert manifest.backend == backend
        for name, sha256 in manifest.files.items():
            assert file_sha256((hub / place.manifest).parent / name) == sha256
        assert {Path(place.model).name, "../config.json"} <= set(manifest.files)
        assert len(list(vectors_folder(hub / place.model).glob("test_data_set_*/output_0.pb"))) == 3


def test_names_of_backends_are_distinct_files_in_hub_layout() -> None:
    buildable = [name for name, spec in REGISTRY.items() if spec.steps]
    places = {place_of(name, Layout.HUB) for name in buildable}
    assert len({place.model for place in places}) == len({place.manifest for place in places}) == len(buildable)


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


def test_without_a_trial_there_is_no_card(encoder: Encoder, module_cache: None, tmp_path: Path) -> None:
    published = publish(encoder, [FP32], tmp_path / "out", None)
    assert published.assessments == ()
    assert CARD not in files_below(tmp_path / "out")
    assert "test_data_set_0/input_0.pb" in files_below(tmp_path / "out")


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
        publish(encoder, [FP32, INT8], tmp_path / "out", None)
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
    publish(fetched, [FP32], tmp_path / "out", None)
    assert read_manifest(tmp_path / "out").encoder_revision == "0" * 40
    source = describe_source(fetched)
    assert (source.repository, source.revision) == ("ME/mini", "0" * 40)
    assert describe_source(encoder).repository is None


# The hub


@dataclass
class Repository:
    """What `HfApi.model_info` answers, as far as it is read."""

    private: bool = False
    files: tuple[str, ...] = ()

    @property
    def siblings(self) -> list[Any]:
        return [type("Sibling", (), {"rfilename": name}) for name in self.files]


@dataclass
class Hub:
    """Shaped like `HfApi`; remembers what was asked of it."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    broken: Exception | None = None
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def whoami(self) -> dict[str, str]:
        if self.broken:
            raise self.broken
        return {"name": "ME"}

    def model_info(self, repository: str) -> Repository:
        if repository not in self.repositories:
            raise RepositoryNotFoundError("404", response=type("Response", (), {"headers": {}, "request": None})())
        return self.repositories[repository]

    def create_repo(self, repository: str, **options: Any) -> str:
        self.calls.append(("create_repo", {"repository": repository, **options}))
        return f"hub/{repository}"

    def upload_folder(self, **options: Any) -> None:
        if self.broken:
            raise self.broken
        self.calls.append(("upload_folder", {**options, "files": files_below(options["folder_path"])}))


def look(hub: Hub, repository: str = "ME/mini-onnx", *, private: bool = False) -> Destination:
    return find_destination(repository, ["onnx/model.onnx"], ["config.json"], private=private, api=hub)


def test_a_name_alone_is_the_owners_of_the_token() -> None:
    assert look(Hub(), "mini-onnx").repository == "ME/mini-onnx"


def test_a_repository_is_made_and_filled_in_one_commit(hub: Path) -> None:
    there = Hub()
    destination = look(there, private=True)
    assert push_folder(hub, destination, "Add it", there) == "hub/ME/mini-onnx"
    (create, made), (upload, pushed) = there.calls
    assert (create, upload) == ("create_repo", "upload_folder")
    assert made == {"repository": "ME/mini-onnx", "private": True, "exist_ok": False}
    assert (pushed["repo_id"], pushed["commit_message"]) == ("ME/mini-onnx", "Add it")
    assert {CARD, "onnx/model_quantized.onnx", "onnx/model_quantized.manifest.json"} <= pushed["files"]


def test_a_push_may_replace_what_an_earlier_one_wrote() -> None:
    files = (".gitattributes", CARD, "config.json", "onnx/model.onnx", "onnx/model.manifest.json",
             "onnx/model/test_data_set_0/input_0.pb", "onnx/test_data_set_0/input_0.pb")  # fmt: skip
    assert look(Hub({"ME/mini-onnx": Repository(files=files)})).exists


@pytest.mark.parametrize("foreign", ["model.safetensors", "onnx/model_fp16.onnx", "onnx/modeling.py"])
def test_a_repository_with_anything_else_is_refused(foreign: str) -> None:
    with pytest.raises(PushError, match=f"it holds {foreign}; choose another name"):
        look(Hub({"ME/mini-onnx": Repository(files=(CARD, "config.json", foreign))}))


def test_a_public_repository_does_not_become_private_by_a_push() -> None:
    with pytest.raises(PushError, match="the repository is public"):
        look(Hub({"ME/mini-onnx": Repository()}), private=True)
    assert look(Hub({"ME/mini-onnx": Repository(private=True)}), private=True).exists


@pytest.mark.parametrize("name", ["a/b/c", "a b", "-", "ME/", ""])
def test_what_is_no_hub_id_is_refused(name: str) -> None:
    with pytest.raises(PushError, match="expected a hub id such as OWNER/NAME"):
        require_repository(name)


def test_without_a_token_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(PushError, match=r"no token to write with; `hf auth login`, or set HF_TOKEN"):
        open_hub()


@pytest.mark.parametrize("error", [ConnectionError("no route to host"), OSError("Invalid user token.")])
def test_a_hub_that_does_not_answer_is_one_clear_error(error: Exception) -> None:
    with pytest.raises(PushError, match=f"{error}; check the token, the name, the network and HF_HUB_OFFLINE"):
        look(Hub(broken=error))


def test_a_failed_upload_says_how_to_try_again(hub: Path) -> None:
    before = files_below(hub)
    with pytest.raises(PushError, match=r"connection reset; the files stay in .*: `hf upload ME/mini-onnx"):
        push_folder(
            hub,
            Destination("ME/mini-onnx", None, exists=True),
            "Add it",
            Hub(broken=ConnectionError("connection reset")),
        )
    assert files_below(hub) == before


# The command line


@pytest.fixture
def build(tiny_encoder: Path, warm_cache: Path, tmp_path: Path, untimed: None) -> Callable[..., Any]:
    """`build(*options)`: `driftgate build` into `tmp_path/out`, judged on a few texts of a user's."""
    corpus = tmp_path / "mine.jsonl"
    corpus.write_text("\n".join(json.dumps({"body": text}) for text in TEXTS), encoding="utf-8")
    judged = ("--corpus", corpus, "--text-column", "body", "--threads", 1)

    def run(*options: object, backend: str = "onnx-fp32", on: tuple[object, ...] = judged) -> Any:
        command = ["build", tiny_encoder, "--backend", backend, "--out", tmp_path / "out", *on, *options]
        return run_driftgate(*command)

    return run


def assert_refused(result: Any, *words: str) -> None:
    assert (result.exit_code, result.stdout) == (4, ""), result.output
    for word in words:
        assert word in result.stderr


def test_build_says_what_was_judged_on_standard_error(build: Callable[..., Any], tmp_path: Path) -> None:
    result = build("--corpus-rows", 99)
    assert result.exit_code == 0, result.output
    assert "judged on encoder tiny-roberta, corpus mine (99 rows)" in result.stderr
    assert "onnx-fp32: largest probability difference" in result.stderr
    assert result.stdout.splitlines() == [f"onnx-fp32: {tmp_path / 'out'} (0.1 MB)"]
    assert "99 texts drawn from 120 with seed 0 of `mine`" in (tmp_path / "out" / CARD).read_text(encoding="utf-8")


def test_too_few_texts_to_show_drift_end_with_7_and_write_nothing(build: Callable[..., Any], tmp_path: Path) -> None:
    result = build("--corpus-rows", 10)
    assert (result.exit_code, result.stdout) == (7, ""), result.output
    assert "bounds not shown on 10 rows: " in result.stderr
    assert "mean_of_largest_probability_drift needs about 99 different rows" in result.stderr
    assert (
        "drift is not shown to be kept: exit code 7; give more rows with --corpus; nothing was published"
        in result.stderr
    )
    assert not (tmp_path / "out").exists()


def test_what_is_not_shown_can_be_published_where_it_is_only_to_be_warned_of(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    result = build("--corpus-rows", 10, "--not-shown", "warn")
    assert result.exit_code == 0, result.output
    assert "bounds not shown on 10 rows" in result.stderr
    assert ", not shown |" in (tmp_path / "out" / CARD).read_text(encoding="utf-8")


def test_everything_can_be_asked_to_be_shown(build: Callable[..., Any], tmp_path: Path) -> None:
    """Drift is shown on 33 texts, flips are not."""
    result = build("--not-shown", "fail")
    assert result.exit_code == 7, result.output
    assert "row_flip_rate_at_0_5 needs about" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_broken_bound_ends_with_1_and_says_by_how_much(build: Callable[..., Any], tmp_path: Path) -> None:
    bounds = tmp_path / "bounds.toml"
    bounds.write_text(
        '[fp32.max_abs_logit_drift]\nat_most = 0.0\nreason = "none at all"\nset_on = 2026-11-21\n', encoding="utf-8"
    )
    result = build("--bounds", bounds)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert "1 bound is broken on encoder tiny-roberta, corpus mine (120 rows); nothing was published:" in result.stderr
    assert "none at all); beyond it by " in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--no-verify",), "only the judgement and the ledger read it"),
        (("--private",), "--private: only --push-to-hub reads it"),
        (("--dry-run",), "--dry-run: only --push-to-hub reads it"),
        (("--push-to-hub", "ME/mini", "--layout", "folder"), "repositories have the layout hub"),
        (("--push-to-hub", "a/b/c"), "expected a hub id such as OWNER/NAME"),
        (("--bounds", "nowhere.toml"), "nowhere.toml: no such file"),
        (("--no-verify", "--ledger", "--not-shown", "warn"), "--not-shown warn: nothing is judged with --no-verify"),
        (("--text-column", "nothing"), "expected a column 'nothing'"),
    ],
    ids=lambda it: "" if isinstance(it, str) else " ".join(it),
)
def test_a_mistake_in_the_options_is_said_before_anything_is_built(
    options: tuple[str, ...], words: str, build: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "prepare_backend", never)
    assert_refused(build(*options), words)
    assert not (tmp_path / "out").exists()


def test_what_is_pushed_is_judged(build: Callable[..., Any]) -> None:
    assert_refused(build("--no-verify", "--push-to-hub", "ME/mini", on=()), "what others load is judged first")


def test_a_dry_run_shows_files_and_card_and_asks_no_hub(
    build: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_command, "open_hub", never)
    result = build("--push-to-hub", "ME/mini-onnx", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "to ME/mini-onnx:" in result.stdout
    assert f"{(tmp_path / 'out/onnx/model.onnx').stat().st_size:,}  onnx/model.onnx" in result.stdout
    assert "library_name: onnx" in result.stdout


def test_a_push_uploads_what_was_judged(
    build: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Hub()
    monkeypatch.setattr(build_command, "open_hub", lambda: there)
    result = build("--push-to-hub", "mini-onnx")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "hub/ME/mini-onnx"
    assert there.calls[1][1]["files"] == files_below(tmp_path / "out")
    assert 'model_id = "ME/mini-onnx"' in (tmp_path / "out" / CARD).read_text(encoding="utf-8")


def test_a_broken_bound_pushes_nothing(
    build: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Hub()
    monkeypatch.setattr(build_command, "open_hub", lambda: there)
    bounds = tmp_path / "bounds.toml"
    bounds.write_text('[fp32.max_abs_logit_drift]\nat_most = 0\nreason = "no"\nset_on = 2026-11-21\n', encoding="utf-8")
    assert build("--push-to-hub", "mini-onnx", "--bounds", bounds).exit_code == 1
    assert there.calls == []
