"""Golden vectors that someone shipped, `test_data_set_*/input_*.pb` and `output_*.pb`: read, and asked of the model."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.builder.model_file import ModelFile, Port
from driftgate.builder.runtime_errors import explain
from driftgate.builder.vectors import SET_PREFIX
from driftgate.errors import ArtifactError
from driftgate.inputs.model_folder import own_files
from driftgate.onnx_graph.onnx_file import describe_content
from driftgate.verify.closeness import EXACT, Tolerance, measure_closeness
from driftgate.verify.verification import OutputCheck, SetCheck


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """One file of a set: `number` N of `input_N.pb`, the name and the array that are in it."""

    number: int
    name: str
    values: NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class VectorSet:
    """One folder of golden vectors, in the order of the numbers."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def find_sets(model: Path) -> tuple[Path, ...]:
    """The sets of a model: in a folder of its name, beside it, or beside its `onnx` folder; the first place that has any."""
    places = [model.parent / model.stem, model.parent]
    if model.absolute().parent.name == "onnx":
        places.append(model.absolute().parent.parent)
    return next((sets for place in places if (sets := list_sets(place))), ())


def list_sets(folder: Path) -> tuple[Path, ...]:
    """The sets in a folder, by number."""
    found = _numbered(folder.glob(f"{SET_PREFIX}*"), rf"{SET_PREFIX}(\d+)")
    return tuple(path for _, path in found if path.is_dir())


def read_set(folder: Path) -> VectorSet:
    """Read a set's tensors.

    Raises:
        ArtifactError: no inputs or no outputs, or a file that is no tensor. UnsafeFileError: see `own_files`.
    """
    tensors = {}
    for kind in ("input", "output"):
        there = own_files(folder, f"{kind}_*.pb", model_folder=folder.parent)
        files = _numbered(there, rf"{kind}_(\d+)\.pb")
        if not files:
            raise ArtifactError(f"{folder}: expected {kind}_0.pb and so on, found none; fetch or write the set again")
        tensors[kind] = tuple(_read_tensor(path, number) for number, path in files)
    return VectorSet(folder.name, tensors["input"], tensors["output"])


def _numbered(paths: Iterable[Path], pattern: str) -> list[tuple[int, Path]]:
    return sorted((int(found[1]), path) for path in paths if (found := re.fullmatch(pattern, path.name)))


def _read_tensor(path: Path, number: int) -> Tensor:
    from google.protobuf.message import DecodeError
    from onnx import TensorProto, numpy_helper

    content, tensor = path.read_bytes(), TensorProto()
    try:
        tensor.ParseFromString(content)
        _refuse_odd(tensor)
        values = numpy_helper.to_array(tensor)
    except (DecodeError, ValueError, TypeError, KeyError, NotImplementedError) as error:
        raise ArtifactError(
            f"{path}: expected a tensor (ONNX TensorProto), found {_describe(content)} ({error}); fetch or write the set again"
        ) from error
    return Tensor(number, tensor.name, np.asarray(values))


def _refuse_odd(tensor: Any) -> None:
    """What `to_array` would follow or make sense of."""
    if tensor.data_location == tensor.EXTERNAL:  # a path that someone else chose
        raise ValueError("its values are stored in another file")
    if any(length < 0 for length in tensor.dims):
        raise ValueError(f"its shape is {tuple(tensor.dims)}")


def _describe(content: bytes) -> str:
    """What the bytes are instead: messages of other types parse as one another, up to what only they have."""
    from google.protobuf.message import DecodeError
    from onnx import MapProto, ModelProto, SequenceProto

    if known := describe_content(content):
        return known
    for message, what, is_one in (
        (ModelProto(), "an ONNX model", lambda model: model.graph.node),
        (SequenceProto(), "a sequence (SequenceProto)", lambda sequence: any(sequence.tensor_values)),
        (MapProto(), "a map (MapProto)", lambda one: one.values.tensor_values and (one.keys or one.string_keys)),
    ):
        try:
            message.ParseFromString(content)
        except DecodeError:
            continue
        if is_one(message):
            return what
    return f"{len(content)} bytes of something else, or of one that is cut off or damaged"


def check_set(vectors: VectorSet, model: ModelFile, session: Any, tolerance: Tolerance) -> SetCheck:
    """Ask the model one set, and compare every output."""
    feed, by_input = _match(vectors.inputs, model.inputs)
    expected, by_output = _match(vectors.outputs, model.outputs)
    matched = f"inputs by {by_input}, to outputs by {by_output}"
    problem = _misfit("inputs", feed, model.inputs, len(vectors.inputs)) or _wrong_type(feed, model.inputs)
    problem = problem or _misfit("outputs", expected, model.outputs, len(vectors.outputs))
    if problem:
        return SetCheck(vectors.name, matched, (), problem)
    try:
        answers = session.run(list(model.outputs), {name: tensor.values for name, tensor in feed.items()})
    except Exception as error:  # noqa: BLE001 - onnxruntime's exceptions share no base class
        return SetCheck(vectors.name, matched, (), "; ".join(explain(error, model.path.name, "run").args))
    named = zip(model.outputs, answers, strict=True)
    outputs = tuple(_check_output(name, expected[name], answer, tolerance) for name, answer in named)
    return SetCheck(vectors.name, matched, outputs)


def _match(tensors: Sequence[Tensor], ports: Mapping[str, Port]) -> tuple[dict[str, Tensor], str]:
    """Tensors by the name of their port: by their own names where all of them are ports, else by number, as the zoo does."""
    names = {tensor.name for tensor in tensors}
    if names <= ports.keys() and len(names) == len(tensors):
        return {tensor.name: tensor for tensor in tensors}, "name"
    in_order = list(ports)
    numbered = [tensor for tensor in tensors if tensor.number < len(in_order)]
    return {in_order[tensor.number]: tensor for tensor in numbered}, "position"


def _misfit(kind: str, matched: Mapping[str, Tensor], ports: Mapping[str, Port], count: int) -> str:
    missing = [name for name in ports if name not in matched]
    if count == len(ports) and not missing:
        return ""
    without = f", none for {', '.join(missing)}" if missing else ""
    return f"expected {len(ports)} {kind}, the set has {count}{without}"


def _wrong_type(feed: Mapping[str, Tensor], ports: Mapping[str, Port]) -> str:
    wrong = [
        f"{name}: the graph takes {ports[name]}, the set has {tensor.values.dtype}"
        for name, tensor in feed.items()
        if ports[name].type not in (tensor.values.dtype.name, "string")
    ]
    return "; ".join(wrong)


def _check_output(name: str, expected: Tensor, answer: Any, tolerance: Tolerance) -> OutputCheck:
    told = expected.values
    applied = tolerance if told.dtype.kind not in "biuOSU" else EXACT
    if not hasattr(answer, "dtype"):
        return OutputCheck(
            name, None, applied, None, "the model answers a sequence or map; only tensors can be compared"
        )
    for what, stated, found in (("shape", told.shape, answer.shape), ("type", told.dtype, answer.dtype)):
        if stated != found:
            return OutputCheck(name, answer.shape, applied, None, f"expected {what} {stated}, found {found}")
    closeness = measure_closeness(told, answer, applied)
    problem = ""
    if closeness.beyond:
        bad = f", {closeness.non_finite} NaN or infinite" if closeness.non_finite else ""
        problem = f"{closeness.beyond} of {closeness.elements} beyond tolerance{bad}"
    return OutputCheck(name, answer.shape, applied, closeness, problem)
