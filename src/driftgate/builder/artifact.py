"""The files a build wrote, and the manifest that says how, from what, and what every file's digest is."""

import glob
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from driftgate.backends import Precision
from driftgate.errors import ArtifactError

MANIFEST = "manifest.json"
MODEL = "model.onnx"
MANIFEST_SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Artifact:
    """An ONNX model on disk.

    Args:
        model: the ONNX file. Weights over 2 GB lie beside it as external data.
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
    """How an artifact was made. `files` maps each file's name to its sha256, `notes` a step to what it has to say."""

    backend: str
    precision: str
    steps: tuple[str, ...]
    encoder: str
    encoder_sha256: str
    versions: Mapping[str, str]
    files: Mapping[str, str]
    notes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schema: int = MANIFEST_SCHEMA


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_files(folder: Path) -> dict[str, str]:
    """sha256 of every file in `folder` but the manifest, by name."""
    return {
        path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST
    }


def write_manifest(folder: Path, manifest: Manifest) -> None:
    (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")


def read_manifest(folder: Path) -> Manifest:
    """The manifest of `folder`, believed as it is.

    Raises:
        ArtifactError: no manifest, or one that cannot be read.
    """
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
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
    """`model` and its external data: every `<name>*` file beside it."""
    return sorted(path for path in model.parent.glob(f"{glob.escape(model.name)}*") if path.is_file())


def open_artifact(model: Path, precision: Precision) -> Artifact:
    """Describe the model at `model`, its external data included."""
    files = model_files(model)
    digest = hashlib.sha256("".join(f"{path.name}{file_sha256(path)}" for path in files).encode()).hexdigest()
    return Artifact(model, precision, digest, sum(path.stat().st_size for path in files))
