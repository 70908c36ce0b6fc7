"""Integer products of rows and constant matrices, and tables of embeddings in integers."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.builder.rowwise.token_rows import Rows
from driftgate.errors import BuildError
from driftgate.onnx_graph.graph import MICROSOFT, GraphWriter, attribute


def module_path(node: Any) -> str:
    """Of a node that an export named, such as "roberta.encoder.layer.0.output.dense/MatMul_63"."""
    return str(node.name).partition("/")[0]


def require_known(forms: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a recipe's products that are not among those of the graph.

    Raises:
        BuildError: says which, and which there are.
    """
    found = sorted(set(known) - {""})
    if unknown := sorted(set(forms) - set(found)):
        raise BuildError(
            f"recipe: the graph has no product {', '.join(unknown)}; it has {', '.join(found)}; change the names in [products]"
        )


_MIN_ENTRIES = 16


def to_int8(values: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Values, float32, as int8 of the same shape, and their scales, float32, one for each slice along `axis`.

    `values` is close to `integers * scales`.
    """
    return _round_to(np.abs(values).max(axis=axis, keepdims=True) / 127, values)


def to_summable(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A product's weights, float32, (inputs, outputs), as int8, and the scale of each output, float32, (1, outputs).

    x86 processors without VNNI sum the products of two neighbouring inputs in 16 bits and cut off what does not fit. Scales are
    therefore so large that two neighbours of one sign make 128 at most: times 255, the largest activation, that fits. Sums are
    then exact on every processor.
    """
    pairs = range(0, len(matrix), 2)
    sums = [np.add.reduceat(np.maximum(signed, 0), pairs, axis=0) for signed in (matrix, -matrix)]
    # Rounding two neighbours adds 1 at most.
    return _round_to(np.maximum(*sums).max(axis=0, keepdims=True) / 127, matrix)


def _round_to(scales: NDArray[np.float32], values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
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


_MIDDLE = 128
"""The zero point of rows of either sign."""

_LEAST_GELU = -0.1701
"""GELU's least value is -0.16997, its tanh approximation's -0.17004."""

_GELU_ZERO_POINT = 24
"""Of rows that GELU made: 231 steps above zero instead of 127. As its values below zero take no more than 24 steps, a row
whose largest value is below 231 / 24 * 0.1701 = 1.64 gets steps of that size; fewer or more cost drift on real encoders."""


class Products:
    """Writes integer products; rows that several of them read are quantized once."""

    def __init__(self, graph: GraphWriter) -> None:
        self._graph = graph
        self._quantized: dict[str, tuple[str, str]] = {}
        self.count = 0

    def write(self, rows: Rows, name: str, matrix: NDArray[np.float32], out: str) -> Rows:
        """Write the product of rows and a constant matrix, (row width, outputs)."""
        values, scales = to_summable(matrix)
        quantized, own = self._quantize(rows)
        product = multiply_integers(self._graph, quantized, _zero_point(rows), name, values, scales, out)
        self.count += 1
        offset = None if rows.offset is None else rows.offset @ matrix
        return Rows(self._graph.node("Mul", [product, own], f"{out}/rows"), offset, count=rows.count)

    def _quantize(self, rows: Rows) -> tuple[str, str]:
        """Rows (without their offset) in uint8 around their zero point, and the scale of each, (rows, 1)."""
        if rows.name not in self._quantized:
            graph, name = self._graph, rows.name
            zero = _zero_point(rows)
            if zero == _MIDDLE:
                largest, floor = graph.node("Abs", [name], f"{name}/abs"), float(np.finfo(np.float32).tiny) * 255
            else:
                largest, floor = name, -_LEAST_GELU / zero * (255 - zero)
            columns = graph.constant(np.array([1], np.int64))
            peak = graph.node("ReduceMax", [largest, columns], f"{name}/peak", keepdims=1)
            raised = graph.node("Max", [peak, graph.constant(np.float32(floor))], f"{name}/raised")
            scale = graph.node("Mul", [raised, graph.constant(np.float32(1 / (255 - zero)))], f"{name}/scale")
            self._quantized[name] = round_rows(graph, name, scale, zero, rows.count), scale
        return self._quantized[rows.name]


def round_rows(graph: GraphWriter, values: str, scale: str, zero: int, count: str) -> str:
    """Write (rows, width) in uint8 around the zero point.

    Args:
        scale: of each row, (rows, 1). `count`: of the rows, int64, (1,).
    """
    flat = graph.node("Reshape", [scale, graph.constant(np.array([-1], np.int64))], f"{scale}s")
    value = graph.tensor(np.array([zero], np.uint8))
    zeros = graph.node_once("ConstantOfShape", [count], f"{count}/{zero}", value=value)
    return graph.node("QuantizeLinear", [values, flat, zeros], f"{values}/uint8", axis=0)


def multiply_integers(
    graph: GraphWriter,
    rows: str,
    zero: int,
    name: str,
    values: NDArray[np.int8],
    scales: NDArray[np.float32],
    out: str,
) -> str:
    """Write the product of rows in uint8 around `zero`, still without their own scales, and a matrix as `to_summable` has it."""
    inputs = [
        rows,
        graph.constant(values, f"{name}/int8"),
        graph.constant(np.float32(1)),
        graph.constant(scales[0], f"{name}/scale"),
        graph.constant(np.uint8(zero)),
    ]
    return graph.node("MatMulIntegerToFloat", inputs, f"{out}/product", domain=MICROSOFT)


def _zero_point(rows: Rows) -> int:
    return _GELU_ZERO_POINT if rows.from_gelu else _MIDDLE
