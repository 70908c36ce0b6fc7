"""The cache of artifacts: built once, whole or not at all, verified before every use."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from driftgate.builder import cache
from driftgate.builder.artifact import MANIFEST, Manifest, verify_manifest
from driftgate.builder.cache import DamagedArtifactWarning, cached
from driftgate.edges.cache_folder import cache_folder
from driftgate.errors import BuildError, CacheError

KEY = "export-0123"
MANIFEST_OF_A_TEST = Manifest("onnx-fp32", "fp32", ("export@1",), "tiny", "ab" * 32, {"onnx": "1.18"}, files={})

# Runs in processes of its own: argv is the cache folder, a log of fills, and a file whose appearance is the start signal.
BUILDER = """
import sys, time
from pathlib import Path
from driftgate.builder.artifact import Manifest
from driftgate.builder.cache import cached

root, log, start = map(Path, sys.argv[1:])

def fill(folder):
    with log.open("a") as lines:
        lines.write("filled\\n")
    time.sleep(0.5)  # long enough for the other process to arrive
    (folder / "model.onnx").write_text("weights")
    return Manifest("b", "fp32", (), "e", "0", {}, {})

print("ready", flush=True)
while not start.exists():
    time.sleep(0.01)
print(cached("export-0123", fill, root=root))
"""

KILLED_HALF_WAY = """
import os, signal, sys
from pathlib import Path
from driftgate.builder.cache import cached

def fill(folder):
    (folder / "model.onnx").write_text("half of the wei")
    os.kill(os.getpid(), signal.SIGKILL)

