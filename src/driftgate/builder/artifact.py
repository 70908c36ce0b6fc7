"""The files a build wrote, and the manifest that says how, from what, and what every file's digest is."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from driftgate.backends import Precision
from driftgate.errors import ArtifactError
from driftgate.files import parse_json
from driftgate.onnx_graph.onnx_file import find_external

MANIFEST = "manifest.json"
CARD = "README.md"
MODEL = "model.onnx"
MANIFEST_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Artifact:
    """An ONNX model on disk.

    Args:
        model: the ONNX file. Weights over 2 GB lie in files beside it, which the graph names.
        precision: its class.
        sha256: digest over all files of the model.
        size_bytes: of all files of the model.
    """

    model: Path
    precision: Precision
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """How an artifact was made.

    Args:
        files: sha256 by file, each as seen from the manifest's folder.
        notes: what a step has to say, by step.
        encoder_revision: the commit of an encoder that came from the hub.
    """

    backend: str
    precision: str
    steps: tuple[str, ...]
    encoder: str
    encoder_sha256: str
    versions: Mapping[str, str]
    files: Mapping[str, str]
    notes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schema: int = MANIFEST_SCHEMA
    encoder_revision: str | None = None


def file_sha256(path: Path) -> str:
    """The digest of a file, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(folder: Path) -> dict[str, str]:
    """sha256 of every file in `folder` and below, by its path there; not of the manifest, nor of the card, which people edit."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: file_sha256(path) for name, path in files.items() if name not in (MANIFEST, CARD)}


def manifest_path(model: Path) -> Path:
    """Where the manifest of a model file is, or would be: its own in hub layout, where files of several share a folder."""
    own = model.with_name(f"{model.stem}.{MANIFEST}")
    return own if own.is_file() else model.with_name(MANIFEST)


def write_manifest(place: Path, manifest: Manifest) -> None:
    """Write it into a folder, or to a .json file."""
    _manifest_file(place).write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")


def _manifest_file(place: Path) -> Path:
    return place if place.suffix == ".json" else place / MANIFEST


def read_manifest(place: Path) -> Manifest:
    """The manifest in a folder, or in a .json file, believed as it is.

    Raises:
        ArtifactError: no manifest, or one that cannot be read.
    """
    path = _manifest_file(place)
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        return Manifest(**{**content, "steps": tuple(content["steps"]), "files": dict(content["files"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ArtifactError(f"{path}: no readable manifest ({error}); build it again") from error


def verify_manifest(folder: Path) -> Manifest:
    """The manifest of `folder`, after comparing every file with it.

    Raises:
        ArtifactError: no manifest, or a file that is missing, added or changed.
    """
    manifest = read_manifest(folder)
    found = hash_files(folder)
    if found != manifest.files:
        changed = sorted(name for name in {*found, *manifest.files} if found.get(name) != manifest.files.get(name))
        raise ArtifactError(f"{folder}: files differ from the manifest: {', '.join(changed)}; build it again")
    return manifest


def model_files(model: Path) -> list[Path]:
    """`model`, and the files that its graph says its weights lie in.

    Raises:
        ArtifactError, UnsafeFileError: see `find_external`.
    """
    return [model, *(model.parent / name for name in find_external(model))]


def digest_files(files: Iterable[Path], folder: Path | None = None) -> str:
    """sha256 over names and contents of files, in the order of their names.

    Args:
        folder: where names are seen from; None for each file's own.
    """
    names = {path.relative_to(folder or path.parent).as_posix(): path for path in files}
    lines = "".join(f"{name}{file_sha256(path)}" for name, path in sorted(names.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def open_artifact(model: Path, precision: Precision) -> Artifact:
    """Describe the model at `model`, with the files that hold its weights.

    Raises:
        ArtifactError, UnsafeFileError: see `find_external`.
    """
    files = model_files(model)
    return Artifact(model, precision, digest_files(files, model.parent), sum(path.stat().st_size for path in files))
