"""Files that appear whole under their names, or not at all, also where the machine loses power.

What is written is created by this process alone, never through a link that somebody put there, and is on the disk before it
gets its name. Whoever keeps something for later runs writes, renames, removes and locks here, so that tests can make every one of
these operations fail.
"""

import fcntl
import io
import json
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # the open of a pipe would wait for its other end


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; what is there takes the place of `path` when the block ends well, in one step."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        sync_file(partial)
        rename(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def parse_json(content: str | bytes) -> Any:
    """What a JSON text of anybody's says.

    Raises:
        ValueError: no JSON, or nested too deeply to be read.
    """
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("expected JSON, found lists or objects that are nested too deeply") from error


def write_whole(path: Path, text: str) -> None:
    """Write `text` so that whoever opens `path` finds the old file or the new one."""
    with replacing(path) as partial, create(partial) as file:
        write_all(file, text.encode())


def create(path: Path) -> io.FileIO:
    """A new, empty file at `path`, to read and write; what an earlier run left under that name is removed first."""
    path.unlink(missing_ok=True)
    return io.FileIO(os.open(path, _NEW, 0o666), "r+b")


def reopen(path: Path) -> io.FileIO:
    """The file at `path`, to read and write.

    Raises:
        OSError: nothing is there, or a link, a folder, a pipe or a device.
    """
    descriptor = os.open(path, _OPEN)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(None, "expected a regular file", str(path))
    return io.FileIO(descriptor, "r+b")


def write_all(file: io.FileIO, content: bytes) -> None:
    """Write to a file or a pipe, which may take less than it was given."""
    left = memoryview(content)
    while left:
        left = left[os.write(file.fileno(), left) :]


def sync_file(path: Path) -> None:
    """Have what was written to a file, or the names in a folder, on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Have all files of a folder, and of those in it, on the disk when this returns, with their names."""
    for path in (*folder.rglob("*"), folder):
        sync_file(path)


def rename(source: Path, target: Path) -> None:
    """Give a file or folder another name in the same folder, over a file that has it; on the disk when this returns."""
    source.replace(target)
    sync_file(target.parent)


@contextmanager
def locked(*paths: Path) -> Iterator[None]:
    """Hold every one of these lock files against other processes; they are removed at the end.

    Raises:
        BlockingIOError: another process holds one of them. FileExistsError: a file is there that is not a lock.
    """
    with ExitStack() as held:
        for path in sorted(set(paths)):  # two processes that ask for the same ones get one, and not half each
            held.enter_context(_locked(path))
        yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = _acquire(path)
    try:
        yield
    finally:
        try:
            with suppress(OSError):  # what stays behind is empty, and nobody holds it
                path.unlink()  # before it is released: nobody can hold it by then
        finally:
            os.close(descriptor)


def _acquire(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
        try:
            _require_lock(descriptor, path)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever held it removed it in between


def _require_lock(descriptor: int, path: Path) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_size:
        raise FileExistsError(None, "a file is there that is not a lock", str(path))
