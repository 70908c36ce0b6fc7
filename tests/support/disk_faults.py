"""Faults of a disk: every call that changes a folder is a step, and the k-th of them fails, stops half-way or ends the process.

Standing in for the operating system's calls in this process is exact about which step it is, and a thousand times as quick as
killing processes. What is not a call of `os` (a file that Python opens by itself, a copy by `shutil`) is brought down to them.
"""

import builtins
import fcntl
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from driftgate.errors import DriftgateError

CHANGING = ("write", "fsync", "replace", "rename", "unlink", "open", "ftruncate", "mkdir", "rmdir")


class Killed(BaseException):
    """The process is gone: nothing that it would do afterwards happens."""


class Faults:
    """Counts the steps within `folder`; the `at`-th ends as `kind` says.

    Args:
        kind: an errno, "short" for half a write, "kill", "none".
    """

    def __init__(self, folder: Path, kind: int | str = "none", at: int = 0) -> None:
        self.folder, self.kind, self.at = str(folder), kind, at
        self.steps: list[str] = []
        self.dead = False

    def step(self, name: str, real: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if self.dead:
            raise Killed
        if not self._concerns(name, arguments, options):
            return real(*arguments, **options)
        self.steps.append(name)
        if len(self.steps) != self.at:
            return real(*arguments, **options)
        if self.kind == "short" and name == "write":
            return real(arguments[0], bytes(arguments[1])[: max(1, len(arguments[1]) // 2)])
        if self.kind == "kill":
            if name == "write":  # a part of it may have arrived
                real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            self.dead = True
            raise Killed
        if isinstance(self.kind, int):
            raise OSError(self.kind, os.strerror(self.kind), *map(str, arguments[:1]))
        return real(*arguments, **options)

    def _concerns(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> bool:
        if name == "open" and not arguments[1] & os.O_CREAT:
            return False
        where = arguments[0]
        if isinstance(where, int):
            where = Path(f"/proc/self/fd/{where}").readlink()
        elif isinstance(folder := options.get("dir_fd"), int):
            where = Path(f"/proc/self/fd/{folder}").readlink() / where
        return str(where).startswith(self.folder)


@contextmanager
def injected(faults: Faults, synced: Callable[[int], None]) -> Iterator[Faults]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fcntl, "flock", partial(_flock, faults, fcntl.flock))
        for name in CHANGING:
            # Waiting for the disk itself would be most of the time that a run takes.
            real = synced if name == "fsync" else getattr(os, name)
            patch.setattr(
                os,
                name,
                lambda *arguments, _name=name, _real=real, **options: faults.step(_name, _real, *arguments, **options),
            )
        patch.setattr(shutil, "_USE_CP_SENDFILE", False, raising=False)
        patch.setattr(builtins, "open", _by_descriptor)
        patch.setattr(io, "open", _by_descriptor)
        yield faults


def _flock(faults: Faults, real: Callable[[int, int], None], descriptor: int, operation: int) -> None:
    """A lock can fail. Giving it up cannot, and happens to whoever is killed."""
    if operation & fcntl.LOCK_UN:
        real(descriptor, operation)
    else:
        faults.step("flock", real, descriptor, operation)


_OPEN = open


def _by_descriptor(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
    """What `open` gives, with a file to be written opened and written by the calls of `os` above."""
    if isinstance(file, int) or "opener" in options or not set(mode) & set("wxa"):
        return _OPEN(file, mode, *arguments, **options)
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    flags |= os.O_EXCL if "x" in mode else os.O_APPEND if "a" in mode else os.O_TRUNC
    raw = _Raw(os.open(file, flags, 0o666), "r+b")
    if options.get("buffering", arguments[0] if arguments else -1) == 0:
        return raw
    buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
    if "b" in mode:
        return buffered
    return io.TextIOWrapper(buffered, encoding=options.get("encoding"), newline=options.get("newline"))


class _Raw(io.FileIO):
    def write(self, content: Any) -> int:
        return os.write(self.fileno(), content)


def attempt(
    act: Callable[[], Any],
    folder: Path,
    kind: int | str,
    at: int,
    synced: Callable[[int], None] = lambda descriptor: None,
) -> Faults:
    """Do it with that fault in `folder`; the errors that a fault may end in are over with this.

    Args:
        synced: told each descriptor that is to be on the disk.
    """
    with injected(Faults(folder, kind, at), synced) as faults, suppress(DriftgateError, OSError, Killed):
        act()
    return faults
