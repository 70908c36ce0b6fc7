"""The cache of artifacts: built once per machine, whole or not at all, verified before every use.

An entry is a folder named by its key. It is filled in a temporary folder beside it and renamed, under a file lock, so
that parallel jobs build once and a killed build leaves nothing that could be taken for an artifact.
"""

import contextlib
import os
import shutil
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from driftgate.builder.artifact import Manifest, hash_files, verify_manifest, write_manifest
from driftgate.edges.cache_folder import ENVIRONMENT_VARIABLE, cache_folder
from driftgate.errors import ArtifactError, BuildError, CacheError

_PARTIAL = ".partial-"


class DamagedArtifactWarning(UserWarning):
    """A cached artifact did not match its manifest and was built again."""


def cached(
    key: str,
    fill: Callable[[Path], Manifest],
    *,
    rebuild: bool = False,
    root: Path | None = None,
) -> Path:
    """The verified folder of entry `key`; `fill(folder)` writes its files where there is none yet.

    Args:
        fill: writes files into the folder it is given and says how they were made (its `files` are computed here).
        rebuild: fill again even where a good entry exists. Nothing is lost if that fails.

    Raises:
        CacheError: the cache folder cannot be written, or everybody can write to it.
        BuildError: the disk is full, or `fill` failed.
    """
    from filelock import FileLock

    folder = _writable(root or cache_folder())
    entry = folder / key
    with FileLock(folder / f"{key}.lock"):
        for leftover in folder.glob(f"{key}{_PARTIAL}*"):  # under the lock nobody is filling one
            shutil.rmtree(leftover, ignore_errors=True)
        damage = None
        if entry.exists() and not rebuild:
            try:
                verify_manifest(entry)
            except ArtifactError as error:
                damage = error
            else:
                return entry
        with _partial_folder(folder, key) as partial:
            manifest = fill(partial)
            write_manifest(partial, replace(manifest, files=hash_files(partial)))
            if entry.exists():
                shutil.rmtree(entry)
            partial.rename(entry)
    if damage is not None:  # once it is repaired: where warnings are errors, the next run must find a good entry
        warnings.warn(f"cached artifact rebuilt: {damage}", DamagedArtifactWarning, stacklevel=2)
    return entry


def _writable(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            mode = folder.stat().st_mode
    except OSError as error:
        raise CacheError(
            f"cache folder {folder}: cannot be written ({error.strerror}); make it writable or set {ENVIRONMENT_VARIABLE}"
        ) from error
    if mode & stat.S_IWOTH:
        raise CacheError(
            f"cache folder {folder}: every user of this machine may write to it, and models are loaded from it; take that "
            f"permission away (chmod o-w) or set {ENVIRONMENT_VARIABLE} to another folder"
        )
    return folder


@contextlib.contextmanager
def _partial_folder(folder: Path, key: str) -> Iterator[Path]:
    partial = folder / f"{key}{_PARTIAL}{os.getpid()}"
    try:
        partial.mkdir()
        yield partial
    except OSError as error:
        raise BuildError(
            f"build of {key} failed while writing to {folder}: {error.strerror or error}; nothing was kept; free space there "
            f"or set {ENVIRONMENT_VARIABLE} to another disk"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)  # renamed away if all went well
