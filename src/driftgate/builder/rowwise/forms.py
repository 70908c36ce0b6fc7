"""Products in the other forms that a recipe can ask for. Each answers for a row from that row alone, as row-wise INT8 does."""

import numpy as np
from numpy.typing import NDArray

from driftgate.builder.rowwise.products import Products, multiply_integers, round_rows, to_int8, to_summable
from driftgate.builder.rowwise.token_rows import Rows
from driftgate.errors import BuildError
from driftgate.inputs.recipe import Form
from driftgate.onnx_graph.graph import MICROSOFT, GraphWriter

_BLOCK = 32
_LEAST_GAIN = 1e-3
_LARGEST_HALF = 65504


class FormedProducts:
    """Writes products in a form of their own."""

    def __init__(self, graph: GraphWriter, products: Products) -> None:
        self._graph = graph
        self._products = products
        self._ranges: dict[str, tuple[str, str, str]] = {}

    def write(self, form: Form, rows: Rows, name: str, matrix: NDArray[np.float32], out: str, path: str) -> Rows:
        """Write the product of rows and a constant matrix, (row width, outputs).

        Args:
            path: of the product's module, for messages.

        Raises:
            BuildError: the product cannot have this form.
        """
        if form is Form.SMOOTH:
            return self._smooth(rows, name, matrix, out, path)
        if form is Form.BLOCKS:
            product = self._blocks(rows, name, matrix, out, path)
        elif form is Form.RANGE:
            product = self._ranged(rows, name, matrix, out)
        else:
            weight = self.float_weight(form, name, matrix)
            product = self._graph.node("MatMul", [rows.name, weight], f"{out}/rows")
        offset = None if rows.offset is None else rows.offset @ matrix
        return Rows(product, offset, count=rows.count)

    def float_weight(self, form: Form, name: str, matrix: NDArray[np.float32]) -> str:
        """The weight in float32; one stored in float16 becomes float32 when the file is loaded."""
        graph = self._graph
        if form is not Form.FLOAT16:
            return graph.constant(matrix, f"{name}/float32")
        half = matrix.clip(-_LARGEST_HALF, _LARGEST_HALF).astype(np.float16)
        return graph.node_once("Cast", [graph.constant(half, f"{name}/float16")], f"{name}/widened", to=graph.FLOAT)

    def _smooth(self, rows: Rows, name: str, matrix: NDArray[np.float32], out: str, path: str) -> Rows:
        if rows.gains is None:
            raise BuildError(
                f"recipe: {path} does not read a LayerNorm, whose gains {Form.SMOOTH} moves; take another form"
            )
        gains = np.sqrt(np.abs(rows.gains)).clip(_LEAST_GAIN).astype(np.float32)
        inverse = self._graph.constant((1 / gains).reshape(1, -1), f"{rows.name}/gains")
        smooth = self._graph.node_once("Mul", [rows.name, inverse], f"{rows.name}/smooth")
        offset = None if rows.offset is None else rows.offset / gains
        return self._products.write(Rows(smooth, offset, count=rows.count), name, matrix * gains[:, None], out)

    def _blocks(self, rows: Rows, name: str, matrix: NDArray[np.float32], out: str, path: str) -> str:
        depth, outputs = matrix.shape
        if depth % _BLOCK:
            raise BuildError(
                f"recipe: {path} has {depth} inputs, which is no multiple of {_BLOCK}; take another form than {Form.BLOCKS}"
            )
        values, scales = to_int8(np.ascontiguousarray(matrix.T).reshape(outputs, depth // _BLOCK, _BLOCK), axis=2)
        weights = self._graph.constant((values.astype(np.int16) + 128).astype(np.uint8), f"{name}/blocks")
        inputs = [rows.name, weights, self._graph.constant(scales.ravel(), f"{name}/block_scales")]
        sizes = {"K": depth, "N": outputs, "bits": 8, "block_size": _BLOCK, "accuracy_level": 4}
        return self._graph.node("MatMulNBits", inputs, f"{out}/rows", domain=MICROSOFT, **sizes)

    def _ranged(self, rows: Rows, name: str, matrix: NDArray[np.float32], out: str) -> str:
        """y = scale (q W) + least (column sums of W)."""
        graph = self._graph
        values, scales = to_summable(matrix)
        quantized, own, least = self._range(rows)
        product = multiply_integers(graph, quantized, 0, name, values, scales, out)
        # Of the integers, not of the matrix: the error of the weights is then the same for the least value as for the rest.
        sums = graph.constant((values * scales).sum(axis=0, keepdims=True).astype(np.float32), f"{name}/sums")
        shift = graph.node("Mul", [least, sums], f"{out}/shift")
        return graph.node("Add", [graph.node("Mul", [product, own], f"{out}/scaled"), shift], f"{out}/rows")

    def _range(self, rows: Rows) -> tuple[str, str, str]:
        """Rows in uint8 from their least to their greatest value, the scale of each, (rows, 1), and its least value."""
        graph, name = self._graph, rows.name
        if name not in self._ranges:
            columns = graph.constant(np.array([1], np.int64))
            least = graph.node("ReduceMin", [name, columns], f"{name}/least", keepdims=1)
            greatest = graph.node("ReduceMax", [name, columns], f"{name}/greatest", keepdims=1)
            span = graph.node("Sub", [greatest, least], f"{name}/span")
            raised = graph.node(
                "Max", [span, graph.constant(np.float32(np.finfo(np.float32).tiny * 255))], f"{name}/raised_span"
            )
            scale = graph.node("Mul", [raised, graph.constant(np.float32(1 / 255))], f"{name}/step")
            above = graph.node("Sub", [name, least], f"{name}/above")
            self._ranges[name] = round_rows(graph, above, scale, 0, rows.count), scale, least
        return self._ranges[name]
