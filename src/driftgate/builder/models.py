"""Find the model that a command was given: an encoder, what `driftgate build` wrote, or ONNX files that others published."""

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from driftgate.backends import PRECISION_CLASSES, REGISTRY
from driftgate.builder.artifact import MANIFEST, file_sha256, manifest_path, read_manifest
from driftgate.builder.vectors import SET_PREFIX
from driftgate.edges.spelling import option
from driftgate.errors import ArtifactError, OptionError
from driftgate.inputs.backend_names import name_promises
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.hub.hub_encoder import download_encoder, download_files, list_files
from driftgate.inputs.model_folder import CONFIG, folder_of, is_own_file, own_files
from driftgate.onnx_graph.onnx_file import external_names

DEFAULT_BACKEND = "onnx-fp32"


@dataclass(frozen=True, slots=True)
class Model:
    """An encoder and the backend that runs it.

    Args:
        encoder: labels, tokenizer, problem type, thresholds. Without weights where only ONNX files are there.
        backend: what `pipeline.open_backend(encoder, backend, settings)` takes: "onnx-int8", or "NAME:CLASS=PATH" of a file.
    """

    encoder: Encoder
    backend: str


def find_model(
    model: str, backend: str | None = None, *, revision: str | None = None, allow_pickle: bool = False
) -> Model:
    """Resolve what a user calls a model.

    Args:
        model: one of
            an encoder's folder or hub id: `backend` is built from its weights, `onnx-fp32` by default;
            a folder that `driftgate build` wrote, or a folder of several such folders, of which `backend` names one;
            a folder or hub id with published ONNX files, beside `config.json` and tokenizer or in `onnx/` below them;
            an `.onnx` file, whose `config.json` and tokenizer are beside it or one folder up.
        backend: a backend's name, or `NAME[:CLASS]=PATH`. Among ONNX files: a file's stem, name or path in the folder
            (`model_quantized`), the backend in its manifest, or else a backend of the same precision by name: `onnx-fp32` is
            `model.onnx`, `onnx-fp16` `model_fp16.onnx`, `onnx-int8` (and its variants) whatever says `int8` or `quantized`.
            None takes `model.onnx`, as Optimum does, or the only file.
        revision: of a hub id.
        allow_pickle: pickled weights may be loaded; otherwise ONNX files go before them.

    Raises:
        ArtifactError: several files or none answer to `backend`, or files differ from their manifest.
        EncoderError, UnsafeFileError: see `load_encoder`. OptionError: a path with a comma.
    """
    path = Path(model)
    if path.is_file():
        return _open_file(path, backend)
    if not path.is_dir() and path.suffix == ".onnx":
        raise ArtifactError(f"{path}: no such file; expected an ONNX file")
    if path.is_dir():
        return _look_into(path, backend, allow_pickle=allow_pickle)
    folder = _fetch(model, backend, revision, allow_pickle=allow_pickle)
    found = _look_into(folder, backend, allow_pickle=allow_pickle)
    return Model(replace(found.encoder, name=model), found.backend)


def _look_into(folder: Path, backend: str | None, *, allow_pickle: bool) -> Model:
    files = [path.relative_to(folder).as_posix() for path in own_files(folder, "*.onnx", "onnx/*.onnx")]
    weights = _has_weights(folder, allow_pickle=allow_pickle)
    if weights and not (backend and _named(files, backend)):
        return Model(load_encoder(folder, allow_pickle=allow_pickle), backend or DEFAULT_BACKEND)
    if files and backend and "=" in backend:
        return Model(load_encoder(folder, needs_weights=False), backend)
    if files:
        return _open_file(folder / _choose(str(folder), files, backend, _built(folder)), None)
    artifacts = {read_manifest(path.parent).backend: path.parent for path in own_files(folder, f"*/{MANIFEST}")}
    if artifacts:
        chosen = backend or (next(iter(artifacts)) if len(artifacts) == 1 else "")
        if chosen not in artifacts:
            asked = f"{backend!r} is none of them" if backend else f"name one with {option('backend')}"
            raise ArtifactError(f"{folder}: it holds the artifacts {', '.join(artifacts)}; {asked}")
        return _look_into(artifacts[chosen], backend, allow_pickle=allow_pickle)
    # Neither weights nor ONNX files: what an encoder's folder lacks is said there.
    return Model(load_encoder(folder, allow_pickle=allow_pickle), backend or DEFAULT_BACKEND)


