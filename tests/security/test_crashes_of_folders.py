"""Folders that appear whole, baselines and published models: a fault at every step that changes the disk, and races for them."""

import errno
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from disk_faults import attempt
from letter_counter import DOUBLE, slow_double
from tiny_models import save_adder

from driftgate.backends import Precision
from driftgate.builder.artifact import Manifest, open_artifact, write_manifest
from driftgate.builder.cache import cached
from driftgate.errors import BuildError, DriftgateError
from driftgate.gate.baseline import BaselineBackend, read_gate_baseline, write_gate_baseline
from driftgate.predict.job import run_job
from driftgate.predict.prediction_job import PredictionJob
from driftgate.publish.layout import fill_folder
from driftgate.results.history import append_entry, read_history

KINDS = (errno.ENOSPC, errno.EIO, errno.EACCES, "short", "kill")
ENOUGH = 1000
EMPTY_RUN: dict[str, Any] = {
    "date": "2026-03-01T00:00:00+00:00", "encoder": {}, "corpus": None, "host": {}, "versions": {}, "verdict": "pass",
    "backends": {},
}  # fmt: skip


def files_in(folder: Path) -> dict[str, bytes]:
    """All but locks, which are empty."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: content for name, content in found.items() if not name.endswith(".lock") or content}


# A baseline


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Path, str], None]:
    """`save(folder, content)`: accept a model whose weights are that."""
    vocabulary = tmp_path / "vocab.json"
    vocabulary.write_text("{}", encoding="utf-8")

    def save(folder: Path, content: str) -> None:
        model = tmp_path / f"built-{content}"
        if not model.exists():
            save_adder(model / "model.onnx", [1, 2], "parts/weights.bin")
            (model / "parts/weights.bin").write_text(content, encoding="utf-8")
        backend = BaselineBackend(open_artifact(model / "model.onnx", Precision.FP32), ("x-b1",))
        write_gate_baseline(folder, {content: backend}, [vocabulary], {"software": content})

    return save


def kept(folder: Path) -> str:
    """What the baseline in `folder` is, after comparing every file with its digest."""
    baseline = read_gate_baseline(folder)
    ((name, backend),) = baseline.backends.items()
    assert baseline.about == {"software": name}
    assert (backend.artifact.model.parent / "parts/weights.bin").read_text(encoding="utf-8") == name
    return name


@pytest.mark.parametrize("kind", KINDS)
def test_a_baseline_is_the_old_or_the_new_one_after_a_fault_at_any_step(
    kind: int | str, save: Callable[[Path, str], None], tmp_path: Path
) -> None:
    save(tmp_path / "before", "old")
    save(tmp_path / "expected", "old")
    save(tmp_path / "expected", "new")
    expected = files_in(tmp_path / "expected")
    seen = set()
    for at in range(1, ENOUGH):
        folder = tmp_path / "baseline"
        shutil.copytree(tmp_path / "before", folder)
        faults = attempt(lambda folder=folder: save(folder, "new"), folder, kind, at)
        seen.add(kept(folder))
        save(folder, "new")
        assert files_in(folder) == expected, f"other files after a fault at step {at} of {faults.steps}"
        shutil.rmtree(folder)
        if len(faults.steps) < at:
            assert at > 20
            assert seen == {"new"} if kind == "short" else {"old", "new"}  # what is left of a short write is written
            return
    pytest.fail("saving has no end of steps")


# A history


def add(path: Path, commit: str) -> None:
    append_entry(path, {"schema": 1, "commit": commit, **EMPTY_RUN})


@pytest.mark.parametrize("kind", KINDS)
def test_a_history_has_a_line_or_has_it_not_after_a_fault_at_any_step(kind: int | str, tmp_path: Path) -> None:
    for at in range(1, ENOUGH):
        folder = tmp_path / "kept"
        folder.mkdir()
        add(folder / "history.jsonl", "before")
        faults = attempt(lambda folder=folder: add(folder / "history.jsonl", "now"), folder, kind, at)
        commits = [entry.commit for entry in read_history(folder / "history.jsonl")]
        assert commits in (["before"], ["before", "now"])
        add(folder / "history.jsonl", "later")
        assert [entry.commit for entry in read_history(folder / "history.jsonl")] == [*commits, "later"]
        assert list(files_in(folder)) == ["history.jsonl"]
        shutil.rmtree(folder)
        if len(faults.steps) < at:
            assert commits == ["before", "now"]
            assert at > 5
            return
    pytest.fail("appending has no end of steps")


# What is published


def publish(target: Path) -> None:
    with fill_folder(target) as folder:
        (folder / "onnx").mkdir()
        (folder / "onnx/model.onnx").write_bytes(b"weights" * 1000)
        (folder / "config.json").write_text("{}", encoding="utf-8")
        write_manifest(folder, Manifest("onnx-fp32", "fp32", (), "stand-in", "0" * 64, {}, {}))


@pytest.mark.parametrize("exists", [False, True], ids=["new-folder", "empty-folder"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_published_folder_is_whole_or_not_there_after_a_fault_at_any_step(
    kind: int | str, exists: bool, tmp_path: Path
) -> None:
    publish(tmp_path / "expected")
    expected = files_in(tmp_path / "expected")
    for at in range(1, ENOUGH):
        parent = tmp_path / "parent"
        (parent / "out" if exists else parent).mkdir(parents=True)
        target = parent / "out"
        faults = attempt(lambda target=target: publish(target), parent, kind, at)
        visible = {name for name in files_in(parent) if ".partial" not in name}
        whole = visible == {f"out/{name}" for name in expected}
        if not exists:
            assert whole or not visible, f"half of it after step {at}, {faults.steps[-1]}"
        assert whole or "out/manifest.json" not in visible, "the manifest says that the rest is there"
        if not visible:
            publish(target)
            assert files_in(parent) == {f"out/{name}": content for name, content in expected.items()}
        elif not whole:  # killed between two renames into a folder that was there
            with pytest.raises(BuildError, match="expected a new or empty folder, found files"):
                publish(target)
            assert kind == "kill"
        shutil.rmtree(parent)
        if len(faults.steps) < at:
            assert whole
            assert at > 10
            return
    pytest.fail("publishing has no end of steps")


# Several at once


def race(work: Callable[[int], Any], processes: int) -> None:
    """Let so many processes begin it in the same moment; a refusal is one way to end, everything else fails."""
    context = multiprocessing.get_context("fork")
    begin = time.monotonic() + 0.05

    def wait_and_work(number: int) -> None:
        time.sleep(max(0.0, begin - time.monotonic()))
        with suppress(DriftgateError):
            work(number)

    team = [context.Process(target=wait_and_work, args=(number,)) for number in range(processes)]
    for process in team:
        process.start()
    for process in team:
        process.join(60)
    assert [process.exitcode for process in team] == [0] * processes


ROUNDS = [pytest.param(5, id="few"), pytest.param(200, id="many", marks=pytest.mark.slow)]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_eight_runs_that_accept_into_one_folder_leave_the_baseline_of_one(
    rounds: int, save: Callable[[Path, str], None], tmp_path: Path
) -> None:
    for number in range(8):
        save(tmp_path / f"warm-{number}", f"run-{number}")
    seen = set()
    for each in range(rounds):
        folder = tmp_path / f"baseline-{each}"
        race(lambda number, folder=folder: save(folder, f"run-{number}"), 8)
        seen.add(kept(folder))
        left = files_in(folder)
        assert len([name for name in left if name.endswith("weights.bin")]) == 1, sorted(left)
        assert not [name for name in left if "partial" in name]
    assert all(name.startswith("run-") for name in seen)


@pytest.mark.parametrize("rounds", ROUNDS)
def test_sixteen_processes_that_need_one_artifact_build_it_once(rounds: int, tmp_path: Path) -> None:
    def build(root: Path) -> None:
        def fill(folder: Path) -> Manifest:
            with (root.parent / f"{root.name}.built").open("a", encoding="utf-8") as log:
                log.write(f"{os.getpid()}\n")
            (folder / "model.onnx").write_bytes(b"weights" * 100)
            return Manifest("onnx-fp32", "fp32", (), "stand-in", "0" * 64, {}, {})

        entry = cached("entry", fill, root=root)
        assert (entry / "model.onnx").read_bytes() == b"weights" * 100

    for each in range(rounds):
        root = tmp_path / f"cache-{each}"
        race(lambda _, root=root: build(root), 16)
        built = (tmp_path / f"{root.name}.built").read_text(encoding="utf-8").split()
        assert len(built) == 1, f"built by {len(built)} processes"
        assert sorted(name for name in files_in(root)) == ["entry/manifest.json", "entry/model.onnx"]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_four_jobs_with_one_output_are_one_that_scores_and_three_that_are_refused(rounds: int, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text("".join(f'{{"text": "text {row}"}}\n' for row in range(400)), encoding="utf-8")

    def score(target: Path) -> None:
        job = PredictionJob(DOUBLE, "double", str(source), str(target), window_rows=8, token_budget=64)
        run_job(job, open_model=slow_double)
        with (tmp_path / f"{target.stem}.done").open("a", encoding="utf-8") as log:
            log.write(f"{os.getpid()}\n")

    (tmp_path / "whole").mkdir()
    score(tmp_path / "whole/out.csv")
    for each in range(rounds):
        target = tmp_path / f"out-{each}.csv"
        race(lambda _, target=target: score(target), 4)
        assert target.read_bytes() == (tmp_path / "whole/out.csv").read_bytes()
        assert len((tmp_path / f"out-{each}.done").read_text(encoding="utf-8").split()) == 1
        assert not [path.name for path in tmp_path.glob(f"out-{each}.csv.*") if path.suffix != ".jsonl"]


@pytest.mark.parametrize("rounds", ROUNDS)
def test_eight_runs_that_append_to_one_history_all_have_their_line(rounds: int, tmp_path: Path) -> None:
    for each in range(rounds):
        path = tmp_path / f"history-{each}.jsonl"
        race(lambda number, path=path: add(path, str(number)), 8)
        assert sorted(entry.commit or "" for entry in read_history(path)) == sorted(map(str, range(8)))
        assert not list(tmp_path.glob("*.torn-*"))


@pytest.mark.slow
def test_sixteen_real_builds_of_one_artifact_are_one(tiny_encoder: Path, tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("driftgate")
    for each in range(5):
        environment = {**os.environ, "DRIFTGATE_CACHE": str(tmp_path / f"cache-{each}")}
        out = [tmp_path / f"out-{each}-{number}" for number in range(16)]
        team = [
            subprocess.Popen([script, "build", tiny_encoder, "--backends=onnx-fp32", "--out", one], env=environment)
            for one in out
        ]
        assert [process.wait() for process in team] == [0] * 16
        first, *others = ((one / "model.onnx").read_bytes() for one in out)
        assert all(other == first for other in others)
        assert not list((tmp_path / f"cache-{each}").glob("*.partial*"))
