"""The gate's baseline folder: whole or not at all, and checked before it is believed."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import save_adder

from driftgate.backends import Precision
from driftgate.builder.artifact import digest_files, open_artifact
from driftgate.errors import BaselineError
from driftgate.gate.baseline import BaselineBackend, GateBaseline, read_gate_baseline, write_gate_baseline

ABOUT = {"software": {"onnxruntime": "1.2.3"}}


def make_backend(folder: Path, content: bytes, cells: tuple[str, ...] = ("x-b1",)) -> BaselineBackend:
    """What the baseline keeps of a model: its bytes; nothing here runs them."""
    save_adder(folder / "model.onnx", [1, 2], "parts/weights.bin")
    (folder / "parts/weights.bin").write_bytes(content)
    return BaselineBackend(open_artifact(folder / "model.onnx", Precision.FP32), cells)


@pytest.fixture
def tokenizer(tmp_path: Path) -> list[Path]:
    path = tmp_path / "encoder/vocab.json"
    path.parent.mkdir()
    path.write_text("{}", encoding="utf-8")
    return [path]


@pytest.fixture
def saved(tmp_path: Path, tokenizer: list[Path]) -> Path:
    folder = tmp_path / "baseline"
    write_gate_baseline(folder, {"x": make_backend(tmp_path / "built", b"one")}, tokenizer, ABOUT)
    return folder


def test_what_was_written_is_read_back_after_what_it_was_made_from_is_gone(
    saved: Path, tmp_path: Path, tokenizer: list[Path]
) -> None:
    digest = digest_files(tokenizer)
    shutil.rmtree(tmp_path / "built")
    shutil.rmtree(tmp_path / "encoder")
    found = read_gate_baseline(saved)
    assert found.about == ABOUT
    assert (saved / "tokenizer" / digest).is_dir()
    assert found.backends["x"].cells == ("x-b1",)
    assert found.backends["x"].artifact.precision is Precision.FP32
    assert (found.backends["x"].artifact.model.parent / "parts/weights.bin").read_bytes() == b"one"


def test_equal_artifacts_are_kept_once(tmp_path: Path, tokenizer: list[Path]) -> None:
    backends = {name: make_backend(tmp_path / name, b"same", (f"{name}-b1",)) for name in ("x", "y")}
    write_gate_baseline(tmp_path / "baseline", backends, tokenizer, ABOUT)
    assert len(list((tmp_path / "baseline/artifacts").iterdir())) == 1
    assert set(read_gate_baseline(tmp_path / "baseline").backends) == {"x", "y"}


def test_a_new_baseline_replaces_the_old_one_and_its_files(saved: Path, tmp_path: Path, tokenizer: list[Path]) -> None:
    write_gate_baseline(saved, {"y": make_backend(tmp_path / "built", b"two", ("y-b1",))}, tokenizer, ABOUT)
    assert set(read_gate_baseline(saved).backends) == {"y"}
    assert len(list((saved / "artifacts").iterdir())) == 1


def test_a_write_that_fails_keeps_the_old_baseline_whole(
    saved: Path, tmp_path: Path, tokenizer: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    new = {"y": make_backend(tmp_path / "new", b"two", ("y-b1",))}
    monkeypatch.setattr("driftgate.gate.baseline.shutil.copy2", full)
    with pytest.raises(BaselineError, match=r"No space left on device.*the one before, if any, is kept"):
        write_gate_baseline(saved, new, tokenizer, ABOUT)
    assert set(read_gate_baseline(saved).backends) == {"x"}
    assert not [path for path in saved.rglob("*") if "partial" in path.name]


SAVES_SLOWLY = """\
import sys, time
from pathlib import Path
from driftgate.backends import Precision
from driftgate.builder.artifact import open_artifact
from driftgate.gate import baseline

def copy(source, target):
    Path(target).write_bytes(b"half")
    print("copying", flush=True)
    time.sleep(600)

