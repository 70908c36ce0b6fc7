"""Embedding tables in 8 bits, with a scale for each entry."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.onnx_graph.graph import GraphWriter, attribute

_MIN_ENTRIES = 16


def to_int8(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Values in 8 bits and their scales: `values` is close to `integers * scales`; one scale for each slice along `axis`."""
    scales = np.abs(values).max(axis=axis, keepdims=True) / 127
    scales[scales == 0] = 1
    return np.rint(values / scales).astype(np.int8), scales.astype(np.float32)


def write_table(graph: GraphWriter, node: Any) -> bool:
    """Write a Gather from a large constant matrix as one from 8 bits; whether it is one."""
    table = graph.matrix(node.input[0])
    if node.op_type != "Gather" or table is None or len(table) < _MIN_ENTRIES or attribute(node, "axis", 0) != 0:
        return False
    (name, index), out = node.input, node.output[0]
    values, scales = to_int8(table, axis=1)
    entry = graph.node("Gather", [graph.constant(values, f"{name}/int8"), index], f"{out}/int8", axis=0)
    own = graph.node("Gather", [graph.constant(scales, f"{name}/scale"), index], f"{out}/scale", axis=0)
    graph.node("Mul", [graph.node("Cast", [entry], f"{out}/float", to=graph.FLOAT), own], out)
    return True


def quantize_tables(model: Any) -> None:
    """Every large table of an onnx.ModelProto, in place."""
    graph = GraphWriter(model)
    for node in graph.take_nodes():
        if not write_table(graph, node):
            graph.append(node)
    graph.finish()
