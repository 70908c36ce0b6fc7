"""`driftgate verify` on what documents state of a model."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from verified_models import (
    README,
    VERIFIED,
    WIDTH,
    Command,
    assert_failed,
    assert_refused,
    assert_verified,
    pack,
    save_encoder,
)

from driftgate.builder.model_file import Port, parse_port, read_model_file
from driftgate.verify.check_model import size_agrees


def write_manifest(model: Path, **changes: Any) -> dict[str, Any]:
    """driftgate's manifest beside the model."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in model.parent.iterdir() if path.is_file()
    }
    content = {
        "backend": "onnx-fp32", "precision": "fp32", "steps": [], "encoder": "e", "encoder_sha256": "0", "versions": {},
        "files": files, "notes": {"model_file": read_model_file(model).describe()}, **changes,
    }  # fmt: skip
    (model.parent / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    return content


def noted(model: Path, **changes: Any) -> dict[str, Any]:
    return {"notes": {"model_file": {**read_model_file(model).describe(), **changes}}}


def facts_of(result: Any) -> dict[str, Any]:
    """Whether each fact holds."""
    return {check["fact"]: check["holds"] for check in json.loads(result.stdout)["facts"]}


def test_facts_that_hold_are_counted(model: Path, verify: Command) -> None:
    (model.parent / "config.json").write_text("{}", encoding="utf-8")
    write_manifest(model)
    result = verify(model, "--json")
    assert result.exit_code == VERIFIED, result.output
    assert facts_of(result) == dict.fromkeys(
        ("sha256", "sha256 of config.json", "precision", "size", "opset", "inputs", "outputs"), True
    )
    assert "sha256 of 1 other files" in verify(model).stdout


def test_facts_that_nothing_states_are_shown_as_such(model: Path, verify: Command) -> None:
    result = verify(model, "--json")
    assert facts_of(result) == dict.fromkeys(("sha256", "size", "opset", "inputs", "outputs"))
    assert verify(model).stdout.count("not stated") == 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"opset": {"ai.onnx": 11}}, ("opset", "states ai.onnx 11, found ai.onnx 17")),
        ({"opset": {"com.other": 2}}, ("opset", "states com.other 2, found no com.other")),
        ({"size_bytes": 12}, ("size", "states 12 bytes")),
        ({"inputs": {"input_ids": "int64[batch, sequence]"}}, ("inputs", "found input_ids", "attention_mask")),
        ({"outputs": {"logits": "float32[batch, 28]"}}, ("outputs", "states logits float32[batch, 28]")),
    ],
    ids=["opset", "domain", "size", "inputs", "outputs"],
)
def test_a_fact_that_differs_from_the_manifest_fails(
    changes: dict[str, Any], words: tuple[str, ...], model: Path, verify: Command
) -> None:
    write_manifest(model, **noted(model, **changes))
    assert_failed(verify(model), "manifest.json", *words)
    assert_failed(verify(model, "--structure-only"), "manifest.json", *words)


def test_a_precision_that_differs_fails(model: Path, verify: Command) -> None:
    write_manifest(model, precision="int8-dynamic")
    assert_failed(verify(model), "precision", "states int8-dynamic, found fp32")


def test_a_changed_model_differs_from_its_digest(model: Path, verify: Command) -> None:
    write_manifest(model)
    save_encoder(model, shift=1e-7)
    assert_failed(verify(model), "sha256", "manifest.json states")


def test_a_file_of_the_manifest_that_changed_or_is_missing_fails(model: Path, verify: Command) -> None:
    (model.parent / "config.json").write_text("{}", encoding="utf-8")
    write_manifest(model)
    (model.parent / "config.json").write_text("[]", encoding="utf-8")
    assert_failed(verify(model), "sha256 of config.json")
    (model.parent / "config.json").unlink()
    assert_failed(verify(model), "sha256 of config.json", "found no such file")


def test_a_manifest_in_an_archive_is_not_read_out_of_it(model: Path, tmp_path: Path, verify: Command) -> None:
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    files = {model.name: read_model_file(model).sha256, str(tmp_path / "secret"): "0" * 64}
    write_manifest(model, files=files)
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    result = verify(archive)
    assert_failed(result, "found a path out of the archive")
    assert hashlib.sha256(b"secret").hexdigest()[:12] not in result.stdout


def test_a_manifest_of_something_else_is_no_matter(model: Path, verify: Command) -> None:
    (model.parent / "manifest.json").write_text('{"name": "a web page"}', encoding="utf-8")
    assert_verified(verify(model))


def test_a_manifest_that_cannot_be_read_is_refused(model: Path, verify: Command) -> None:
    (model.parent / "manifest.json").write_text("{", encoding="utf-8")
    assert_refused(verify(model), "manifest.json", "expected a manifest in JSON")


def zoo_entry(model: Path, archive: Path | None = None, **changes: Any) -> dict[str, Any]:
    """An entry as ONNX_HUB_MANIFEST.json has them."""
    port = {"type": "tensor(int64)", "shape": ["batch_size", "seq_len"]}
    metadata: dict[str, Any] = {
        "model_sha": hashlib.sha256(model.read_bytes()).hexdigest(),
        "model_bytes": model.stat().st_size,
        "io_ports": {
            "inputs": [{"name": name, **port} for name in ("input_ids", "attention_mask")],
            "outputs": [
                {"name": "last_hidden_state", "type": "tensor(float)", "shape": ["batch_size", "seq_len", WIDTH]},
                {"name": "pooler_output", "type": "tensor(float)", "shape": ["batch_size", WIDTH]},
            ],
        },
    }
    if archive:
        metadata |= {
            "model_with_data_path": f"text/roberta/model/{archive.name}",
            "model_with_data_sha": hashlib.sha256(archive.read_bytes()).hexdigest(),
            "model_with_data_bytes": archive.stat().st_size,
        }
    entry = {
        "model": "Base",
        "model_path": f"text/roberta/model/{model.name}",
        "onnx_version": "1.13",
        "opset_version": 17,
    }
    return {**entry, "metadata": metadata, **changes}


