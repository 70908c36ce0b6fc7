"""Every step that changes the disk fails once, kills the process once, or is the last one before the power goes.

What a job writes goes through a few calls of the operating system. Here each of them is the k-th for every k; afterwards the job
is run again as its user would, and has to end in the bytes of an undisturbed run, or in a clear refusal.
"""

import errno
import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import letter_counter
import pytest
from disk_faults import Faults, attempt
from letter_counter import DOUBLE, open_double

from driftgate import files
from driftgate.builder.artifact import Manifest
from driftgate.builder.cache import cached
from driftgate.files import create, locked, write_whole
from driftgate.predict.job import PredictionJob, run_job

ROWS = 16
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)


def visible(folder: Path) -> dict[str, bytes]:
    """All but lock files, which a process that is killed leaves empty and held by nobody."""
    files_there = [path for path in sorted(folder.iterdir()) if path.is_file()]
    assert not any(path.stat().st_size for path in files_there if path.suffix == ".lock")
    return {path.name: path.read_bytes() for path in files_there if path.suffix != ".lock"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    texts = [f"text {row}" if row % 9 else "" for row in range(ROWS)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def score(source: Path, target: Path, **options: Any) -> None:
    usual = {"window_rows": 8, "token_budget": 64, "commit_seconds": 0.0}
    run_job(PredictionJob(DOUBLE, "double", str(source), str(target), **usual, **options), open_model=open_double)


KINDS = (*ERRORS, "short", "kill")
# By default every kind of fault meets one format, and every format is killed.
PREDICTED = [("out.csv", kind) for kind in KINDS] + [
    (name, "kill") for name in ("out.jsonl", "out.csv.gz", "out.parquet")
]
REST = [
    pytest.param(name, kind, marks=pytest.mark.slow)
    for name in ("out.jsonl", "out.csv.gz", "out.parquet")
    for kind in KINDS
    if kind != "kill"
]


@pytest.mark.parametrize(("name", "kind"), [*PREDICTED, *REST])
def test_predict_goes_on_after_a_fault_at_any_step(name: str, kind: int | str, source: Path, tmp_path: Path) -> None:
    if name == "out.parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / "expected").mkdir()
    score(source, tmp_path / "expected" / name)
    expected = visible(tmp_path / "expected")
    for at in range(1, 1000):
        folder = tmp_path / "tried"
        folder.mkdir()
        faults = attempt(lambda folder=folder: score(source, folder / name), folder, kind, at)
        if len(faults.steps) < at:  # every step had its turn
            assert at > 20
            return
        found = visible(folder)
        assert found.get(name, expected[name]) == expected[name], f"half an output after step {at}, {faults.steps[-1]}"
        if name not in found or any(".partial" in left or ".journal" in left for left in found):
            score(source, folder / name, resume=True)
        assert visible(folder) == expected, f"other files after a fault at step {at}, {faults.steps[at - 1]}"
        shutil.rmtree(folder)
    pytest.fail("the job has no end of steps")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [errno.ENOSPC, "kill"])
def test_predict_with_workers_goes_on_after_a_fault_at_any_step(
    kind: int | str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(letter_counter.__file__).parent))  # for the workers
    (tmp_path / "expected").mkdir()
    score(source, tmp_path / "expected/out.csv")
    expected = visible(tmp_path / "expected")
    for at in range(1, 1000):
        folder = tmp_path / "tried"
        folder.mkdir()
        faults = attempt(lambda folder=folder: score(source, folder / "out.csv", workers=2), folder, kind, at)
        if len(faults.steps) < at:
            assert at > 20
            return
        found = visible(folder)
        assert found.get("out.csv", expected["out.csv"]) == expected["out.csv"]
        if found != expected:
            score(source, folder / "out.csv", resume=True)
        assert visible(folder) == expected, f"other files after a fault at step {at}, {faults.steps[at - 1]}"
        shutil.rmtree(folder)
    pytest.fail("the job has no end of steps")


@pytest.mark.fuzz
@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.csv.gz", "out.parquet"])
def test_predict_goes_on_after_five_thousand_faults_of_any_kind(name: str, source: Path, tmp_path: Path) -> None:
    """One after another until the job is done, also while it goes on after the ones before."""
    (tmp_path / "expected").mkdir()
    score(source, tmp_path / "expected" / name)
    expected, faults, draw = visible(tmp_path / "expected"), 0, random.Random(name)  # noqa: S311
    while faults < 5_000:
        folder = tmp_path / "tried"
        folder.mkdir()
        for _ in range(draw.randint(1, 6)):
            kind, at = draw.choice(KINDS), draw.randint(1, 60)
            again = {"resume": True} if any(folder.iterdir()) else {}
            found = attempt(lambda folder=folder, again=again: score(source, folder / name, **again), folder, kind, at)
            faults += len(found.steps) >= at
            there = visible(folder)
            assert there.get(name, expected[name]) == expected[name]
            if there == expected:
                break
        if visible(folder) != expected:
            score(source, folder / name, resume=True)
        assert visible(folder) == expected
        shutil.rmtree(folder)


