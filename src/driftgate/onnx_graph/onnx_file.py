"""Opening an ONNX file: its graph without the weights, and the files beside it that the graph says its weights lie in."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from driftgate.errors import ArtifactError
from driftgate.inputs.model_folder import is_own_file

_BEGINNINGS = (
    (b"version https://git-lfs", "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
    (b"\x1f\x8b", "a gzip file; unpack it, or give it its suffix"),
    (b"PK\x03\x04", "a zip file"),
    (b"\x93NUMPY", "a NumPy file"),
    (b"<!doctype html", "a web page; fetch the file itself"),
    (b"<html", "a web page; fetch the file itself"),
)
LONGEST = 64


def describe_content(content: bytes) -> str:
    """What begins with these bytes, `LONGEST` of them at least; "" where they say nothing."""
    if not content:
        return "an empty file"
    start = content[:LONGEST].lstrip()
    return next((what for beginning, what in _BEGINNINGS if start.lower().startswith(beginning.lower())), "")


def read_model(path: Path) -> Any:
    """The file as an onnx.ModelProto. Weights in other files are not loaded.

    Raises:
        ArtifactError: no ONNX file.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        with path.open("rb") as file:
            kind = describe_content(file.read(LONGEST))
        model = onnx.load(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise ArtifactError(f"{path}: expected an ONNX file, it cannot be read ({error.strerror or error})") from error
    except DecodeError as error:
        found = kind or f"one that is cut off, damaged or of another kind ({error})"
        raise ArtifactError(f"{path}: expected an ONNX file, found {found}; fetch or build it again") from error
    if not _has_readable_names(model):
        raise ArtifactError(
            f"{path}: expected an ONNX file, found one with names that are no UTF-8: it is damaged; fetch or build it again"
        )
    if not model.graph.node or not model.opset_import:
        found = kind or "one without a graph"
        raise ArtifactError(f"{path}: expected an ONNX file, found {found}; fetch or build it again")
    return model


def external_names(path: Path, model: Any = None) -> tuple[str, ...]:
    """Paths, as seen from the model's folder, of the files that hold its weights, in order. Nothing is read from them.

    Args:
        model: the onnx.ModelProto in `path`; None to read it.

    Raises:
        ArtifactError: no ONNX file, or a path that leads out of the model's folder.
    """
    model = read_model(path) if model is None else model
    names = {entry.value for entry in locations(model)}
    for name in names:
        windows = PureWindowsPath(name)
        if windows.drive or windows.root or ".." in windows.parts:  # as either system would read it
            raise ArtifactError(
                f"{path}: according to the graph its weights are in {name!r}, expected a file in the model's own folder; "
                "such a file can read what it should not, do not load it"
            )
    return tuple(sorted({normalize(name) for name in names}))


def find_external(path: Path, model: Any = None) -> tuple[str, ...]:
    """The same names, of files that are all there: a runtime's own words for a missing one do not help.

    Raises:
        ArtifactError: as above, or a file is missing. UnsafeFileError: one is a link that leads out of the model's folder.
    """
    names = external_names(path, model)
    for name in names:
        if not is_own_file(path.parent / name, path.parent):
            raise ArtifactError(
                f"{path}: its weights lie in {name!r}, expected it beside the model, found no such file; fetch it too"
            )
    return names


def locations(model: Any) -> Iterator[Any]:
    """The entries of a proto, each a StringStringEntryProto, that say in which file a tensor's numbers lie."""
    from onnx import TensorProto

    for message in _messages(model):
        if isinstance(message, TensorProto) and message.data_location == TensorProto.EXTERNAL:
            yield from (entry for entry in message.external_data if entry.key == "location")


def normalize(name: str) -> str:
    """One spelling for a location: `./weights.bin` is `weights.bin`."""
    return PurePosixPath(name).as_posix()


def _has_readable_names(model: Any) -> bool:
    """Whether every string in a message is one: protobuf gives the bytes of those that are no UTF-8."""
    return all(
        isinstance(text, str)
        for message in _messages(model)
        for field, value in message.ListFields()
        if field.type == field.TYPE_STRING
        for text in ([value] if isinstance(value, str | bytes) else value)
    )


def _messages(message: Any) -> Iterator[Any]:
    """A message and every message in it, wherever: tensors in initializers, attributes, sparse tensors, bodies, functions."""
    from google.protobuf.message import Message

    yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in [value] if isinstance(value, Message) else value:
                yield from _messages(inner)