def _open_file(path: Path, backend: str | None) -> Model:
    """A model file, under a name that cannot be taken for a backend that driftgate builds."""
    if path.suffix != ".onnx":
        raise ArtifactError(f"{path}: expected a folder, a hub id or an .onnx file")
    if "," in str(path):
        raise OptionError(
            f"{path}: a path may have no comma, because commas separate backends; rename the file or link to it"
        )
    if backend and "=" not in backend:  # else several would be read from one file
        _choose(str(path), [path.name], backend, _built(path.parent))
    name, precision = path.stem, ""
    manifest, folder = manifest_path(path), folder_of(path)
    if is_own_file(manifest, folder):
        made = read_manifest(manifest)
        if path.name in made.files:
            _require_unchanged(path.parent, folder, made.files)
            name, precision = made.backend, f":{made.precision}"
            if made.precision not in PRECISION_CLASSES:
                raise ArtifactError(f"{manifest}: unknown precision class {made.precision!r}; build it again")
    if not (folder / CONFIG).is_file():
        raise ArtifactError(
            f"{path}: expected config.json and the tokenizer's files beside it or one folder up, found no config.json; "
            "put them there, they name its labels"
        )
    encoder = load_encoder(folder, needs_weights=False)
    published = f"artifact-{_slug(name)}{precision}={path}"
    return Model(encoder, backend if backend and "=" in backend else published)


def _require_unchanged(beside: Path, folder: Path, files: Mapping[str, str]) -> None:
    """Every file of the manifest as it was written; a card or test vectors may have been added since.

    Args:
        beside: the manifest's folder, from which it names files. `folder`: the model's, which they must lie in.
    """
    changed = [
        name
        for name, sha256 in files.items()
        # Test vectors load nothing, and are not fetched from the hub.
        if SET_PREFIX not in name and (not is_own_file(beside / name, folder) or file_sha256(beside / name) != sha256)
    ]
    if changed:
        raise ArtifactError(
            f"{beside}: files differ from its manifest or are missing: {', '.join(sorted(changed))}; fetch or build it again"
        )


def _choose(where: str, files: Sequence[str], backend: str | None, built: Mapping[str, str]) -> str:
    """The one of `files` that answers to `backend`; `built` maps those with a manifest to their backend."""
    if backend is None:
        found = [file for file in files if PurePosixPath(file).stem == "model"] or list(files)
    else:
        found = _named(files, backend) or [file for file in files if _answers(file, backend, built)]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(f"{file} ({built[file]})" if file in built else file for file in files)
    if not found:
        raise ArtifactError(
            f"{where}: no ONNX file is named after backend {backend!r}, and there are no weights to build it from; "
            f"found {shown}; name one by its stem"
        )
    asked = f" that answer to {backend!r}" if backend else ""
    raise ArtifactError(
        f"{where}: several ONNX files{asked}: {', '.join(found)}; name one with {option('backend')}, by its stem"
    )


def _named(files: Sequence[str], backend: str) -> list[str]:
    return [file for file in files if backend in (file, PurePosixPath(file).name, PurePosixPath(file).stem)]


def _answers(file: str, backend: str, built: Mapping[str, str]) -> bool:
    if file in built:
        return built[file] == backend
    stem = PurePosixPath(file).stem
    promised = name_promises(stem) or ("fp32" if stem == "model" else None)
    return backend in REGISTRY and promised is not None and promised == name_promises(backend)


def _built(folder: Path) -> dict[str, str]:
    """The backend of each model file that has a manifest, in a folder and in `onnx` below it."""
    found: dict[str, str] = {}
    for manifest in own_files(folder, f"*{MANIFEST}", f"onnx/*{MANIFEST}"):
        made = read_manifest(manifest)
        files = (manifest.relative_to(folder).with_name(name) for name in made.files if "/" not in name)
        found |= {file.as_posix(): made.backend for file in files if file.suffix == ".onnx"}
    return found


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9.]+", "-", name.lower()).strip("-.") or "model"


def _has_weights(folder: Path, *, allow_pickle: bool) -> bool:
    return any(folder.glob("model*.safetensors")) or (allow_pickle and any(folder.glob("pytorch_model*.bin")))


def _fetch(repository: str, backend: str | None, revision: str | None, *, allow_pickle: bool) -> Path:
    """A hub model's small files and weights; where it has no weights to load, one ONNX file of it with its external data."""
    folder = download_encoder(repository, revision, allow_pickle=allow_pickle)
    weights = _has_weights(folder, allow_pickle=allow_pickle)
    if (backend and "=" in backend) or (weights and (backend is None or backend in REGISTRY)):
        return folder
    listed = [file for file in list_files(repository, folder) if re.fullmatch(r"(onnx/)?[^/]+\.onnx", file)]
    if not listed or (weights and not _named(listed, backend or "")):
        return folder
    model = _choose(repository, listed, backend, _built(folder))
    folder = download_files(repository, folder.name, [glob.escape(model)])
    data = [str(PurePosixPath(model).with_name(name)) for name in external_names(folder / model)]
    return download_files(repository, folder.name, [glob.escape(name) for name in data]) if data else folder
