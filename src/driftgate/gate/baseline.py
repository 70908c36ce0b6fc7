"""The speed gate's baseline: the artifacts of one accepted run, to be timed again with later ones.

A folder: `baseline.json` says what was accepted; `artifacts/SHA256/` holds each model under the digest of its files, and
`tokenizer/SHA256/` the tokenizer. `baseline.json` is replaced last, in one step, and what only the old one named is removed
after that: a run that is killed, or a machine that loses power, leaves the old baseline or the new one, whole. Runs that accept
at the same time wait for one another; the last one's baseline stays.
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.backends import Precision
from driftgate.builder.artifact import Artifact, digest_files, model_files, open_artifact
from driftgate.edges.spelling import option
from driftgate.errors import ArtifactError, BaselineError
from driftgate.files import parse_json, rename, sync_folder, write_whole
from driftgate.inputs.model_folder import is_own_file, own_files

FILE_NAME = "baseline.json"
SCHEMA = 2
_ACCEPT = "pytest --pyargs driftgate.suites.benchmarks --gate-accept"
_DIGEST = re.compile("[0-9a-f]{64}")
_ARTIFACTS, _TOKENIZER, _LOCK = "artifacts", "tokenizer", ".lock"
_LOCK_SECONDS = 300.0  # copying some gigabytes takes less


@dataclass(frozen=True, slots=True)
class BaselineBackend:
    """One backend's artifact and the ids of its gated cells."""

    artifact: Artifact
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class GateBaseline:
    """What an accepted run left.

    Args:
        about: JSON-ready: what the run took place in and on. The gate says which of it has to be the same.
        backends: by name.
    """

    about: Mapping[str, Any]
    backends: Mapping[str, BaselineBackend]


def require_baseline_folder(folder: Path) -> None:
    """Refuse a folder of something else, whose files would be mixed up with a baseline's.

    Raises:
        BaselineError: it has files that are not a baseline's.
    """
    if not folder.exists() or (folder / FILE_NAME).exists():
        return
    ours = {".gitignore", _LOCK, _ARTIFACTS, _TOKENIZER}
    if any(path.name not in ours and not path.name.endswith(".partial") for path in folder.iterdir()):
        raise BaselineError(
            f"{folder}: has files but no {FILE_NAME}; give a new or empty folder with {option('gate_baseline')}"
        )


def write_gate_baseline(
    folder: Path,
    backends: Mapping[str, BaselineBackend],
    tokenizer_files: Sequence[Path],
    about: Mapping[str, Any],
) -> None:
    """Make this the baseline in `folder`, whole or not at all; a new folder tells git to ignore it.

    Raises:
        BaselineError: the folder cannot be written, or has files that are not a baseline's.
    """
    from filelock import FileLock, Timeout

    require_baseline_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / _LOCK, timeout=_LOCK_SECONDS):
            _write(folder, backends, tokenizer_files, about)
    except Timeout as error:
        raise BaselineError(
            f"{folder}: another run has been saving a baseline there for {_LOCK_SECONDS:.0f} s; wait for it, or give another "
            f"folder with {option('gate_baseline')}"
        ) from error
    except OSError as error:
        raise BaselineError(
            f"{folder}: the baseline cannot be written ({error.strerror or error}); the one before, if any, is kept"
        ) from error


def _write(
    folder: Path, backends: Mapping[str, BaselineBackend], tokenizer_files: Sequence[Path], about: Mapping[str, Any]
) -> None:
    tokenizer_sha256 = digest_files(tokenizer_files)
    document = {
        "schema": SCHEMA,
        "about": about,
        "tokenizer_sha256": tokenizer_sha256,
        "backends": {
            name: {
                "precision": str(backend.artifact.precision),
                "model": backend.artifact.model.name,
                "sha256": backend.artifact.sha256,
                "size_bytes": backend.artifact.size_bytes,
                "cells": list(backend.cells),
            }
            for name, backend in backends.items()
        },
    }
    if not (folder / ".gitignore").exists():
        write_whole(folder / ".gitignore", "*\n")
    for backend in backends.values():
        model = backend.artifact.model
        files = {path.relative_to(model.parent).as_posix(): path for path in model_files(model)}
        _store(folder / _ARTIFACTS / backend.artifact.sha256, files)
    _store(folder / _TOKENIZER / tokenizer_sha256, {path.name: path for path in tokenizer_files})
    write_whole(folder / FILE_NAME, json.dumps(document, indent=2, allow_nan=False) + "\n")
    _prune(folder, {tokenizer_sha256, *(backend.artifact.sha256 for backend in backends.values())})


