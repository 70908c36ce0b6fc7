"""Encoders, ONNX files and corpora by hub id, pinned to a commit. The hub and `datasets` are doubles."""

import fnmatch
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nested_pytest import read_results, run_pytest
from tiny_models import save_adder

from driftgate.builder.models import find_model
from driftgate.errors import ArtifactError, CorpusError, EncoderError
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.hub.hub_corpus import parse_reference

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER_COMMIT = "f" * 40
ID = "someone/some-encoder"


@dataclass
class Hub:
    """A hub with one repository: `files` are there, those that match are linked into a snapshot as the cache has it."""

    files: Path
    cache: Path
    online: bool = True
    asked: list[str] = field(default_factory=list)

    def snapshot_download(self, _repository: str, *, revision: str | None, allow_patterns: Sequence[str]) -> str:
        snapshot = self.cache / "snapshots" / COMMIT
        for path in sorted(self.files.rglob("*")):
            name = path.relative_to(self.files).as_posix()
            if path.is_file() and any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns):
                self.asked.append(name)
                (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, snapshot / name)
        return str(snapshot)

    def list_repo_files(self, _repository: str, *, revision: str) -> list[str]:
        assert revision == COMMIT
        if not self.online:
            raise ConnectionError("offline")
        return [path.relative_to(self.files).as_posix() for path in self.files.rglob("*") if path.is_file()]