def test_the_zoos_manifest_is_held_against_model_and_archive(model: Path, tmp_path: Path, verify: Command) -> None:
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    manifest = tmp_path / "ONNX_HUB_MANIFEST.json"
    other = {"model": "Other", "model_path": "text/other/model/other-9.onnx", "opset_version": 9}
    manifest.write_text(json.dumps([other, zoo_entry(model, archive)]), encoding="utf-8")
    result = verify(archive, "--json")
    assert result.exit_code == VERIFIED, result.output
    of_archive = {"sha256 of base-11.tar.gz", "size of base-11.tar.gz"}
    facts = {"sha256", "size", "opset", "ONNX release", "inputs", "outputs"}
    assert facts_of(result) == dict.fromkeys(facts | of_archive, True)
    assert facts_of(verify(model, "--json")) == dict.fromkeys(facts, True)  # found at the top of the checkout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"opset_version": 11}, "opset: "),
        ({"onnx_version": "1.4"}, "ONNX release: "),
        ({"metadata": {"model_sha": "0" * 64}}, "sha256: "),
        ({"metadata": {"model_bytes": 1}}, "size: "),
        ({"metadata": {"io_ports": {"inputs": []}}}, "inputs: "),
    ],
    ids=["opset", "release", "sha", "bytes", "ports"],
)
def test_a_fact_that_differs_from_the_zoos_manifest_fails(
    changes: dict[str, Any], words: str, model: Path, tmp_path: Path, verify: Command
) -> None:
    (tmp_path / "ONNX_HUB_MANIFEST.json").write_text(json.dumps([zoo_entry(model, **changes)]), encoding="utf-8")
    assert_failed(verify(model), words, "ONNX_HUB_MANIFEST.json states")


def test_the_tables_of_a_readme_state_size_and_opset(model: Path, verify: Command) -> None:
    size = f"{model.stat().st_size / 1000:.1f} kB"
    readme = model.parent / "README.md"
    readme.write_text(README.format(size=size, opset=17), encoding="utf-8")
    facts = facts_of(verify(model, "--json"))
    assert {fact for fact, holds in facts.items() if holds} == {"size", "opset", "ONNX release"}
    readme.write_text(README.format(size="499 MB", opset=17), encoding="utf-8")
    assert_failed(verify(model), "size: ", "README.md states 499 MB")
    readme.write_text(README.format(size=size, opset=11), encoding="utf-8")
    assert_failed(verify(model), "opset: ", "states ai.onnx 11, found ai.onnx 17")


def test_a_row_of_another_models_path_is_not_believed(model: Path, tmp_path: Path, verify: Command) -> None:
    rows = "| file | opset |\n|---|---|\n| a/base-11.onnx | 1 |\n| b/base-11.onnx | 2 |\n"
    (model.parent / "README.md").write_text(rows, encoding="utf-8")
    assert facts_of(verify(model, "--json"))["opset"] is None
    (model.parent / "README.md").write_text(rows + "| base-11.onnx | 17 |\n", encoding="utf-8")
    assert facts_of(verify(model, "--json"))["opset"] is True


def test_a_document_that_is_named_must_speak_of_the_model(model: Path, tmp_path: Path, verify: Command) -> None:
    (tmp_path / "README.md").write_text("# Another model\n", encoding="utf-8")
    assert_refused(verify(model, "--against", tmp_path / "README.md"), "it says nothing about base-11.onnx")


@pytest.mark.parametrize(
    ("stated", "size_bytes", "agrees"),
    [
        ("499 MB", 498_627_513, True),
        ("499 MB", 499 << 20, True),
        ("499 MB", 497_900_000, False),
        ("499 MiB", 498_627_513, False),
        ("1.2 GB", 1_250_000_000, True),
        ("1.2 GB", 1_460_000_000, False),
        ("1,234 bytes", 1234, True),
        ("1234 bytes", 1235, False),
        ("4 kB", 4095, True),
    ],
)
def test_a_size_in_words_holds_to_its_last_digit(stated: str, size_bytes: int, agrees: bool) -> None:
    assert size_agrees(stated, size_bytes) is agrees


@pytest.mark.parametrize(
    ("stated", "found", "agrees"),
    [
        ("int64[batch, sequence]", "int64[b, s]", True),
        ("int64[batch, sequence]", "int64[batch, 128]", False),
        ("int64[batch, 128]", "int64[batch, sequence]", False),
        ("int64[batch, 128]", "int32[batch, 128]", False),
        ("int64[batch]", "int64[batch, sequence]", False),
        ("float32[]", "float32[]", True),
        ("float32[...]", "float32[...]", True),
        ("float32[...]", "float32[2]", False),
    ],
)
def test_ports_agree_in_type_rank_and_fixed_lengths(stated: str, found: str, agrees: bool) -> None:
    assert parse_port(found).agrees(parse_port(stated)) is agrees
    assert str(parse_port(found)) == found


def test_what_is_no_port_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a type and its axes"):
        parse_port("int64")
    assert parse_port("float32[2, n]") == Port("float32", (2, "n"))
