"""Row-wise INT8: every operator of the graph written again, on rows where it reads tokens, as it was elsewhere."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from driftgate.builder.rowwise.forms import FormedProducts
from driftgate.builder.rowwise.products import Products, module_path, require_known, write_table
from driftgate.builder.rowwise.token_rows import AttentionWriter, Layout, Rows
from driftgate.errors import BuildError
from driftgate.inputs.recipe import Form
from driftgate.onnx_graph.functions import lower_functions
from driftgate.onnx_graph.graph import GraphWriter, attribute, refuse_quantized, save_beside


class NodeWriter:
    """One rewrite of one graph. A handler returns whether it wrote the node.

    Args:
        recipe: forms of products and tables that are not to be row-wise INT8, by the path of their module.
    """

    def __init__(self, graph: GraphWriter, recipe: Mapping[str, Form] | None = None) -> None:
        self._recipe = recipe or {}
        self._asked: set[str] = set()
        self._graph = graph
        self._layout = Layout(graph)
        self._products = Products(graph)
        self._formed = FormedProducts(graph, self._products)
        self._attention = AttentionWriter(graph, self._layout)

    def rewrite(self) -> int:
        """Rewrite every node in order; how many products were quantized."""
        for node in self._graph.take_nodes():
            handler = self._HANDLERS.get(node.op_type)
            if handler is None or not handler(self, node):
                for index, name in enumerate(node.input):
                    node.input[index] = self._layout.as_batch(name)
                self._graph.append(node)
        require_known(self._recipe, self._asked)
        self._graph.finish()
        return self._products.count

    def _form(self, node: Any) -> Form | None:
        """The form of a product or table; None for the backend's own way."""
        path = module_path(node)
        self._asked.add(path)
        return self._recipe.get(path)

    def _gather(self, node: Any) -> bool:
        """An embedding table by entry; or the first token of each text."""
        (name, index), out = node.input, node.output[0]
        form = self._form(node) if self._graph.matrix(name) is not None else None
        if write_table(self._graph, node) if form is None else self._write_float_table(node, form):
            if index == "input_ids":
                self._layout.add_tokens(out, self._graph.width(name))
            return True
        position = self._graph.value(index)
        first = position is not None and position.ndim == 0 and not int(position)
        if self._layout.in_rows(name) and attribute(node, "axis", 0) == 1 and first:
            self._layout.first_tokens(name, out)
            return True
        return False

    def _write_float_table(self, node: Any, form: Form) -> bool:
        if form not in (Form.FLOAT32, Form.FLOAT16):
            raise BuildError(
                f"recipe: {node.name} is a table of embeddings; expected {Form.FLOAT32} or {Form.FLOAT16}, found {form}"
            )
        graph, (name, index), out = self._graph, node.input, node.output[0]
        if form is Form.FLOAT32:
            graph.node("Gather", [name, index], out, axis=0)
            return True
        half = graph.constant(np.asarray(graph.value(name), np.float16), f"{name}/float16")
        graph.node("Cast", [graph.node("Gather", [half, index], f"{out}/float16", axis=0)], out, to=graph.FLOAT)
        return True

    def _product(self, node: Any, rows: Rows, weight: str, matrix: NDArray[np.float32], out: str) -> Rows:
        form = self._form(node)
        if form is None:
            return self._products.write(rows, weight, matrix, out)
        return self._formed.write(form, rows, weight, matrix, out, node.name)

    def _matmul(self, node: Any) -> bool:
        (name, weight), out = node.input, node.output[0]
        matrix = self._graph.matrix(weight)
        if matrix is None:
            return False
        if self._layout.width(name) == len(matrix):
            product = self._product(node, self._layout.open_rows(name), weight, matrix, out)
            self._layout.set_rows(out, product, matrix.shape[1])
        else:
            self._write_elsewhere(node, name, weight, matrix)
        return True

    def _write_elsewhere(self, node: Any, name: str, weight: str, matrix: NDArray[np.float32]) -> None:
        """A product of what is not known to be (batch, sequence, width): in rows, and back to its own shape."""
        graph, out = self._graph, node.output[0]
        flat = graph.constant(np.array([-1, len(matrix)], np.int64))
        rows = graph.node_once("Reshape", [name, flat], f"{name}/elsewhere")
        count = graph.node_once("Shape", [rows], f"{name}/elsewhere/count", start=0, end=1)
        product = self._product(node, Rows(rows, count=count), weight, matrix, out)
        leading = graph.node_once("Shape", [name], f"{name}/leading", start=0, end=-1)
        width = graph.constant(np.array([matrix.shape[1]], np.int64))
        shape = graph.node("Concat", [leading, width], f"{out}/shape", axis=0)
        graph.node("Reshape", [product.name, shape], out)

    def _add(self, node: Any) -> bool:
        """A constant is kept back as an offset; so are those of two sums of rows."""
        layout, (first, second), out = self._layout, node.input, node.output[0]
        for name, other in ((first, second), (second, first)):
            value = self._graph.value(other)
            if value is not None and layout.in_rows(name) and _is_vector(value, layout.width(name)):
                rows, width = layout.open_rows(name), layout.width(name)
                offset = _sum(rows.offset, np.broadcast_to(value.astype(np.float64).ravel(), (width,)))
                layout.set_rows(out, Rows(rows.name, offset), width)
                return True
        width = layout.width(first)
        if not width or layout.width(second) != width or not (layout.in_rows(first) or layout.in_rows(second)):
            return self._elementwise(node)
        parts = [layout.open_rows(name) for name in (first, second)]
        total = self._graph.node("Add", [part.name for part in parts], f"{out}/rows")
        layout.set_rows(out, Rows(total, _sum(parts[0].offset, parts[1].offset)), width)
        return True

    def _elementwise(self, node: Any) -> bool:
        """On rows where every input is rows, one number a row or a constant vector; on the batch where nothing is rows yet."""
        layout, out = self._layout, node.output[0]
        width = max(layout.width(name) for name in node.input)
        if len(node.output) != 1 or not width:
            return False
        if not any(layout.in_rows(name) for name in node.input):  # embeddings: positions are added to words
            layout.add_tokens(out, width)
            return False
        if not all(layout.width(name) in (1, width) or self._is_constant(name, width) for name in node.input):
            return False
        inputs = [layout.rows(name).name if layout.width(name) else name for name in node.input]
        rows = self._graph.copy(node, inputs, f"{out}/rows")
        layout.set_rows(out, Rows(rows, from_gelu=node.op_type in {"Gelu", "FastGelu"}), width)
        return True

    def _is_constant(self, name: str, width: int) -> bool:
        value = self._graph.value(name)
        return value is not None and _is_vector(value, width)

    def _layer_norm(self, node: Any) -> bool:
        layout, (name, *rest), out = self._layout, node.input, node.output[0]
        width = layout.width(name)
        if not width or any(node.output[1:]):
            return False
        if not layout.in_rows(name):
            layout.add_tokens(out, width)
            return False
        rows = self._graph.copy(node, [layout.rows(name).name, *rest], f"{out}/rows")
        layout.set_rows(out, Rows(rows, gains=self._graph.value(rest[0])), width)
        return True

    def _mean(self, node: Any) -> bool:
        """Of the squares of a row, as RMSNorm takes it: one number a row."""
        layout, (name, *axes), out = self._layout, node.input, node.output[0]
        along = self._graph.value(axes[0]) if axes else None
        last = along is not None and along.tolist() == [-1] and attribute(node, "keepdims", 1) == 1
        if not layout.in_rows(name) or not last:
            return False
        rows = self._graph.copy(node, [layout.rows(name).name, *axes], f"{out}/rows")
        layout.set_rows(out, Rows(rows), 1)
        return True

    def _sum_over_tokens(self, node: Any) -> bool:
        """One token after the other, as a head's mean needs it: other orders of addition give other bits in longer batches."""
        graph, (name, *axes), out = self._graph, node.input, node.output[0]
        along = graph.value(axes[0]) if axes else None
        if along is None or along.tolist() != [1] or attribute(node, "keepdims", 1):
            return False
        axis, last = graph.constant(np.array(1, np.int64)), graph.constant(np.array(-1, np.int64))
        sums = graph.node("CumSum", [self._layout.as_batch(name), axis], f"{out}/sums")
        graph.node("Gather", [sums, last], out, axis=1)
        return True

    def _split(self, node: Any) -> bool:
        """Of each row into equal parts, such as what GeGLU gates and the gate."""
        layout, name, parts = self._layout, node.input[0], list(node.output)
        width = layout.width(name) // len(parts)
        sizes = self._graph.value(node.input[1]) if node.input[1:] else None
        equal = sizes is None or sizes.tolist() == [width] * len(parts)
        if not layout.in_rows(name) or attribute(node, "axis", 0) not in (-1, 2) or not equal:
            return False
        lengths = self._graph.constant(np.array([width] * len(parts), np.int64))
        names = [f"{part}/rows" for part in parts]
        self._graph.node("Split", [layout.rows(name).name, lengths], *names, axis=-1)
        for part, rows in zip(parts, names, strict=True):
            layout.set_rows(part, Rows(rows), width)
        return True

    def _multi_head_attention(self, node: Any) -> bool:
        self._attention.write(node)
        return True

    _HANDLERS: ClassVar[dict[str, Callable[["NodeWriter", Any], bool]]] = {
        "Gather": _gather,
        "MatMul": _matmul,
        "Add": _add,
        **dict.fromkeys(("Mul", "Sub", "Div", "Gelu", "FastGelu", "Relu", "Sigmoid", "Tanh", "Erf"), _elementwise),
        **dict.fromkeys(("Pow", "Sqrt", "Reciprocal"), _elementwise),
        "ReduceMean": _mean,
        "ReduceSum": _sum_over_tokens,
        "Split": _split,
        "LayerNormalization": _layer_norm,
        "MultiHeadAttention": _multi_head_attention,
    }


def _is_vector(value: NDArray[Any], width: int) -> bool:
    return value.size in (1, width) and value.shape[-1:] in ((), (1,), (width,))


def _sum(first: NDArray[np.float64] | None, second: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
    if first is None or second is None:
        return second if first is None else first
    return first + second


def quantize_rowwise(source: Path, target: Path, *, recipe: Mapping[str, Form] | None = None) -> None:
    """Quantize the float32 graph `source`, for a CPU, row by row.

    Args:
        recipe: forms of products and tables that are not to be row-wise INT8, by the path of their module.

    Raises:
        BuildError: nothing in the graph can be quantized, it is quantized already, or the recipe does not fit it.
    """
    import onnx

    model = onnx.load(source)
    refuse_quantized(model, source)
    lower_functions(model)
    if not NodeWriter(GraphWriter(model), recipe).rewrite() and not recipe:
        raise BuildError(f"{source.name}: found no product with a constant matrix to quantize")
    save_beside(model, source, target)