def read_gate_baseline(folder: Path) -> GateBaseline:
    """The baseline in `folder`, after comparing every file with its digest.

    Raises:
        BaselineError: none there, truncated, written by a newer driftgate, or a file that is missing or changed.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        there = "no such folder" if not folder.exists() else f"no {FILE_NAME} in it"
        raise BaselineError(f"gate baseline {folder}: {there}; save one with: {_ACCEPT}")
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
        schema = document["schema"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error
    if schema != SCHEMA:
        raise BaselineError(
            f"{path}: schema {schema!r}, and this driftgate reads schema {SCHEMA}; accept a new one with: {_ACCEPT}"
        )
    try:
        backends = {
            str(name): BaselineBackend(_open(folder, entry), tuple(map(str, entry["cells"])))
            for name, entry in document["backends"].items()
        }
        about, tokenizer_sha256 = dict(document["about"]), _checked(document["tokenizer_sha256"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _unreadable(path, error) from error
    tokenizer = folder / _TOKENIZER / tokenizer_sha256
    if (found := digest_files(own_files(tokenizer, "*"))) != tokenizer_sha256:
        raise _changed(tokenizer, f"have sha256 {found}, not that of its name")
    return GateBaseline(about, backends)


def _open(folder: Path, entry: Mapping[str, Any]) -> Artifact:
    model = str(entry["model"])
    if Path(model).name != model:
        raise ValueError(f"model {model!r} is not a file's name")
    home = folder / _ARTIFACTS / _checked(entry["sha256"])
    precision = Precision(entry["precision"])
    if not is_own_file(home / model, home):
        raise BaselineError(
            f"{home / model}: missing from the gate baseline; save a new one with {option('gate_accept', True)}"
        )
    try:
        artifact = open_artifact(home / model, precision)
    except ArtifactError as error:
        raise _changed(home, f"cannot be opened ({error})") from error
    if artifact.sha256 != entry["sha256"]:
        raise _changed(home, f"have sha256 {artifact.sha256}, not that of its name")
    return artifact


def _checked(digest: object) -> str:
    """A digest that can be part of a path."""
    if not _DIGEST.fullmatch(str(digest)):
        raise ValueError(f"{digest!r} is no sha256")
    return str(digest)


def _unreadable(path: Path, error: Exception) -> BaselineError:
    return BaselineError(
        f"{path}: not a readable gate baseline ({error!r}); save a new one with {option('gate_accept', True)}"
    )


def _changed(home: Path, found: str) -> BaselineError:
    return BaselineError(
        f"{home}: its files {found}: damaged or changed; restore the gate baseline, or save a new one with "
        f"{option('gate_accept', True)}"
    )


def _store(home: Path, files: Mapping[str, Path]) -> None:
    """Copy files into `home` under their names, whole or not at all. What is there under the same digest is the same, unless
    damaged.
    """
    if home.exists() and digest_files(own_files(home, "**/*"), home) == home.name:
        return
    partial = home.with_name(f"{home.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed: under the lock nobody is filling one
        partial.mkdir(parents=True)
        for name, path in files.items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, partial / name)
        sync_folder(partial)
        shutil.rmtree(home, ignore_errors=True)
        rename(partial, home)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _prune(folder: Path, named: set[str]) -> None:
    """Remove what only the baseline before named, and what a run that was killed left."""
    for partial in folder.glob(".*.partial"):
        partial.unlink(missing_ok=True)
    for home in (*(folder / _ARTIFACTS).glob("*"), *(folder / _TOKENIZER).glob("*")):
        if home.name not in named:
            shutil.rmtree(home, ignore_errors=True)