cached("export-0123", fill, root=Path(sys.argv[1]))
"""


class Filler:
    """Writes two files, and counts how often it was asked to."""

    def __init__(self, content: str = "weights") -> None:
        self.calls = 0
        self.content = content

    def __call__(self, folder: Path) -> Manifest:
        self.calls += 1
        (folder / "model.onnx").write_text(self.content, encoding="utf-8")
        (folder / "model.onnx_data").write_text(f"more {self.content}", encoding="utf-8")
        return MANIFEST_OF_A_TEST


def fail_with(error: Exception) -> Callable[[Path], NoReturn]:
    """A fill that writes half of its files, then fails."""

    def fill(folder: Path) -> NoReturn:
        (folder / "model.onnx").write_text("half", encoding="utf-8")
        raise error

    return fill


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def set_manifest(entry: Path, **changes: object) -> None:
    content = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
    (entry / MANIFEST).write_text(json.dumps(content | changes), encoding="utf-8")


# Where it is


def test_the_variable_names_the_cache_folder(empty_cache: Path) -> None:
    assert cache_folder() == empty_cache


@pytest.mark.parametrize("value", [None, ""], ids=["unset", "empty"])
def test_without_the_variable_the_cache_is_the_users(
    value: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    if value is None:
        monkeypatch.delenv("DRIFTGATE_CACHE", raising=False)
    else:
        monkeypatch.setenv("DRIFTGATE_CACHE", value)
    assert cache_folder().name == "driftgate"
    assert cache_folder().is_relative_to(tmp_path)


def test_a_missing_cache_folder_is_made(tmp_path: Path) -> None:
    entry = cached(KEY, Filler(), root=tmp_path / "not/yet/there")
    assert entry == tmp_path / "not/yet/there" / KEY


# Built once


def test_a_second_request_takes_what_the_first_one_built(empty_cache: Path) -> None:
    fill = Filler()
    assert cached(KEY, fill) == cached(KEY, fill) == empty_cache / KEY
    assert fill.calls == 1


def test_entries_with_other_keys_are_built_on_their_own(empty_cache: Path) -> None:
    first, second = Filler("first"), Filler("second")
    cached("export-1", first)
    entry = cached("export-2", second)
    assert (first.calls, second.calls) == (1, 1)
    assert (entry / "model.onnx").read_text(encoding="utf-8") == "second"


def test_the_manifest_holds_the_digest_of_every_file(empty_cache: Path) -> None:
    manifest = verify_manifest(cached(KEY, Filler()))
    assert set(manifest.files) == {"model.onnx", "model.onnx_data"}
    assert {len(digest) for digest in manifest.files.values()} == {64}


def test_two_processes_at_once_build_once(tmp_path: Path) -> None:
    root, log, start = tmp_path / "cache", tmp_path / "log", tmp_path / "start"
    command = [sys.executable, "-c", BUILDER, str(root), str(log), str(start)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    start.touch()
    answers = [process.communicate(timeout=60)[0].strip() for process in processes]
    assert answers == [str(root / KEY)] * 2
    assert log.read_text(encoding="utf-8") == "filled\n"
    verify_manifest(root / KEY)


# Whole or not at all


@pytest.fixture
def killed_build(tmp_path: Path) -> Path:
    """A cache in which a build was killed half-way."""
    root = tmp_path / "cache"
    done = subprocess.run([sys.executable, "-c", KILLED_HALF_WAY, str(root)], check=False)
    assert done.returncode == -signal.SIGKILL
    halves = [path for path in root.rglob("model.onnx") if path.read_text(encoding="utf-8").startswith("half")]
    assert len(halves) == 1, "the killed build was to leave half of its files"
    return root


def test_a_killed_build_leaves_no_entry(killed_build: Path) -> None:
    assert not (killed_build / KEY).exists()


def test_after_a_killed_build_the_entry_is_built_whole(killed_build: Path) -> None:
    fill = Filler()
    entry = cached(KEY, fill, root=killed_build)
    assert fill.calls == 1
    assert names(entry) == {"model.onnx", "model.onnx_data", MANIFEST}
    verify_manifest(entry)


def test_what_a_killed_build_left_is_cleaned_up(killed_build: Path) -> None:
    cached(KEY, Filler(), root=killed_build)
    assert names(killed_build) == {KEY, f"{KEY}.lock"}


def test_a_build_that_fails_leaves_nothing(empty_cache: Path) -> None:
    with pytest.raises(BuildError, match="step broke"):
        cached(KEY, fail_with(BuildError("step broke")))
    assert names(empty_cache) == {f"{KEY}.lock"}


def test_a_build_after_a_failed_one_succeeds(empty_cache: Path) -> None:
    with pytest.raises(BuildError):
        cached(KEY, fail_with(BuildError("step broke")))
    verify_manifest(cached(KEY, Filler()))


# Verified


def change_a_file(entry: Path) -> None:
    (entry / "model.onnx").write_text("weightz", encoding="utf-8")


def remove_a_file(entry: Path) -> None:
    (entry / "model.onnx_data").unlink()


def add_a_file(entry: Path) -> None:
    (entry / "model.onnx.bak").touch()


def remove_the_manifest(entry: Path) -> None:
    (entry / MANIFEST).unlink()


def cut_the_manifest(entry: Path) -> None:
    content = (entry / MANIFEST).read_bytes()
    (entry / MANIFEST).write_bytes(content[: len(content) // 2])


DAMAGES = {
    "changed-file": (change_a_file, r"differ from the manifest: model\.onnx;"),
    "missing-file": (remove_a_file, r"differ from the manifest: model\.onnx_data;"),
    "added-file": (add_a_file, r"differ from the manifest: model\.onnx\.bak;"),
    "no-manifest": (remove_the_manifest, "no readable manifest"),
    "half-a-manifest": (cut_the_manifest, "no readable manifest"),
    "manifest-without-files": (lambda entry: set_manifest(entry, files=None), "no readable manifest"),
    "manifest-of-another-schema": (lambda entry: set_manifest(entry, future=1), "no readable manifest"),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_entry_is_built_again_with_a_warning(
    damage: Callable[[Path], None], reason: str, empty_cache: Path
) -> None:
    fill = Filler()
    damage(cached(KEY, fill))
    with pytest.warns(DamagedArtifactWarning, match=reason):
        entry = cached(KEY, fill)
    assert fill.calls == 2
    assert names(entry) == {"model.onnx", "model.onnx_data", MANIFEST}
    verify_manifest(entry)


def test_a_damaged_entry_is_mended_even_where_warnings_are_errors(empty_cache: Path) -> None:
    fill = Filler()
    change_a_file(cached(KEY, fill))
    with pytest.raises(DamagedArtifactWarning):  # this suite's own setting
        cached(KEY, fill)
    cached(KEY, fill)
    assert fill.calls == 2


# Rebuilt


def test_a_rebuild_fills_again(empty_cache: Path) -> None:
    cached(KEY, Filler("old"))
    entry = cached(KEY, Filler("new"), rebuild=True)
    assert (entry / "model.onnx").read_text(encoding="utf-8") == "new"
    verify_manifest(entry)


@pytest.mark.parametrize("error", [BuildError("step broke"), full_disk()], ids=["failed-step", "full-disk"])
def test_a_failing_rebuild_leaves_the_old_entry(error: Exception, empty_cache: Path) -> None:
    cached(KEY, Filler("old"))
    with pytest.raises(BuildError):
        cached(KEY, fail_with(error), rebuild=True)
    unused = Filler("new")
    assert (cached(KEY, unused) / "model.onnx").read_text(encoding="utf-8") == "old"
    assert unused.calls == 0
    assert names(empty_cache) == {KEY, f"{KEY}.lock"}


# Places that cannot be written


def test_a_cache_folder_under_a_file_is_refused_with_the_variable_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DRIFTGATE_CACHE", str(tmp_path / "file/cache"))
    with pytest.raises(CacheError, match=r"file/cache: cannot be written .*DRIFTGATE_CACHE"):
        cached(KEY, Filler())


def test_a_read_only_cache_folder_is_refused_with_the_variable_to_set(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(cache.tempfile, "TemporaryFile", refuse)  # chmod does not stop root
    fill = Filler()
    with pytest.raises(CacheError, match=r"cannot be written \(Permission denied\).*DRIFTGATE_CACHE"):
        cached(KEY, fill)
    assert fill.calls == 0


def test_a_full_disk_while_building_is_named_and_nothing_is_kept(empty_cache: Path) -> None:
    with pytest.raises(BuildError, match=r"No space left on device; nothing was kept.*DRIFTGATE_CACHE"):
        cached(KEY, fail_with(full_disk()))
    assert names(empty_cache) == {f"{KEY}.lock"}


def test_a_full_disk_at_the_manifest_is_named_and_nothing_is_kept(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path, manifest: Manifest) -> NoReturn:
        raise full_disk()

    monkeypatch.setattr(cache, "write_manifest", refuse)
    with pytest.raises(BuildError, match="No space left on device"):
        cached(KEY, Filler())
    assert names(empty_cache) == {f"{KEY}.lock"}


def test_a_full_disk_at_the_first_folder_is_named(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make = Path.mkdir

    def refuse(path: Path, *args: object, **options: object) -> None:
        if KEY in path.name:
            raise full_disk()
        make(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(BuildError, match="No space left on device"):
        cached(KEY, Filler())