baseline.shutil.copy2 = copy
model, tokenizer, folder = map(Path, sys.argv[1:])
backend = baseline.BaselineBackend(open_artifact(model, Precision.FP32), ("y-b1",))
baseline.write_gate_baseline(folder, {"y": backend}, [tokenizer], {})
"""


def test_a_session_that_is_killed_while_it_saves_leaves_the_old_baseline_whole(
    saved: Path, tmp_path: Path, tokenizer: list[Path]
) -> None:
    new = {"y": make_backend(tmp_path / "new", b"two", ("y-b1",))}
    command = [sys.executable, "-c", SAVES_SLOWLY, new["y"].artifact.model, *tokenizer, saved]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as session:
        assert session.stdout is not None
        assert session.stdout.readline() == b"copying\n"
        session.kill()
    assert [path for path in saved.rglob("*") if "partial" in path.name], "it was killed in the midst"
    assert set(read_gate_baseline(saved).backends) == {"x"}
    write_gate_baseline(saved, new, tokenizer, ABOUT)
    assert set(read_gate_baseline(saved).backends) == {"y"}
    assert not [path for path in saved.rglob("*") if "partial" in path.name], "the next one clears up"


def test_a_damaged_artifact_is_mended_by_the_next_save(saved: Path, tmp_path: Path, tokenizer: list[Path]) -> None:
    (damaged,) = (saved / "artifacts").rglob("weights.bin")
    damaged.write_bytes(b"bad")
    write_gate_baseline(saved, {"x": make_backend(tmp_path / "built", b"one")}, tokenizer, ABOUT)
    assert isinstance(read_gate_baseline(saved), GateBaseline)
    assert damaged.read_bytes() == b"one"


def test_a_folder_with_other_files_is_not_taken_over(tmp_path: Path, tokenizer: list[Path]) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(BaselineError, match="give a new or empty folder"):
        write_gate_baseline(tmp_path / "mine", {"x": make_backend(tmp_path / "b", b"one")}, tokenizer, ABOUT)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def change(folder: Path, edit: Callable[[Any], Any]) -> None:
    path = folder / "baseline.json"
    path.write_text(json.dumps(edit(json.loads(path.read_text(encoding="utf-8")))), encoding="utf-8")


def remove(folder: Path, pattern: str) -> None:
    next(folder.rglob(pattern)).unlink()


def truncate(folder: Path, pattern: str) -> None:
    path = next(folder.rglob(pattern))
    path.write_bytes(path.read_bytes()[:-1])


BACKEND = {"precision": "fp32", "model": "model.onnx", "sha256": "../../etc", "size_bytes": 1, "cells": []}
BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no folder": (shutil.rmtree, "no such folder; save one with"),
    "empty": (lambda at: [shutil.rmtree(at), at.mkdir()], "no baseline.json in it; save one with"),
    "truncated": (
        lambda at: truncate(at, "baseline.json") or truncate(at, "baseline.json"),
        "not a readable gate baseline",
    ),
    "not an object": (lambda at: change(at, lambda content: []), "not a readable gate baseline"),
    "newer schema": (lambda at: change(at, lambda content: {**content, "schema": 3}), "schema 3, and this .* schema 2"),
    "former schema": (
        lambda at: change(at, lambda content: {**content, "schema": 1}),
        r"schema 1, and this driftgate reads schema 2; accept a new one with: pytest .*benchmarks --gate-accept",
    ),
    "no backends": (lambda at: change(at, lambda content: {"schema": 2}), "not a readable gate baseline"),
    "unknown class": (
        lambda at: change(
            at, lambda content: {**content, "backends": {"x": {**BACKEND, "sha256": "0" * 64, "precision": "fp1"}}}
        ),
        "not a readable gate baseline.*fp1",
    ),
    "path in digest": (
        lambda at: change(at, lambda content: {**content, "backends": {"x": BACKEND}}),
        "not a readable gate baseline.*no sha256",
    ),
    "path in name": (
        lambda at: change(at, lambda content: {**content, "backends": {"x": {**BACKEND, "model": "../model.onnx"}}}),
        "not a file's name",
    ),
    "no model": (lambda at: remove(at, "model.onnx"), "model.onnx: missing"),
    "no weights": (lambda at: remove(at, "weights.bin"), r"lie in 'parts/weights\.bin'.*damaged or changed"),
    "weights changed": (lambda at: truncate(at, "weights.bin"), "damaged or changed"),
    "model cut short": (lambda at: truncate(at, "model.onnx"), "damaged or changed"),
    "tokenizer changed": (lambda at: truncate(at, "vocab.json"), "damaged or changed"),
    "no tokenizer": (lambda at: remove(at, "vocab.json"), "damaged or changed"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_damaged_baseline_is_refused_and_says_what_to_do(saved: Path, name: str) -> None:
    damage, words = BROKEN[name]
    assert isinstance(read_gate_baseline(saved), GateBaseline)
    damage(saved)
    with pytest.raises(BaselineError, match=words) as caught:
        read_gate_baseline(saved)
    assert re.search("--gate-accept|gate_accept=True", str(caught.value))
