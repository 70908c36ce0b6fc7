"""Finding what there is to look at behind what a user calls a model: folders, graphs, and the encoder they are of."""

import glob
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from driftgate.builder.artifact import MANIFEST
from driftgate.builder.models import find_model
from driftgate.doctor.facts import Asked
from driftgate.doctor.model_facts import Graph, Source
from driftgate.doctor.read_graph import UNKNOWN_SHAPE, read_graph
from driftgate.doctor.read_source import read_source
from driftgate.errors import ArtifactError, DriftgateError, EncoderError, OptionError
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.model_folder import folder_of, own_files
from driftgate.onnx_graph.graph_facts import read_encoder_shape
from driftgate.pipeline import choose_backends, prepare_backend


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to look at.

    Args:
        name: what reports call its graph.
        folder: that holds configuration and tokenizer.
        model: the ONNX file; None where an encoder's own files are all there is.
        encoder: as driftgate loads it; None where it does not, or nothing beside the file says what it is of.
        refused: why driftgate cannot use it.
    """

    name: str
    folder: Path
    model: Path | None
    encoder: Encoder | None
    refused: str | None

    def read_source(self) -> Source:
        """The facts of the folder."""
        return read_source(self.folder, None if self.model else self.refused)

    def read_graph(self, model: Path) -> Graph:
        """The facts of one of its graphs."""
        shape = UNKNOWN_SHAPE
        if self.encoder is not None:
            with suppress(EncoderError):  # the graph of a family that transformers does not know is looked at too
                shape = read_encoder_shape(self.encoder)
        return read_graph(model, self.name, shape, self.refused)


def find_targets(
    asked: Asked,
    *,
    revision: str | None,
    allow_pickle: bool,
    announce: Callable[[str], None],
) -> list[Target]:
    """What `asked.model` has to look at: with a backend, that one; else every graph in it, or the encoder's files.

    Raises:
        ArtifactError: a file that is no ONNX graph. DriftgateError: it is nowhere, or there is no such backend.
    """
    given = str(asked.model)
    path = Path(given)
    resolve = _Resolver(asked, revision, allow_pickle, announce)
    if path.is_file() and path.suffix != ".onnx":
        raise ArtifactError(f"{path}: expected a folder, a hub id or an .onnx file")
    if asked.backend is not None or not path.exists():
        return [resolve.target(given, asked.backend or given, must_exist=not path.exists())]
    top, files = (path.parent, [path]) if path.is_file() else (path, _onnx_files(path))
    if not files:
        return [resolve.target(given, path.name)]
    return [resolve.target(str(file), file.relative_to(top).as_posix()) for file in files]


def _onnx_files(folder: Path) -> list[Path]:
    """Those of an artifact, of published files in hub layout, or of several artifacts in folders of their own."""
    built = [path.parent.name for path in folder.glob(f"*/{MANIFEST}")]
    return own_files(folder, "*.onnx", "onnx/*.onnx", *(f"{glob.escape(name)}/*.onnx" for name in built))


@dataclass(frozen=True, slots=True)
class _Resolver:
    asked: Asked
    revision: str | None
    allow_pickle: bool
    announce: Callable[[str], None]

    def target(self, model: str, name: str, *, must_exist: bool = False) -> Target:
        path = Path(model)
        file = path if path.suffix == ".onnx" and path.is_file() else None
        folder = folder_of(path) if file else path
        if file and self.asked.backend is None and not (folder / "config.json").is_file():
            return Target(name, folder, file, None, None)  # nothing says what it is of: only the graph can be looked at
        try:
            encoder, built = self._resolve(model)
        except DriftgateError as error:
            if must_exist or (isinstance(error, OptionError) and self.asked.backend is not None):
                raise
            return Target(name, folder, file, None, str(error))
        except Exception as error:  # noqa: BLE001 - of a damaged file, by whichever library met it
            return Target(name, folder, file, None, f"{type(error).__name__}: {error}")
        return Target(name, encoder.path, built, encoder, None)

    def _resolve(self, model: str) -> tuple[Encoder, Path | None]:
        """The encoder, and the ONNX file where there is one or a backend is to be built."""
        found = find_model(model, self.asked.backend, revision=self.revision, allow_pickle=self.allow_pickle)
        (spec,) = choose_backends(found.backend, device="cuda" if self.asked.on_cuda else "cpu")
        if spec.published is None and self.asked.backend is None:
            return found.encoder, None  # nobody asked for a build
        artifact = prepare_backend(found.encoder, spec, announce=self.announce).artifact
        return found.encoder, artifact.model if artifact else None