@pytest.fixture
def hub(tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub that has the tiny encoder; tests add to its files."""
    found = Hub(tmp_path / "remote", tmp_path / "cache")
    shutil.copytree(tiny_encoder, found.files)
    monkeypatch.setattr("huggingface_hub.snapshot_download", found.snapshot_download)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: SimpleNamespace(list_repo_files=found.list_repo_files))
    return found


def add_onnx(hub: Hub, *, weights: bool) -> None:
    save_adder(hub.files / "onnx/model.onnx", [1, 2], "weights.bin")
    save_adder(hub.files / "onnx/model_quantized.onnx", [3, 4], "model_quantized.onnx_data")
    (hub.files / "onnx/model.onnx.bak").touch()
    if not weights:
        (hub.files / "model.safetensors").unlink()


# Encoders


def test_a_hub_encoder_knows_its_commit(hub: Hub) -> None:
    assert load_encoder(ID).revision == COMMIT


def test_a_folder_of_the_users_own_has_no_commit(tiny_encoder: Path) -> None:
    assert load_encoder(tiny_encoder).revision is None


def test_a_model_by_hub_id_is_the_encoder_of_that_commit(hub: Hub) -> None:
    model = find_model(ID, "onnx-int8")
    assert (model.encoder.name, model.encoder.revision, model.backend) == (ID, COMMIT, "onnx-int8")


@pytest.mark.parametrize("backend", [None, "onnx-int8", "torch"])
def test_onnx_files_are_not_fetched_where_weights_are_there(hub: Hub, backend: str | None) -> None:
    add_onnx(hub, weights=True)
    find_model(ID, backend)
    assert not [name for name in hub.asked if ".onnx" in name]


@pytest.mark.parametrize(
    ("backend", "fetched"),
    [
        (None, ["onnx/model.onnx", "onnx/weights.bin"]),
        ("onnx-int8", ["onnx/model_quantized.onnx", "onnx/model_quantized.onnx_data"]),
    ],
)
def test_of_a_repository_of_onnx_files_only_the_one_asked_for_is_fetched_with_the_weights_that_it_names(
    hub: Hub, backend: str | None, fetched: list[str]
) -> None:
    add_onnx(hub, weights=False)
    model = find_model(ID, backend)
    assert [name for name in hub.asked if name.startswith("onnx/")] == fetched
    assert (model.encoder.name, model.encoder.revision) == (ID, COMMIT)
    assert Path(model.backend.partition("=")[2]).is_file()


def test_a_named_file_is_fetched_beside_weights(hub: Hub) -> None:
    add_onnx(hub, weights=True)
    assert find_model(ID, "model_quantized").backend.startswith("artifact-model-quantized=")


def test_without_network_the_files_in_the_cache_are_those_there_are(hub: Hub) -> None:
    add_onnx(hub, weights=False)
    find_model(ID, "onnx-int8")
    hub.online = False
    assert find_model(ID, "onnx-int8").backend.endswith("model_quantized.onnx")
    with pytest.raises(ArtifactError, match="no ONNX file is named after backend 'onnx-fp32'"):
        find_model(ID, "onnx-fp32")


@pytest.mark.parametrize("offline", [ConnectionError("no network"), OSError("offline mode is enabled")])
def test_without_network_and_cache_the_refusal_says_what_to_check(
    monkeypatch: pytest.MonkeyPatch, offline: Exception
) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise offline

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(
        EncoderError, match=r"could not be fetched from the hub.*check the name, the network and HF_HUB_OFFLINE"
    ):
        find_model(ID)


# Corpora


class ClassLabel:
    def __init__(self, *names: str) -> None:
        self.names = list(names)


class ListOf:
    """`datasets.Sequence` of version 3 and `datasets.List` of version 4 alike."""

    def __init__(self, feature: ClassLabel) -> None:
        self.feature = feature


class Data:
    """A `datasets.Dataset` as far as driftgate looks."""

    def __init__(self, feature: Any, rows: Sequence[tuple[str, Any]], commit: str = COMMIT) -> None:
        self.column_names = ["text", "labels", "id"]
        self.features: Mapping[str, Any] = {"labels": feature}
        self.cache_files = [{"filename": f"/cache/some___data/default/0.0.0/{commit}/data-test.arrow"}]
        self._rows = rows

    def select_columns(self, names: Sequence[str]) -> Iterator[dict[str, Any]]:
        return ({name: {"text": text, "labels": label}[name] for name in names} for text, label in self._rows)


@dataclass
class Datasets:
    """The `datasets` library as far as driftgate calls it."""

    splits: dict[str, Data]
    configs: tuple[str, ...] = ("simplified", "raw")
    asked: list[tuple[str, str | None, str | None]] = field(default_factory=list)

    def get_dataset_config_names(self, _name: str, *, revision: str | None) -> list[str]:
        return list(self.configs)

    def load_dataset(self, name: str, config: str | None, *, revision: str | None) -> dict[str, Data]:
        self.asked.append((name, config, revision))
        return self.splits


NAMES = ("neutral", "joy", "anger", "surprise")  # not in the encoder's order
ROWS = (("thank you", [1]), ("late again", [2, 3]), ("the bus", [0]))


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch) -> Datasets:
    data = Data(ListOf(ClassLabel(*NAMES)), ROWS)
    found = Datasets({"train": Data(ListOf(ClassLabel(*NAMES)), ROWS[:1]), "test": data})
    monkeypatch.setitem(sys.modules, "datasets", found)
    monkeypatch.setattr(
        "huggingface_hub.HfApi", lambda: SimpleNamespace(dataset_info=lambda *_a, **_o: SimpleNamespace(sha=COMMIT))
    )
    return found


@pytest.fixture
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


def test_class_labels_of_a_hub_corpus_are_read_by_name(datasets: Datasets, encoder: Encoder) -> None:
    corpus = load_corpus("hub:someone/data", encoder)
    assert corpus.texts == ("thank you", "late again", "the bus")
    labels = [{encoder.labels[at] for at in row.nonzero()[0]} for row in corpus.labels]
    assert labels == [{"joy"}, {"anger", "surprise"}, {"neutral"}]


@pytest.mark.parametrize(
    ("given", "config", "name", "pinned"),
    [
        ("hub:someone/data", None, "data-test", f"hub:someone/data@{COMMIT}::test"),
        (
            "hub:someone/data:simplified",
            "simplified",
            "data-simplified-test",
            f"hub:someone/data@{COMMIT}:simplified:test",
        ),
        ("hub:someone/data:train", None, "data-train", f"hub:someone/data@{COMMIT}::train"),
        ("hub:someone/data::train", None, "data-train", f"hub:someone/data@{COMMIT}::train"),
        (f"hub:data@{COMMIT}:raw:train", "raw", "data-raw-train", f"hub:data@{COMMIT}:raw:train"),
        ("hub:data@v1.0:raw:train", "raw", "data-raw-train", f"hub:data@{COMMIT}:raw:train"),
    ],
)
def test_a_hub_corpus_is_pinned_to_commit_configuration_and_split(
    datasets: Datasets, encoder: Encoder, given: str, config: str | None, name: str, pinned: str
) -> None:
    corpus = load_corpus(given, encoder)
    assert (corpus.name, corpus.pinned) == (name, pinned)
    assert datasets.asked == [(given.partition(":")[2].partition(":")[0].partition("@")[0], config, COMMIT)]
    again = load_corpus(pinned, encoder)
    assert (again.pinned, again.sha256) == (pinned, corpus.sha256)


def test_a_sample_of_a_hub_corpus_keeps_its_pin(datasets: Datasets, encoder: Encoder) -> None:
    assert load_corpus("hub:someone/data", encoder).sample(2).pinned == f"hub:someone/data@{COMMIT}::test"


@pytest.mark.parametrize("given", ["hub:", "hub:a/b/c", "hub:a b", "hub:a:b:c:d", "hub:a@:b"])
def test_a_malformed_hub_corpus_is_refused_with_an_example(given: str) -> None:
    with pytest.raises(CorpusError, match=r"expected hub:NAME\[@REVISION\]\[:CONFIG\]\[:SPLIT\], such as hub:"):
        parse_reference(given)


def test_an_absent_split_is_answered_with_those_there_are(datasets: Datasets, encoder: Encoder) -> None:
    with pytest.raises(CorpusError, match="no split 'dev'; it has train, test"):
        load_corpus("hub:someone/data:simplified:dev", encoder)


def test_several_splits_without_test_are_not_chosen_from(datasets: Datasets, encoder: Encoder) -> None:
    datasets.splits["validation"] = datasets.splits.pop("test")
    with pytest.raises(
        CorpusError, match="there are several splits, and none is called test; it has train, validation"
    ):
        load_corpus("hub:someone/data", encoder)


def test_labels_that_the_encoder_does_not_have_are_refused_by_name(datasets: Datasets, encoder: Encoder) -> None:
    datasets.splits["test"].features = {"labels": ClassLabel("neg", "joy")}
    with pytest.raises(CorpusError, match=r"'neg', 'joy' are not the encoder's 'joy', 'anger'.*unknown: 'neg'"):
        load_corpus("hub:someone/data", encoder)


def test_labels_may_be_spelled_in_other_case(datasets: Datasets, copy_encoder: Callable[..., Path]) -> None:
    folder = copy_encoder(
        problem_type="single_label_classification", id2label=dict(enumerate(("NEUTRAL", "JOY", "ANGER", "X")))
    )
    datasets.splits = {"test": Data(ClassLabel("x", "anger", "joy", "neutral"), [("thank you", 2)])}
    corpus = load_corpus("hub:data", load_encoder(folder))
    assert corpus.labels.tolist() == [[False, True, False, False]]


def test_ids_stand_for_labels_that_have_no_names(datasets: Datasets, copy_encoder: Callable[..., Path]) -> None:
    folder = copy_encoder(
        problem_type="single_label_classification", id2label={str(at): f"LABEL_{at}" for at in range(4)}
    )
    datasets.splits = {"test": Data(ClassLabel("a", "b", "c", "d"), [("thank you", 2)])}
    assert load_corpus("hub:data", load_encoder(folder)).labels.tolist() == [[False, False, True, False]]


def test_a_row_that_has_no_label_is_not_given_the_last_one(
    datasets: Datasets, copy_encoder: Callable[..., Path]
) -> None:
    folder = copy_encoder(problem_type="single_label_classification")
    datasets.splits = {"test": Data(ClassLabel(*NAMES), [("thank you", 1), ("hidden", -1)])}
    with pytest.raises(CorpusError, match=r"1 of 2 rows have no label or several.*row 1"):
        load_corpus("hub:data", load_encoder(folder))


def test_without_network_the_cached_rows_are_pinned_by_their_own_commit(
    datasets: Datasets, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch)
    assert load_corpus("hub:data", encoder).pinned == f"hub:data@{COMMIT}::test"
    with pytest.raises(
        CorpusError, match=r"could not be fetched from the hub \(ConnectionError.*HF_HUB_OFFLINE, run it once online"
    ):
        load_corpus("hub:data@main", encoder)


def test_cached_rows_of_another_commit_are_not_passed_off_as_the_one_asked_for(
    datasets: Datasets, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch)
    with pytest.raises(CorpusError, match=f"expected revision {OTHER_COMMIT}, the local cache holds {COMMIT}"):
        load_corpus(f"hub:data@{OTHER_COMMIT}", encoder)


def test_rows_whose_commit_nobody_knows_are_refused(
    datasets: Datasets, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline(monkeypatch)
    datasets.splits["test"].cache_files = []
    with pytest.raises(CorpusError, match="the revision in the local cache is unknown"):
        load_corpus("hub:data", encoder)


def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("huggingface_hub.HfApi", lambda: SimpleNamespace(dataset_info=fail))


def test_what_datasets_says_is_passed_on(datasets: Datasets, encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_options: object) -> None:
        raise ValueError("Config name is missing.\nPlease pick one among the available configs: ['raw', 'simplified']")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(CorpusError, match=r"hub:data::.*ValueError: Config name is missing. Please pick one among"):
        load_corpus("hub:data", encoder)


def test_without_the_library_the_extra_is_named(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: pytest.fail("asked the hub"))
    with pytest.raises(CorpusError, match=r'pip install "driftgate\[hub\]"'):
        load_corpus(f"hub:data@{COMMIT}", encoder)


def test_a_column_of_another_name_is_given_by_name(datasets: Datasets, encoder: Encoder) -> None:
    with pytest.raises(CorpusError, match="expected a column 'sentence', found 'text', 'labels', 'id'"):
        load_corpus("hub:data", encoder, Columns(text="sentence"))


def test_a_pytest_run_takes_a_hub_corpus_and_its_results_are_pinned(
    hub: Hub, datasets: Datasets, tmp_path: Path
) -> None:
    (tmp_path / "test_own.py").write_text(
        "def test_labels(corpus, backend):\n    assert corpus.labels.sum() == 4\n", encoding="utf-8"
    )
    arguments = (
        f"--encoder={ID}",
        "--corpus=hub:someone/data:simplified",
        "--backends=torch",
        "-p",
        "no:cacheprovider",
        "test_own.py",
    )
    code, printed = run_pytest(tmp_path, arguments, tmp_path / "cache")
    assert code == 0, printed
    document = read_results(tmp_path)
    assert document["encoder"]["revision"] == COMMIT
    assert document["corpus"]["pinned"] == f"hub:someone/data@{COMMIT}:simplified:test"
