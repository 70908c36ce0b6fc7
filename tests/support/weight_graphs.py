"""Graphs of one weight, written node by node."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def tensor(values: Any, name: str) -> Any:
    return numpy_helper.from_array(np.asarray(values), name)


def save(
    path: Path, nodes: list[Any], constants: list[Any], *, opset: int = 18, inputs: tuple[str, ...] = ("x",)
) -> Path:
    """A graph from float32 `inputs`, (batch, 4), to `y`."""
    sources = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in inputs]
    target = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", None])
    graph = helper.make_graph(nodes, "graph", sources, [target], constants)
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path


def save_dynamic(path: Path, weight: Any) -> Path:
    """One dynamically quantized product, as ONNX Runtime's quantizer writes it."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"]),
        helper.make_node("MatMulInteger", ["q", "w", "zero", "w_zero"], ["sums"]),
        helper.make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["scale", "w_scale"], ["scales"]),
        helper.make_node("Mul", ["floats", "scales"], ["y"]),
    ]
    constants = [tensor(weight, "w"), tensor(np.zeros((), weight.dtype), "w_zero"), tensor(np.float32(0.1), "w_scale")]
    return save(path, nodes, constants)
