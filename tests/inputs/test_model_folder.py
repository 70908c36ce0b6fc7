"""What lies outside a model's folder is neither read nor published, whoever says that it belongs to the model."""

import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import run_driftgate
from nested_pytest import change_json
from tiny_models import save_adder

from driftgate.builder.models import find_model
from driftgate.doctor.checks.check_source import check_sources
from driftgate.doctor.facts import Asked, Facts
from driftgate.doctor.findings import Severity
from driftgate.doctor.read_source import read_source
from driftgate.errors import ArtifactError, EncoderError, UnsafeFileError
from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.model_folder import folder_of, is_own_file, own_files
from driftgate.inputs.tokens import load_tokenizer
from driftgate.verify.vector_sets import read_set

CopyEncoder = Callable[..., Path]

REVISION, BLOB = "a" * 40, "0123456789abcdef" * 4


@pytest.fixture
def secret(tmp_path: Path, tiny_encoder: Path) -> Path:
    """A file of the user's own that is a good vocabulary: nothing but where it lies speaks against it."""
    path = tmp_path / "private" / "vocab.json"
    path.parent.mkdir()
    content = json.loads((tiny_encoder / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    path.write_text(json.dumps({**content, "secret": len(content)}), encoding="utf-8")
    return path


def link(path: Path, target: Path | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)
    return path


# Links


@pytest.mark.parametrize(
    "name",
    [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "vocab.json",
        "tokenizer.model",
        "thresholds.json",
        "README.md",
        "additional_chat_templates/tool_use.jinja",
    ],
)
def test_a_link_out_of_an_encoders_folder_is_refused_by_its_name(
    name: str, copy_encoder: CopyEncoder, secret: Path
) -> None:
    folder = copy_encoder()
    path = link(folder / name, secret)
    with pytest.raises(UnsafeFileError, match=r"lies in the model's folder.*put a copy of it in its place") as caught:
        load_encoder(folder)
    assert str(caught.value).startswith(f"{path}: ")
    assert f"leads to {secret}" in str(caught.value)


def test_nothing_behind_a_link_is_built_into_what_is_published(
    copy_encoder: CopyEncoder, secret: Path, empty_cache: Path, tmp_path: Path
) -> None:
    folder = copy_encoder()
    link(folder / "vocab.json", secret)
    result = run_driftgate("build", folder, "--backends", "onnx-fp32", "--out", tmp_path / "out")
    assert result.exit_code == 4, result.output
    assert f"{folder / 'vocab.json'}: expected a file that lies in the model's folder" in result.stderr
    assert not (tmp_path / "out").exists()
    assert not empty_cache.exists()


def test_a_link_is_followed_to_its_end(copy_encoder: CopyEncoder, secret: Path) -> None:
    folder = copy_encoder()
    link(folder / "second", secret)
    link(folder / "vocab.json", "second")
    with pytest.raises(UnsafeFileError, match=f"second: .* leads to {secret}"):
        load_encoder(folder)
    (folder / "second").rename(folder / ".second")
    link(folder / "vocab.json", ".second")
    with pytest.raises(UnsafeFileError, match=rf"vocab\.json: .* leads to {secret}"):
        load_encoder(folder)


def test_a_link_through_a_linked_folder_leads_out_as_well(copy_encoder: CopyEncoder, secret: Path) -> None:
    folder = copy_encoder()
    link(folder / "shared", secret.parent)
    assert load_encoder(folder), "nobody reads from a folder of that name"
    link(folder / "vocab.json", "shared/vocab.json")
    with pytest.raises(UnsafeFileError, match=rf"vocab\.json: .* leads to {secret}"):
        load_encoder(folder)


def test_links_within_a_folder_change_nothing(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    before = load_encoder(folder).sha256
    for number, name in enumerate(("model.safetensors", "tokenizer.json")):
        (folder / f"part-{number}").mkdir()
        (folder / name).rename(folder / f"part-{number}" / name)
        link(folder / name, f"part-{number}/{name}")
    assert load_encoder(folder).sha256 == before


def test_the_folder_may_be_a_link_itself(tiny_encoder: Path, tmp_path: Path) -> None:
    assert load_encoder(link(tmp_path / "linked", tiny_encoder)).sha256 == load_encoder(tiny_encoder).sha256


def test_a_link_to_nothing_in_the_folder_is_no_file(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    link(folder / "thresholds.json", "nowhere.json")
    link(folder / "round", "round")
    assert load_encoder(folder).thresholds is None


def test_a_hidden_file_is_nobodys(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    link(folder / ".#config.json", "someone@somewhere.4711:1700000000")  # as an editor locks what it has open
    link(folder / ".env", "/etc/passwd")
    assert load_encoder(folder)


@pytest.fixture
def kinds(tmp_path: Path) -> Iterator[dict[str, Callable[[Path], object]]]:
    server = socket.socket(socket.AF_UNIX)

    def bind(path: Path) -> None:
        here = Path.cwd()
        os.chdir(path.parent)  # the path of a socket must be short
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)

    yield {"a named pipe": os.mkfifo, "a socket": bind}
    server.close()


@pytest.mark.parametrize("kind", ["a named pipe", "a socket"])
@pytest.mark.parametrize("name", ["tokenizer_config.json", "model-2.safetensors", "added_tokens.json"])
def test_what_could_be_read_for_ever_is_refused(
    name: str, kind: str, kinds: dict[str, Callable[[Path], object]], copy_encoder: CopyEncoder
) -> None:
    folder = copy_encoder()
    (folder / name).unlink(missing_ok=True)
    kinds[kind](folder / name)
    with pytest.raises(UnsafeFileError, match=f"{name}: expected a regular file, found {kind}; remove it"):
        load_encoder(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json", "vocab.json", "bpe.codes"])
def test_what_is_too_large_to_be_a_configuration_is_refused_unread(name: str, copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    with (folder / name).open("ab") as file:
        file.truncate(1 << 40)  # a tebibyte, none of which is on the disk
    with pytest.raises(
        UnsafeFileError, match=f"{name}: expected a configuration or a vocabulary, found 1,099,511,627,776"
    ):
        load_encoder(folder)


def test_a_device_is_refused_wherever_it_lies() -> None:
    with pytest.raises(UnsafeFileError, match="expected a regular file, found a device"):
        is_own_file(Path("/dev/null"), Path("/dev"))


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "x" * 5000, "missing"])
def test_a_name_that_no_file_has_is_no_file(name: str, tmp_path: Path) -> None:
    assert not is_own_file(tmp_path / name, tmp_path)


# The hub's cache


@pytest.fixture
def snapshot(tiny_encoder: Path, tmp_path: Path) -> Path:
    """The tiny encoder as the hub's cache has it: files are links to blobs, named by their content."""
    repository = tmp_path / "hub/models--someone--encoder"
    (repository / "blobs").mkdir(parents=True)
    for number, path in enumerate(sorted(tiny_encoder.iterdir())):
        name = f"{number:040x}" if path.suffix != ".safetensors" else f"{number:064x}"
        shutil.copy2(path, repository / "blobs" / name)
        link(repository / "snapshots" / REVISION / path.name, f"../../blobs/{name}")
    return repository / "snapshots" / REVISION


def test_links_of_the_hubs_cache_to_its_own_blobs_are_followed(
    snapshot: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    encoder, plain = load_encoder(snapshot), load_encoder(tiny_encoder)
    assert (encoder.sha256, encoder.revision) == (plain.sha256, REVISION)
    assert load_encoder(link(tmp_path / "linked", snapshot)).sha256 == plain.sha256
    save_adder(tmp_path / "model.onnx", [1])
    shutil.copy(tmp_path / "weights.bin", snapshot.parents[1] / "blobs" / BLOB)
    assert is_own_file(link(snapshot / "onnx/weights.bin", f"../../../blobs/{BLOB}"), snapshot / "onnx")


@pytest.mark.parametrize("lure", ["another repository", "a blob that is a link", "blobs that are a link", "no blob"])
def test_nothing_else_of_the_hubs_cache_is_followed(lure: str, snapshot: Path, secret: Path) -> None:
    repository = snapshot.parents[1]
    target = f"../../blobs/{BLOB}"
    if lure == "another repository":
        target = f"../../../models--someone--private/blobs/{BLOB}"
        (repository.parent / "models--someone--private/blobs").mkdir(parents=True)
        shutil.copy(secret, repository.parent / "models--someone--private/blobs" / BLOB)
    elif lure == "a blob that is a link":
        link(repository / "blobs" / BLOB, secret)
    elif lure == "blobs that are a link":
        (repository / "blobs").rename(repository.parent / "elsewhere")
        link(repository / "blobs", repository.parent / "elsewhere")
        shutil.copy(secret, repository / "blobs" / BLOB)
    else:
        target = "../../refs/main"
        (repository / "refs").mkdir()
        shutil.copy(secret, repository / "refs/main")
    path = link(snapshot / "vocab.json", target)
    with pytest.raises(UnsafeFileError, match="lies in the model's folder"):
        is_own_file(path, snapshot)


def test_a_folder_that_only_looks_like_a_snapshot_has_no_blobs(tmp_path: Path, secret: Path) -> None:
    folder = tmp_path / "mine/snapshots" / REVISION
    (tmp_path / "mine/blobs").mkdir(parents=True)
    shutil.copy(secret, tmp_path / "mine/blobs" / BLOB)
    with pytest.raises(UnsafeFileError, match="lies in the model's folder"):
        is_own_file(link(folder / "vocab.json", f"../../blobs/{BLOB}"), folder)


# Names in configurations


@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("key", ["vocab_file", "merges_file", "tokenizer_file", "spm_file", "source_spm", "vocab"])
@pytest.mark.parametrize("path", ["absolute", "relative", "within", "missing"])
def test_a_path_under_a_key_that_transformers_follows_is_refused_by_the_name_of_the_key(
    path: str, key: str, file: str, copy_encoder: CopyEncoder, secret: Path
) -> None:
    folder = copy_encoder()
    value = {
        "absolute": str(secret),
        "relative": "../private/vocab.json",
        "within": "./vocab.json",
        "missing": "nowhere.json",
    }[path]
    change_json(folder / file, lambda content: content.update({key: value}))
    with pytest.raises(UnsafeFileError, match=f"{key} is '{value}'.*Remove the key") as caught:
        load_encoder(folder)
    assert str(caught.value).startswith(f"{folder / file}: ")


def test_nothing_behind_a_key_is_built_into_what_is_published(
    copy_encoder: CopyEncoder, secret: Path, empty_cache: Path, tmp_path: Path
) -> None:
    folder = copy_encoder()
    (folder / "tokenizer.json").unlink()
    change_json(folder / "tokenizer_config.json", lambda content: content.update(vocab_file=str(secret)))
    result = run_driftgate("build", folder, "--backends", "onnx-fp32", "--out", tmp_path / "out")
    assert result.exit_code == 4, result.output
    assert f"tokenizer_config.json: vocab_file is '{secret}'" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["../private/tokenizer.4.0.json", "/private/tokenizer.4.0.json"])
def test_a_path_among_the_tokenizers_of_other_releases_is_refused(name: str, copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    change_json(folder / "tokenizer_config.json", lambda content: content.update(fast_tokenizer_files=[name]))
    with pytest.raises(UnsafeFileError, match=f"fast_tokenizer_files is '{name}'"):
        load_encoder(folder)


@pytest.mark.parametrize(
    "key",
    [
        "special_tokens_map_file",
        "added_tokens_file",
        "chat_template_file",
        "full_tokenizer_file",
        "tokenizer_config_file",
        "name_or_path",
    ],
)
@pytest.mark.parametrize("converted", [True, False], ids=["tokenizer.json", "vocabulary"])
def test_a_path_that_transformers_does_not_follow_is_left_alone(
    converted: bool, key: str, copy_encoder: CopyEncoder, tmp_path: Path
) -> None:
    """Encoders of the hub have such paths of their authors' machines; with a good file behind it, it would show."""
    folder = copy_encoder()
    if not converted:
        (folder / "tokenizer.json").unlink()
    bait = tmp_path / "bait.json"
    bait.write_text('{"unk_token": "bait", "bait": 99, "chat_template": "bait"}', encoding="utf-8")
    change_json(folder / "tokenizer_config.json", lambda content: content.update({key: str(bait)}))
    tokenizer = load_tokenizer(load_encoder(folder))
    assert "bait" not in tokenizer.get_vocab()
    assert "bait" not in (tokenizer.unk_token, tokenizer.chat_template)


def test_a_tokenizer_file_is_left_over_where_transformers_drops_it(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    (folder / "tokenizer.json").rename(folder / "tokenizer.4.0.json")
    path = folder / "tokenizer_config.json"
    change_json(path, lambda content: content.update(tokenizer_file="/home/author/.cache/tokenizer.json"))
    assert load_tokenizer(load_encoder(folder))
    change_json(path, lambda content: content.update(fast_tokenizer_files=["tokenizer.4.0.json"]))
    with pytest.raises(UnsafeFileError, match="tokenizer_file is '/home/author"):
        load_encoder(folder)


def test_a_name_means_the_file_in_the_folder_and_not_one_where_the_user_stands(
    copy_encoder: CopyEncoder, tiny_encoder: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_encoder()
    (folder / "tokenizer.json").unlink()
    names = {"vocab_file": "vocab.json", "merges_file": "merges.txt"}
    change_json(folder / "tokenizer_config.json", lambda content: content.update(names))
    shutil.copy(folder / "merges.txt", secret.parent)
    monkeypatch.chdir(secret.parent)
    found = load_tokenizer(load_encoder(folder)).get_vocab()
    assert found == load_tokenizer(load_encoder(tiny_encoder)).get_vocab()


def test_a_file_of_another_name_that_a_key_names_belongs_to_the_tokenizer(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    (folder / "mine.json").write_bytes((folder / "vocab.json").read_bytes())
    before = load_encoder(folder).sha256
    change_json(folder / "tokenizer_config.json", lambda content: content.update(vocab_file="mine.json"))
    named = load_encoder(folder)
    assert folder / "mine.json" in named.tokenizer_files
    (folder / "mine.json").write_text("{}", encoding="utf-8")
    assert len({before, named.sha256, load_encoder(folder).sha256}) == 3


@pytest.mark.parametrize("name", ["../other/model.safetensors", "/other/model.safetensors"])
def test_weights_that_are_named_elsewhere_are_refused(name: str, copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": {"a": "model.safetensors", "b": name}}), "utf-8")
    with pytest.raises(UnsafeFileError, match=f"index.json: weight_map is '{name}'"):
        load_encoder(folder)
    index.unlink()
    change_json(folder / "config.json", lambda content: content.update(transformers_weights=name))
    with pytest.raises(UnsafeFileError, match=f"config.json: transformers_weights is '{name}'"):
        load_encoder(folder)


def test_an_index_of_weights_that_were_not_fetched_is_fine(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    index = {"weight_map": {"a": "pytorch_model-00001-of-00002.bin"}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert load_encoder(folder)


@pytest.mark.parametrize("name", ["special_tokens_map.json", "model.safetensors.index.json"])
def test_a_configuration_that_is_no_object_is_refused(name: str, copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    (folder / name).write_text("[]", encoding="utf-8")
    with pytest.raises(EncoderError, match=f"{name}: expected a JSON object, found list"):
        load_encoder(folder)


# Published files


@pytest.fixture
def published(copy_encoder: CopyEncoder) -> Path:
    """A folder with a model in `onnx` and no weights of torch."""
    folder = copy_encoder()
    (folder / "model.safetensors").unlink()
    save_adder(folder / "onnx/model.onnx", [1, 2])
    return folder


def assert_refused(call: Callable[[], Any], path: Path) -> None:
    with pytest.raises(UnsafeFileError) as caught:
        call()
    assert str(caught.value).startswith(f"{path}: expected a file that lies in the model's folder"), caught.value


def test_a_model_file_that_is_a_link_out_of_its_folder_is_refused(published: Path, tmp_path: Path) -> None:
    elsewhere = save_adder(tmp_path / "private/model.onnx", [1, 2])
    path = link(published / "onnx/model.onnx", elsewhere)
    assert_refused(lambda: find_model(str(published)), path)
    result = run_driftgate("verify", published, "--structure-only")
    assert (result.exit_code, f"{path}: expected a file that lies in" in result.stderr) == (4, True), result.output
    assert run_driftgate("doctor", published).exit_code == 4


def test_a_folder_of_models_that_is_a_link_out_of_the_models_folder_is_refused(published: Path, tmp_path: Path) -> None:
    (published / "onnx").rename(tmp_path / "elsewhere")
    link(published / "onnx", tmp_path / "elsewhere")
    assert_refused(lambda: find_model(str(published)), published / "onnx/model.onnx")


def test_a_model_file_may_be_a_link_where_the_user_names_it(published: Path, tmp_path: Path) -> None:
    elsewhere = save_adder(tmp_path / "private/model.onnx", [1, 2])
    path = link(published / "onnx/other.onnx", elsewhere)
    assert find_model(str(path)).backend == f"artifact-other={path}"


@pytest.mark.parametrize("name", ["../../private/vocab.json", "absolute"])
def test_a_manifest_gets_no_digest_of_a_file_elsewhere(name: str, published: Path, secret: Path) -> None:
    stated = str(secret) if name == "absolute" else name
    manifest = {
        "backend": "onnx-fp32", "precision": "fp32", "steps": [], "encoder": "e", "encoder_sha256": "0", "versions": {},
        "files": {"model.onnx": "0" * 64, "../config.json": "0" * 64, stated: "0" * 64},
    }  # fmt: skip
    (published / "onnx/manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises((UnsafeFileError, ArtifactError), match=r"vocab\.json: expected a file that lies in"):
        find_model(str(published))
    result = run_driftgate("verify", published, "--structure-only", "--json")
    facts = {fact["fact"]: fact["found"] for fact in json.loads(result.stdout)["facts"]}
    assert facts[f"sha256 of {stated}"] == "a path out of the folder of the model"
    assert len(facts["sha256 of ../config.json"]) == 64


def test_golden_vectors_are_not_read_through_a_link(published: Path, secret: Path) -> None:
    vectors = published / "onnx/test_data_set_0"
    path = link(vectors / "input_0.pb", secret)
    assert_refused(lambda: read_set(vectors), path)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.json"])
def test_the_doctor_reads_nothing_through_a_link_and_calls_it_a_problem(
    name: str, copy_encoder: CopyEncoder, secret: Path
) -> None:
    folder = copy_encoder()
    path = link(folder / name, secret)
    source = read_source(folder, None)
    assert str(source.refused).startswith(f"{path}: expected a file that lies in the model's folder")
    assert (source.labels, source.weights) == (None, {})
    (finding,) = check_sources(Facts(Asked(str(folder)), sources=(source,)))
    assert (finding.id, finding.severity) == ("refused", Severity.PROBLEM)


def test_files_are_listed_in_order_without_folders(tmp_path: Path) -> None:
    for name in ("b.onnx", "a.onnx", "onnx/c.onnx"):
        save_adder(tmp_path / name, [1])
    (tmp_path / "d.onnx").mkdir()
    assert own_files(tmp_path, "*.onnx", "onnx/*.onnx", "a*") == [
        tmp_path / name for name in ("a.onnx", "b.onnx", "onnx/c.onnx")
    ]


def test_the_folder_of_a_model_is_where_its_configuration_is(published: Path, tmp_path: Path) -> None:
    assert folder_of(published / "onnx/model.onnx") == published
    assert folder_of(published / "model.onnx") == published
    assert folder_of(tmp_path / "model.onnx") == tmp_path


@pytest.mark.parametrize("name", ["tokenizer.model", "bpe.codes", "source.spm"])
def test_a_vocabulary_of_any_name_is_in_the_digest_of_its_encoder(name: str, copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    (folder / name).write_bytes(b"pieces")
    before = load_encoder(folder)
    (folder / name).write_bytes(b"others")
    after = load_encoder(folder)
    assert folder / name in after.tokenizer_files
    assert before.sha256 != after.sha256
