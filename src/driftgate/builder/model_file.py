"""What an ONNX file says of itself: versions, inputs, outputs, size and digest. Nothing is run, no weights are decoded."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.backends import Precision
from driftgate.builder.artifact import file_sha256
from driftgate.errors import ArtifactError
from driftgate.onnx_graph.graph import real_inputs
from driftgate.onnx_graph.graph_constants import type_name
from driftgate.onnx_graph.graph_precision import infer_precision
from driftgate.onnx_graph.graph_walk import walk
from driftgate.onnx_graph.onnx_file import find_external, read_model

MODEL_NOTE = "model_file"
"""Under which name a manifest notes `ModelFile.describe()`."""

_PORT = re.compile(r"([^\[\]]+)\[(.*)\]")


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output.

    Args:
        type: NumPy's name of the element type, or the kind of what is no tensor, such as "sequence".
        axes: length of each axis where the graph fixes it, its name where it does not, "?" without a name. None for any rank.
    """

    type: str
    axes: tuple[int | str, ...] | None

    def __str__(self) -> str:
        return f"{self.type}[{'...' if self.axes is None else ', '.join(map(str, self.axes))}]"

    def agrees(self, stated: "Port") -> bool:
        """Whether this is what `stated` says: type, rank, fixed lengths. Names of free axes are exporters' own business."""
        return self.type == stated.type and _fixed(self.axes) == _fixed(stated.axes)


def _fixed(axes: tuple[int | str, ...] | None) -> list[int | None] | None:
    """The length of each axis that has one; None for any rank."""
    return None if axes is None else [axis if isinstance(axis, int) else None for axis in axes]


def parse_port(text: str) -> Port:
    """Read what `str(port)` wrote.

    Raises:
        ValueError: something else.
    """
    found = _PORT.fullmatch(text)
    if not found:
        raise ValueError(f"expected a type and its axes, such as 'int64[batch, 8]', found {text!r}")
    kind, axes = found.groups()
    parts = [part.strip() for part in axes.split(",") if part.strip()]
    return Port(kind, None if parts == ["..."] else tuple(int(part) if part.isdecimal() else part for part in parts))


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An ONNX file.

    Args:
        sha256, size_bytes: of the file alone. `external`: names of the files beside it that hold weights.
        opset: version by operator domain, of those that nodes are of; ONNX's own is "ai.onnx".
        inputs, outputs: in the graph's order; constants that old files name as inputs are none.
        precision: None where there is no class for what the graph does.
    """

    path: Path
    sha256: str
    size_bytes: int
    external: tuple[str, ...]
    ir_version: int
    opset: Mapping[str, int]
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    precision: Precision | None

    def describe(self) -> dict[str, Any]:
        """What a manifest notes of it, so that anyone can check it later."""
        return {
            "size_bytes": self.size_bytes,
            "ir_version": self.ir_version,
            "opset": dict(self.opset),
            "inputs": {name: str(port) for name, port in self.inputs.items()},
            "outputs": {name: str(port) for name, port in self.outputs.items()},
        }


def read_model_file(path: Path) -> ModelFile:
    """The facts of an ONNX file.

    Raises:
        ArtifactError, UnsafeFileError: no ONNX file, or one whose weights lie in files that are missing or outside its folder.
    """
    model = read_model(path)
    graph = model.graph
    try:
        precision = infer_precision(model)
    except ArtifactError:
        precision = None
    return ModelFile(
        path=path,
        sha256=file_sha256(path),
        size_bytes=path.stat().st_size,
        external=find_external(path, model),
        ir_version=model.ir_version,
        opset=_used_opsets(model),
        inputs={value.name: _port(value) for value in real_inputs(graph)},
        outputs={value.name: _port(value) for value in graph.output},
        precision=precision,
    )


def _used_opsets(model: Any) -> dict[str, int]:
    """ONNX Runtime declares every domain that it knows when it saves an optimized graph."""
    versions = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    used = {"ai.onnx", *(site.node.domain for site in walk(model.graph)), *(entry.domain for entry in model.functions)}
    return {domain: version for domain, version in versions.items() if domain in used}


def _port(value: Any) -> Port:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        return Port(str(kind).removesuffix("_type"), ())
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return Port(type_name(tensor.elem_type), None)
    axes = (axis.dim_value if axis.HasField("dim_value") else axis.dim_param or "?" for axis in tensor.shape.dim)
    return Port(type_name(tensor.elem_type), tuple(axes))
