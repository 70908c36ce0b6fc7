"""Graphs of a node or two that ONNX Runtime runs, and what its profiler tells of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from driftgate.gate.work.kernels import Kernel, read_runs
from driftgate.run.device import RunSettings
from driftgate.run.onnx_backend import open_session

MICROSOFT = "com.microsoft"


def floats(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def integers(*shape: int, kind: Any = np.uint8) -> Any:
    return np.random.default_rng(0).integers(0, 100, shape).astype(kind)


@dataclass(frozen=True)
class Graph:
    """Nodes, what they are fed, what is constant, and the types of the graph's outputs."""

    nodes: Sequence[Any]
    feed: Mapping[str, Any]
    constants: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, int] = field(default_factory=lambda: {"y": TensorProto.FLOAT})
    opset: int = 18

    def save(self, path: Path) -> Path:
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), [None] * value.ndim)
            for name, value in self.feed.items()
        ]
        outputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in self.outputs.items()]
        constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in self.constants.items()]
        graph = helper.make_graph(self.nodes, "graph", inputs, outputs, constants)
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid(MICROSOFT, 1)]
        onnx.save(helper.make_model(graph, ir_version=9, opset_imports=opsets), path)
        return path

    def run(self, folder: Path, equations: Mapping[str, str] | None = None) -> list[Kernel]:
        """The kernels of one run."""
        session = open_session(self.save(folder / "graph.onnx"), RunSettings(1), "test", profile=folder / "profile")
        session.run(None, dict(self.feed))
        (run,) = read_runs(Path(session.end_profiling()).read_text(encoding="utf-8"), equations or {})
        return run


def node(operator: str, inputs: str, outputs: str = "y", domain: str = "", **attributes: Any) -> Any:
    """Inputs and outputs by name, separated by spaces; "-" for an optional one that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(operator, names, outputs.split(), domain=domain, **attributes)


def own(operator: str, inputs: str, outputs: str = "y", **attributes: Any) -> Any:
    return node(operator, inputs, outputs, MICROSOFT, **attributes)
