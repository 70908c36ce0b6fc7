"""Find the one model file that someone means by a file, a folder or an archive."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from driftgate.edges.spelling import option
from driftgate.errors import ArtifactError, DriftgateError
from driftgate.inputs.model_folder import folder_of, lies_in, own_files
from driftgate.verify.archive import SUFFIXES, is_archive, unpacked


@dataclass(frozen=True, slots=True)
class Target:
    """A model to verify. `archive` is what it came in, unpacked into `top`; both None for a file on disk."""

    model: Path
    archive: Path | None = None
    top: Path | None = None

    def __str__(self) -> str:
        return self.describe(self.model)

    def describe(self, path: Path) -> str:
        """A path as the user knows it."""
        if self.top is None or not path.is_relative_to(self.top):
            return str(path)
        return f"{self.archive}:{path.relative_to(self.top).as_posix()}"

    def name_of(self, document: Path) -> str:
        """A document as seen from where the user's file is."""
        if self.top is not None and document.is_relative_to(self.top):
            return document.relative_to(self.top).as_posix()
        return Path(os.path.relpath(document, (self.archive or self.model).parent)).as_posix()

    def may_read(self, path: Path) -> bool:
        """Whether a path that a document names may be opened: it must not lead out of the archive, or of the model's folder."""
        return path in (self.model, self.archive) or lies_in(path, self.top or folder_of(self.model))


@contextlib.contextmanager
def open_target(path: Path, model: str | None = None, *, max_bytes: int | None = None) -> Iterator[Target]:
    """Find the model at `path`: an ONNX file, a folder with one, or an archive of such a folder, unpacked meanwhile.

    Args:
        model: which one, where there are several: its path in there, or a part of that: a folder, a name, a stem.
        max_bytes: see `unpacked`.

    Raises:
        ArtifactError: nothing there, no model or several, an archive that is damaged or not safe.
    """
    if path.is_file() and is_archive(path):
        with unpacked(path, max_bytes) as folder:
            try:
                yield Target(_choose(path, folder, _models_below(folder, "**/*.onnx"), model), path, folder)
            except DriftgateError as error:  # in words that do not need the folder that is gone
                raise type(error)(*(line.replace(f"{folder}/", f"{path}:") for line in error.args)) from error
    elif path.is_file():
        if path.suffix != ".onnx":
            raise ArtifactError(f"{path}: expected a folder, an .onnx file or an archive ({', '.join(SUFFIXES)})")
        yield Target(path)
    elif path.is_dir():
        found = _models_below(path, "*.onnx") or _models_below(path, "onnx/*.onnx") or _models_below(path, "*/*.onnx")
        yield Target(_choose(path, path, found, model))
    else:
        raise ArtifactError(f"{path}: no such file or folder; expected an .onnx file, a folder with one, or an archive")


def _models_below(folder: Path, pattern: str) -> list[Path]:
    """Model files; what macOS adds to archives, named `._model.onnx`, is none."""
    found = own_files(folder, pattern)
    return [
        path for path in found if not any(part.startswith((".", "__MACOSX")) for part in path.relative_to(folder).parts)
    ]


def _choose(path: Path, folder: Path, found: Sequence[Path], wanted: str | None) -> Path:
    names = {file.relative_to(folder).as_posix(): file for file in found}
    chosen = [name for name in names if wanted is None or name == wanted]
    if wanted and not chosen:
        chosen = [name for name in names if any(f"/{part}/" in f"/{name}/" for part in (wanted, f"{wanted}.onnx"))]
    if len(chosen) == 1:
        return names[chosen[0]]
    if not names:
        raise ArtifactError(f"{path}: expected an ONNX file in it, found none")
    asked = (
        f"say which with {option('model')}"
        if wanted is None
        else f"{option('model', wanted)} names {len(chosen)} of them"
    )
    raise ArtifactError(f"{path}: expected one ONNX file, found {', '.join(names)}; {asked}")
