"""Folders that others can load: what goes where, written whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from driftgate.backends import BackendSpec
from driftgate.builder.artifact import (
    CARD,
    MANIFEST,
    MODEL,
    Artifact,
    file_sha256,
    model_files,
    read_manifest,
    write_manifest,
)
from driftgate.builder.model_file import MODEL_NOTE, read_model_file
from driftgate.builder.vectors import SET_PREFIX, Feed, embedded_feeds, vectors_folder, write_vectors
from driftgate.edges.escape import for_terminal
from driftgate.errors import BuildError
from driftgate.files import rename, sync_folder
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.encoder_scores import CROSS_ENCODER_CONFIG
from driftgate.onnx_graph.onnx_file import find_external, locations, normalize, read_model
from driftgate.publish.tokenizer_file import write_tokenizer

_PARTIAL = ".partial"  # ends the name of a folder that is being written
_HUB_STEMS = {"onnx-fp32": "model", "onnx-fp16": "model_fp16", "onnx-int8": "model_quantized"}


class Layout(StrEnum):
    """How artifacts are laid out on disk."""

    FOLDER = "folder"
    """A folder for each, with everything that loads it."""
    HUB = "hub"
    """One folder for all, as models are published: configuration and tokenizer at its top, models in `onnx`."""


def place_of(backend: str, layout: Layout) -> str:
    """The path of a backend's model in the folder that is published.

    In hub layout `onnx-fp32` is `onnx/model.onnx`, `onnx-fp16` is `onnx/model_fp16.onnx` and `onnx-int8` is
    `onnx/model_quantized.onnx`, the names under which transformers.js and Optimum publish them; any other backend goes by
    its own name, as `onnx/model_int8_dynamic.onnx`.
    """
    if layout is Layout.FOLDER:
        return MODEL
    stem = _HUB_STEMS.get(backend, "model_" + backend.removeprefix("onnx-").replace("-", "_").replace(".", "_"))
    return f"onnx/{stem}.onnx"


def require_empty(target: Path) -> None:
    """Refuse to write where something is already.

    Raises:
        BuildError: `target` exists and is not an empty folder.
    """
    if target.exists() and not target.is_dir():
        raise BuildError(f"{target}: expected a new or empty folder, found a file; nothing was written")
    if target.exists() and any(not path.name.endswith(_PARTIAL) for path in target.iterdir()):
        raise BuildError(f"{target}: expected a new or empty folder, found files; nothing was written")


@contextlib.contextmanager
def fill_folder(target: Path) -> Iterator[Path]:
    """A folder to write into, which becomes `target` when the block ends well; else nothing of it stays.

    Raises:
        BuildError: `target` exists and is not an empty folder, or cannot be written.
    """
    require_empty(target)
    target = target.absolute()
    # An empty folder is filled, not replaced: it may be a mount point, or where the user stands.
    partial = (target if target.exists() else target.parent) / f".{target.name}{_PARTIAL}"
    made = [folder for folder in partial.parents if not folder.exists()]
    done = False
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        sync_folder(partial)
        _move(partial, target)
        done = True
    except OSError as error:
        raise BuildError(f"{target}: cannot be written ({error.strerror or error}); nothing was kept") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        if not done:
            for folder in made:
                with contextlib.suppress(OSError):
                    folder.rmdir()


def _move(partial: Path, target: Path) -> None:
    if not target.exists():
        rename(partial, target)
        return
    moved: list[Path] = []
    try:
        for path in sorted(partial.iterdir(), key=lambda path: path.name == MANIFEST):  # the manifest comes last
            moved.append(target / path.name)
            path.rename(moved[-1])
    except BaseException:
        for path in moved:
            shutil.rmtree(path, ignore_errors=True)
            path.unlink(missing_ok=True)
        raise


def artifact_folders(specs: Sequence[BackendSpec], out: Path, layout: Layout) -> dict[str, Path]:
    """The folder of each backend, by name: `out` itself, or one in it where there are several that are not in hub layout.

    Raises:
        BuildError: one of them holds something already.
    """
    together = layout is Layout.HUB or len(specs) == 1
    folders = {spec.name: out if together else out / spec.name for spec in specs}
    for folder in folders.values():
        require_empty(folder)
    return folders


def write_folders(
    encoder: Encoder,
    artifacts: Sequence[tuple[BackendSpec, Artifact]],
    folders: Mapping[str, Path],
    layout: Layout,
    cards: Mapping[Path, str],
) -> None:
    """Write each artifact into its folder with what loads it, golden vectors and a card; all folders, or none of them.

    Args:
        folders: of each backend, by name. `cards`: Markdown by folder.

    Raises:
        BuildError: a folder is not empty or cannot be written, or a model does not answer.
    """
    feeds = embedded_feeds(encoder)
    with contextlib.ExitStack() as stack:
        for folder in dict.fromkeys(folders.values()):
            partial = stack.enter_context(fill_folder(folder))
            if folder in cards:
                (partial / CARD).write_text(cards[folder], encoding="utf-8")
            here = [(spec, artifact) for spec, artifact in artifacts if folders[spec.name] == folder]
            write_artifacts(encoder, here, partial, layout, feeds)


def describe_folders(folders: Mapping[str, Path], layout: Layout) -> list[str]:
    """A line for each backend: where its files are, and how large they are in MB (millions of bytes)."""
    lines = []
    for name, folder in folders.items():
        size = sum(path.stat().st_size for path in model_files(folder / place_of(name, layout)))
        lines.append(for_terminal(f"{name}: {folder} ({size / 1e6:.1f} MB)"))
    return lines


def write_artifacts(
    encoder: Encoder,
    artifacts: Sequence[tuple[BackendSpec, Artifact]],
    folder: Path,
    layout: Layout,
    feeds: Sequence[Feed] = (),
) -> None:
    """Write models with what loads them: configuration, tokenizer, thresholds where the encoder has them, a manifest each.

    Args:
        artifacts: exactly one for `Layout.FOLDER`.
        feeds: what the golden vectors ask each model; none are written where it is empty.

    Raises:
        BuildError: a model does not answer. OSError: the folder cannot be written.
    """
    shutil.copy2(encoder.path / "config.json", folder)
    write_tokenizer(encoder, folder)
    if encoder.thresholds is not None:
        shutil.copy2(encoder.path / "thresholds.json", folder)
    if encoder.gives_score and (encoder.path / CROSS_ENCODER_CONFIG).is_file():
        shutil.copy2(encoder.path / CROSS_ENCODER_CONFIG, folder)
    models = [folder / place_of(spec.name, layout) for spec, _ in artifacts]
    for (_, artifact), model in zip(artifacts, models, strict=True):
        _write_model(artifact, model)
    for (spec, artifact), model in zip(artifacts, models, strict=True):
        if feeds:  # once all models are there: where the vectors go depends on it
            vectors_folder(model).mkdir(exist_ok=True)
            write_vectors(vectors_folder(model), model, feeds)
        manifest = model.with_name(MANIFEST if layout is Layout.FOLDER else f"{model.stem}.{MANIFEST}")
        _seal(encoder, spec, artifact, folder, model, manifest)


def _write_model(artifact: Artifact, target: Path) -> None:
    """Copy the model with the files of its weights, under the names that the graph says.

    A name that begins with the model's own follows the model's new name, as clients of published models expect, and a name that
    another model has taken gets the model's in front of it. The copied graph then says the new ones.
    """
    source, folder = artifact.model, target.parent
    folder.mkdir(parents=True, exist_ok=True)
    names = {}
    for name in find_external(source):
        names[name] = target.name + name.removeprefix(source.name) if name.startswith(source.name) else name
        if (folder / names[name]).exists():
            names[name] = f"{target.stem}.{name}"
        (folder / names[name]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source.parent / name, folder / names[name])
    shutil.copy2(source, target)
    if any(old != new for old, new in names.items()):
        model = read_model(source)
        for entry in locations(model):
            entry.value = names[normalize(entry.value)]
        target.write_bytes(model.SerializeToString())


def _seal(encoder: Encoder, spec: BackendSpec, artifact: Artifact, folder: Path, model: Path, manifest: Path) -> None:
    """Write the manifest, with the sha256 of everything that loads or tests the model; people edit the card."""
    clients = [path for path in folder.iterdir() if path.is_file() and path.name not in (CARD, MANIFEST)]
    vectors = vectors_folder(model).glob(f"{SET_PREFIX}*/*.pb")
    files = {
        Path(os.path.relpath(path, manifest.parent)).as_posix(): path
        for path in (*clients, *model_files(model), *vectors)
    }
    made = read_manifest(artifact.model.parent)  # perhaps by another backend with the same first steps
    write_manifest(
        manifest,
        replace(
            made,
            backend=spec.name,
            precision=artifact.precision,
            encoder=encoder.name,
            encoder_revision=encoder.revision,
            files={name: file_sha256(path) for name, path in sorted(files.items())},
            notes={**made.notes, MODEL_NOTE: read_model_file(model).describe()},
        ),
    )
