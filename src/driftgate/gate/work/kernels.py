"""What ONNX Runtime's profiler tells of its runs: every node, with the shapes and bytes that it read and wrote."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_RAN = "_kernel_time"


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output as it was at run time. `kind` is ONNX Runtime's name of the type, such as "float" or "int64"."""

    kind: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Kernel:
    """A node that ran, of the graph as the session optimized it.

    Args:
        operator: without its domain, which is not told.
        inputs, outputs: those that were there. An optional input that is left out leaves no gap.
        bytes_read, bytes_written: of all inputs, weights included, and of all outputs, whole.
        equation: of an Einsum, where it is known.
    """

    operator: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    bytes_read: int
    bytes_written: int
    equation: str = ""


def read_runs(profile: str, equations: Mapping[str, str]) -> list[list[Kernel]]:
    """The kernels of each run in a profile, in the order in which they ran.

    Nodes of the body of a Loop or If are there as often as they ran, and so is the Loop or If itself.

    Args:
        profile: the text of the file. `equations`: of Einsum nodes, by the node's name.

    Raises:
        ValueError: not JSON, or cut off. KeyError: an event without a field that is needed.
    """
    runs: list[list[Kernel]] = []
    kernels: list[Kernel] = []
    for event in json.loads(profile):
        if event["cat"] == "Session" and event["name"] == "model_run":  # told when the run is over
            runs.append(kernels)
            kernels = []
        elif event["cat"] == "Node" and event["name"].endswith(_RAN):
            kernels.append(_read_kernel(event["args"], equations.get(event["name"].removesuffix(_RAN), "")))
    return runs


def _read_kernel(told: Mapping[str, Any], equation: str) -> Kernel:
    return Kernel(
        told["op_name"],
        _read_tensors(told["input_type_shape"]),
        _read_tensors(told["output_type_shape"]),
        int(told["activation_size"]) + int(told["parameter_size"]),
        int(told["output_size"]),
        equation,
    )


def _read_tensors(told: Sequence[Mapping[str, Sequence[int]]]) -> tuple[Tensor, ...]:
    return tuple(Tensor(kind, tuple(shape)) for tensor in told for kind, shape in tensor.items())