@pytest.mark.parametrize("kind", [*ERRORS, "short", "kill"])
def test_a_file_that_is_written_whole_is_the_old_one_or_the_new_one(kind: int | str, tmp_path: Path) -> None:
    path = tmp_path / "kept.json"
    for at in range(1, 100):
        path.write_text("old", encoding="utf-8")
        faults = attempt(lambda: write_whole(path, "new" * 100), tmp_path, kind, at)
        assert path.read_text(encoding="utf-8") in ("old", "new" * 100)
        write_whole(path, "new" * 100)
        assert [left.name for left in tmp_path.iterdir()] == ["kept.json"]
        if len(faults.steps) < at:
            assert at > 4
            return


def build(root: Path) -> Path:
    def fill(folder: Path) -> Manifest:
        with create(folder / "model.onnx") as file:
            files.write_all(file, b"weights" * 100)
        return Manifest("onnx-fp32", "fp32", (), "stand-in", "0" * 64, {}, {})

    return cached("entry", fill, root=root)


@pytest.mark.parametrize("kind", [*ERRORS, "short", "kill"])
def test_an_artifact_is_whole_or_not_there_after_a_fault_at_any_step(kind: int | str, tmp_path: Path) -> None:
    for at in range(1, 200):
        root = tmp_path / "cache"
        faults = attempt(lambda root=root: build(root), root, kind, at)
        entry = build(root)
        assert (entry / "model.onnx").read_bytes() == b"weights" * 100
        assert not list(root.glob("*partial*"))
        shutil.rmtree(root)
        if len(faults.steps) < at:
            assert at > 3
            return


# Power


class Disk:
    """What is on the disk itself: contents as of the last fsync of each file, names as of the last fsync of each folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[str, int] = {}
        self.contents: dict[int, bytes] = {}
        self.kept: list[int] = []  # descriptors, so that no inode is used twice
        self.synced_folder()

    def synced(self, descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        if path == self.folder:
            self.synced_folder()
        elif path.parent == self.folder:
            self.contents[os.fstat(descriptor).st_ino] = path.read_bytes()

    def synced_folder(self) -> None:
        for entry in os.scandir(self.folder):
            if entry.inode() not in self.contents:
                self.contents[entry.inode()] = b""
        self.names = {entry.name: entry.inode() for entry in os.scandir(self.folder)}

    def restore(self, target: Path) -> None:
        target.mkdir()
        for name, inode in self.names.items():
            (target / name).write_bytes(self.contents[inode])


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
@pytest.mark.parametrize("keeps_names", [False, True], ids=["names-lost", "names-kept"])
def test_predict_goes_on_after_the_power_was_lost_at_any_step(
    name: str, keeps_names: bool, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that was not synced is lost; with `keeps_names`, renames and removals arrived all the same."""
    if name == "out.parquet":
        pytest.importorskip("pyarrow")
    (tmp_path / "expected").mkdir()
    score(source, tmp_path / "expected" / name)
    expected = visible(tmp_path / "expected")
    for at in range(1, 1000):
        folder, after = tmp_path / "tried", tmp_path / "after"
        folder.mkdir()
        disk = Disk(folder)
        faults = lose_power(lambda folder=folder: score(source, folder / name), disk, at, monkeypatch)
        if keeps_names:
            disk.synced_folder()
        disk.restore(after)
        found = visible(after)
        assert found.get(name, expected[name]) == expected[name], f"half an output after step {at}"
        if any(".partial" in left or ".journal" in left for left in found) or name not in found:
            score(source, after / name, resume=True)
        assert visible(after) == expected, f"other files after power was lost at step {at} of {faults.steps}"
        shutil.rmtree(folder)
        shutil.rmtree(after)
        if len(faults.steps) < at:
            return


def lose_power(act: Callable[[], Any], disk: Disk, at: int, monkeypatch: pytest.MonkeyPatch) -> Faults:
    """Stop at that step; `disk` knows what arrived by then."""
    real_open = os.open

    def opened(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        descriptor = real_open(path, flags, *rest, **options)
        if flags & os.O_CREAT:
            disk.kept.append(os.dup(descriptor))
        return descriptor

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", opened)
        faults = attempt(act, disk.folder, "kill", at, disk.synced)
    for descriptor in disk.kept:
        os.close(descriptor)
    return faults


# Several at once


def _add_under_lock(folder: Path, rounds: int) -> None:
    for _ in range(rounds):
        while True:
            try:
                with locked(folder / "counter.lock"):
                    path = folder / "counter"
                    path.write_text(str(int(path.read_text(encoding="utf-8")) + 1), encoding="utf-8")
                break
            except BlockingIOError:
                continue


def test_a_lock_that_is_removed_when_released_still_excludes(tmp_path: Path) -> None:
    import multiprocessing

    (tmp_path / "counter").write_text("0", encoding="utf-8")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_add_under_lock, args=(tmp_path, 200)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert (tmp_path / "counter").read_text(encoding="utf-8") == "800"
