"""INT8 that does not depend on its batch: every token has a quantization scale of its own.

ONNX Runtime's dynamic quantization takes one scale over a whole batch, so a text's answer moves with its batch mates and its
padding (onnxruntime #10111). Here a row of activations (one token) is scaled by its own largest value, weights have a scale for
each output, and embedding tables one for each entry. Everything is made of operators that stock ONNX Runtime has:

    scale = max|row| / 127            ReduceMax
    q = round(row / scale) + 128      QuantizeLinear along axis 0, uint8
    y = (q - 128) W / weight scales   MatMulIntegerToFloat, int32 sums, W int8
    y = y * scale                     Mul

Tokens are laid out in rows, sequence first, between the embeddings and the head: then attention needs no transposes before
its products (`FusedMatMul` reads heads where they lie), and the session does not fuse SkipLayerNormalization and BiasGelu,
whose CPU kernels are slower than their parts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.builder.onnx_graph import GraphWriter
from driftgate.errors import BuildError

_MICROSOFT = "com.microsoft"
_ELEMENTWISE = frozenset({"Add", "Mul", "Sub", "Div", "Relu", "Tanh", "Gelu", "FastGelu", "Erf", "Cast", "Identity"})
# The least value of GELU is -0.16997, of its tanh approximation -0.17004: a row's largest value is its largest magnitude
# unless all are smaller than this.
_GELU_FLOOR = 0.1701
_MIN_TABLE_ROWS = 16


def quantize_rowwise(source: Path, target: Path) -> None:
    """Quantize the float32 graph `source`, for a CPU, row by row.

    Raises:
        BuildError: nothing in the graph can be quantized, or it is quantized already.
    """
    import onnx

    model = _fuse(source)
    operators = {node.op_type for node in model.graph.node}
    if operators & {"QuantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "MatMulIntegerToFloat"}:
        raise BuildError(f"{source.name}: expected a float32 graph, found one that is quantized already")
    quantized = _Rowwise(GraphWriter(model)).rewrite()
    if not quantized:
        raise BuildError(f"{source.name}: found no product with a constant matrix to quantize")
    external = source.with_name(source.name + "_data").exists()
    onnx.save(model, target, save_as_external_data=external, location=f"{target.name}_data" if external else None)


def _fuse(source: Path) -> Any:
    """The graph with attention, normalization and GELU as single nodes where ONNX Runtime's optimizer finds them."""
    import logging

    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.use_raw_attention_mask = True
    options.use_multi_head_attention = True
    options.enable_embed_layer_norm = False
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it warns of every fusion that a family does not have
    try:
        return optimize_model(str(source), "bert", optimization_options=options, opt_level=0).model
    finally:
        logging.disable(before)


class _Rowwise:
    """One rewrite of one graph.

    `flat` maps a tensor of shape (batch, sequence, width) to its rows, (sequence * batch, width), once there are any.
    """

    def __init__(self, graph: GraphWriter) -> None:
        self.graph = graph
        self.tokens: set[str] = set()
        self.flat: dict[str, str] = {}
        self.widths: dict[str, int] = {}
        self.quantized: dict[str, tuple[str, str]] = {}
        self.positive: set[str] = set()
        self.mask = ""
        self.products = 0

    def rewrite(self) -> int:
        """Rewrite every node in order; how many products were quantized."""
        self._measure()
        for node in self.graph.take_nodes():
            handler = getattr(self, f"_write_{node.op_type}", None)
            if handler is None or not handler(node):
                self._write_other(node)
        self.graph.finish()
        return self.products

    def _measure(self) -> None:
        """Sizes of the batch, which rows and heads are shaped by."""
        graph = self.graph
        graph.node("Shape", ["input_ids"], "rowwise_batch", start=0, end=1)
        graph.node("Shape", ["input_ids"], "rowwise_sequence", start=1, end=2)
        graph.node("Mul", ["rowwise_batch", "rowwise_sequence"], "rowwise_rows")
        graph.node("ConstantOfShape", ["rowwise_rows"], "rowwise_zeros", value=self._zero_point())

    # Rows and back

    def _rows(self, name: str) -> str:
        """`name`, (batch, sequence, width), as rows."""
        if name not in self.flat:
            width = self.widths[name]
            turned = self.graph.node("Transpose", [name], f"{name}/turned", perm=[1, 0, 2])
            shape = self.graph.constant(np.array([-1, width], np.int64))
            self.flat[name] = self.graph.node("Reshape", [turned, shape], f"{name}/turned/rows")
        return self.flat[name]

    def _set_rows(self, name: str, rows: str, width: int) -> None:
        self.tokens.add(name)
        self.flat[name], self.widths[name] = rows, width

    def _batch(self, name: str) -> str:
        """`name` for a node that wants (batch, sequence, width)."""
        if name in self.flat and not self.graph.is_written(name):
            width = self.graph.constant(np.array([self.widths[name]], np.int64))
            shape = self.graph.node("Concat", ["rowwise_sequence", "rowwise_batch", width], f"{name}/shape", axis=0)
            turned = self.graph.node("Reshape", [self.flat[name], shape], f"{name}/unrolled")
            self.graph.node("Transpose", [turned], name, perm=[1, 0, 2])
        return name

    def _token_width(self, name: str) -> int:
        return self.widths.get(name, 0) if name in self.tokens else 0

    # Nodes

    def _write_other(self, node: Any) -> None:
        for index, name in enumerate(node.input):
            if name in self.flat:
                node.input[index] = self._batch(name)
        self.graph.append(node)

    def _write_Gather(self, node: Any) -> bool:  # noqa: N802 - named by operator
        """An embedding table by entry; or the first token of each text, whose rows come first."""
        table = self.graph.matrix(node.input[0])
        if table is not None and len(table) >= _MIN_TABLE_ROWS:
            self._write_table(node, table)
            return True
        index = self.graph.value(node.input[1])
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
        if node.input[0] in self.flat and axis == 1 and index is not None and index.ndim == 0 and not int(index):
            zero = self.graph.constant(np.array([0], np.int64))
            self.graph.node("Slice", [self.flat[node.input[0]], zero, "rowwise_batch", zero], node.output[0])
            return True
        return False

    def _write_table(self, node: Any, table: NDArray[np.float32]) -> None:
        scale = np.abs(table).max(axis=1, keepdims=True) / 127
        scale[scale == 0] = 1
        weights = self.graph.constant(np.rint(table / scale).astype(np.int8), f"{node.input[0]}/int8")
        scales = self.graph.constant(scale.astype(np.float32), f"{node.input[0]}/scale")
        out = node.output[0]
        entry = self.graph.node("Gather", [weights, node.input[1]], f"{out}/int8", axis=0)
        own = self.graph.node("Gather", [scales, node.input[1]], f"{out}/scale", axis=0)
        exact = self.graph.node("Cast", [entry], f"{out}/float", to=self.graph.FLOAT)
        self.graph.node("Mul", [exact, own], out)
        if node.input[1] == "input_ids":
            self.tokens.add(out)
            self.widths[out] = table.shape[1]

    def _write_MatMul(self, node: Any) -> bool:  # noqa: N802
        weight = self.graph.matrix(node.input[1])
        if weight is None:
            return False
        name, out = node.input[0], node.output[0]
        if self._token_width(name) == len(weight):
            rows = self._product(self._rows(name), "rowwise_zeros", node.input[1], weight, out)
            self._set_rows(out, rows, weight.shape[1])
        else:
            self._write_elsewhere(name, node.input[1], weight, out)
        return True

    def _write_elsewhere(self, name: str, weight_name: str, weight: NDArray[np.float32], out: str) -> None:
        """A product of what is not known to be (batch, sequence, width): in rows, and back to its own shape."""
        graph = self.graph
        flat = graph.constant(np.array([-1, len(weight)], np.int64))
        rows = graph.node_once("Reshape", [name, flat], f"{name}/elsewhere")
        first, one = graph.constant(np.array([0], np.int64)), graph.constant(np.array([1], np.int64))
        counted = graph.node_once("Shape", [rows], f"{name}/elsewhere/shape")
        count = graph.node_once("Slice", [counted, first, one], f"{name}/elsewhere/count")
        zeros = graph.node_once("ConstantOfShape", [count], f"{name}/elsewhere/zeros", value=self._zero_point())
        product = self._product(rows, zeros, weight_name, weight, out)
        leading = graph.node_once("Shape", [name], f"{name}/leading", start=0, end=-1)
        width = graph.constant(np.array([weight.shape[1]], np.int64))
        shape = graph.node("Concat", [leading, width], f"{out}/shape", axis=0)
        graph.node("Reshape", [product, shape], out)

    def _zero_point(self) -> Any:
        return self.graph.tensor(np.array([128], np.uint8))

    def _product(self, rows: str, zeros: str, name: str, weight: NDArray[np.float32], out: str) -> str:
        scale = np.abs(weight).max(axis=0) / 127
        scale[scale == 0] = 1
        values = self.graph.constant(np.rint(weight / scale).astype(np.int8), f"{name}/int8")
        scales = self.graph.constant(scale.astype(np.float32), f"{name}/scale")
        one = self.graph.constant(np.float32(1))
        zero = self.graph.constant(np.uint8(128))
        quantized, own = self._quantize(rows, zeros)
        product = self.graph.node(
            "MatMulIntegerToFloat", [quantized, values, one, scales, zero], f"{out}/product", domain=_MICROSOFT
        )
        self.products += 1
        return self.graph.node("Mul", [product, own], f"{out}/rows")

    def _quantize(self, rows: str, zeros: str) -> tuple[str, str]:
        """Rows in uint8 around 128, and the scale of each, (rows, 1); once for all products that read them.

        `zeros` is a vector of as many zero points as there are rows.
        """
        if rows in self.quantized:
            return self.quantized[rows]
        graph = self.graph
        last, share = graph.constant(np.array([1], np.int64)), graph.constant(np.float32(1 / 127))
        if rows in self.positive:
            largest, floor = rows, _GELU_FLOOR
        else:
            largest, floor = graph.node("Abs", [rows], f"{rows}/abs"), float(np.finfo(np.float32).tiny) * 127
        peak = graph.node("ReduceMax", [largest, last], f"{rows}/peak", keepdims=1)
        raised = graph.node("Max", [peak, graph.constant(np.float32(floor))], f"{rows}/raised")
        scale = graph.node("Mul", [raised, share], f"{rows}/scale")
        column = graph.node("Reshape", [scale, graph.constant(np.array([-1], np.int64))], f"{rows}/scales")
        quantized = graph.node("QuantizeLinear", [rows, column, zeros], f"{rows}/uint8", axis=0)
        self.quantized[rows] = quantized, scale
        return quantized, scale

    def _write_elementwise(self, node: Any) -> bool:
        """On rows where every input is rows or a constant vector; on the batch as before where nothing is rows yet."""
        if len(node.output) != 1:
            return False
        width = max((self._token_width(name) for name in node.input), default=0)
        out = node.output[0]
        if width and not any(name in self.flat for name in node.input):  # embeddings: positions are added to words
            self.tokens.add(out)
            self.widths[out] = width
            return False
        if not width or not all(
            self._token_width(name) == width or self._is_vector(name, width) for name in node.input
        ):
            return False
        shaped = (lambda name: name) if node.op_type == "FastGelu" else self._two_dimensional  # its bias is a vector
        inputs = [self._rows(name) if name in self.tokens else shaped(name) for name in node.input]
        self._set_rows(out, self.graph.copy(node, inputs, f"{out}/rows"), width)
        if node.op_type in {"Gelu", "FastGelu"}:
            self.positive.add(self.flat[out])
        return True

    def _is_vector(self, name: str, width: int) -> bool:
        value = self.graph.value(name)
        return value is not None and value.size in (1, width) and value.shape[-1:] in ((), (1,), (width,))

    def _two_dimensional(self, name: str) -> str:
        """A constant vector as one row: the session fuses a bias of one dimension into the slower BiasGelu."""
        value = self.graph.value(name)
        if value is None or value.size == 1:
            return name
        return self.graph.constant(value.reshape(1, -1), f"{name}/row")

    _write_Add = _write_Mul = _write_Sub = _write_Div = _write_Gelu = _write_FastGelu = _write_elementwise  # noqa: N815
    _write_Relu = _write_Tanh = _write_Erf = _write_elementwise  # noqa: N815

    def _write_BiasGelu(self, node: Any) -> bool:  # noqa: N802
        """Add and Gelu, which are faster than the two in one."""
        name, bias = node.input
        if name not in self.flat:
            return False
        width, out = self.widths[name], node.output[0]
        shifted = self.graph.node("Add", [self.flat[name], self._two_dimensional(bias)], f"{out}/shifted")
        rows = self.graph.node("Gelu", [shifted], f"{out}/rows", domain=_MICROSOFT)
        self.positive.add(rows)
        self._set_rows(out, rows, width)
        return True

    def _write_LayerNormalization(self, node: Any) -> bool:  # noqa: N802
        name, out = node.input[0], node.output[0]
        width = self._token_width(name)
        if not width or len([output for output in node.output if output]) != 1:
            return False
        if name in self.flat:
            self._set_rows(out, self.graph.copy(node, [self.flat[name], *node.input[1:]], f"{out}/rows"), width)
            return True
        self.tokens.add(out)
        self.widths[out] = width
        return False

    def _write_SkipLayerNormalization(self, node: Any) -> bool:  # noqa: N802
        """Add and LayerNormalization, which are faster than the two in one."""
        first, second, gamma, *rest = node.input
        scale, out = self.graph.value(gamma), node.output[0]
        if scale is None or any(node.output[1:]):
            return False
        width = scale.size
        for name in (first, second):  # the operator takes nothing else
            self.tokens.add(name)
            self.widths[name] = width
        if first not in self.flat and second not in self.flat:
            self.tokens.add(out)
            self.widths[out] = width
            return False
        total = self._rows(second)
        if len(rest) > 1 and rest[1]:
            total = self.graph.node("Add", [total, self._two_dimensional(rest[1])], f"{out}/biased")
        total = self.graph.node("Add", [self._rows(first), total], f"{out}/sum")
        epsilon = next(attribute.f for attribute in node.attribute if attribute.name == "epsilon")
        inputs = [total, gamma, *rest[:1]]
        rows = self.graph.node("LayerNormalization", inputs, f"{out}/rows", axis=-1, epsilon=epsilon)
        self._set_rows(out, rows, width)
        return True

    def _write_MultiHeadAttention(self, node: Any) -> bool:  # noqa: N802
        """Attention over rows: heads are read where they lie, and the mask is the caller's own, on whichever side it masks."""
        query, key, value, bias = node.input[:4]
        heads = next(attribute.i for attribute in node.attribute if attribute.name == "num_heads")
        biases = self.graph.value(bias)
        if biases is None or any(node.input[5:]):
            raise BuildError("attention was fused in a form that row-wise INT8 does not know")
        width, out, graph = biases.size // 3, node.output[0], self.graph
        for name in (query, key, value):
            self.tokens.add(name)
            self.widths[name] = width
        shapes = self._attention_shapes(heads, width // heads)
        parts = []
        for name, own, vector in zip("qkv", (query, key, value), biases.reshape(3, 1, width), strict=True):
            shifted = graph.node("Add", [self._rows(own), graph.constant(vector, f"{bias}/{name}")], f"{out}/{name}")
            parts.append(graph.node("Reshape", [shifted, shapes["heads"]], f"{out}/{name}/heads"))
        turned = {"transBatchA": 1, "transBatchB": 1, "transB": 1, "alpha": float(1 / np.sqrt(width // heads))}
        scores = graph.node("FusedMatMul", parts[:2], f"{out}/scores", domain=_MICROSOFT, **turned)
        spread = graph.node("Reshape", [scores, shapes["by_text"]], f"{out}/scores/by_text")
        masked = graph.node("Add", [spread, self._mask()], f"{out}/masked")
        shares = graph.node("Softmax", [masked], f"{out}/shares", axis=-1)
        by_head = graph.node("Reshape", [shares, shapes["by_head"]], f"{out}/shares/by_head")
        mixed = graph.node("FusedMatMul", [by_head, parts[2]], f"{out}/mixed", domain=_MICROSOFT, transBatchB=1)
        back = graph.node("Transpose", [mixed], f"{out}/turned", perm=[1, 0, 2])
        flat = graph.constant(np.array([-1, width], np.int64))
        self._set_rows(out, graph.node("Reshape", [back, flat], f"{out}/rows"), width)
        return True

    def _attention_shapes(self, heads: int, head_width: int) -> dict[str, str]:
        """(sequence, batch * heads, head width); (batch, heads, sequence, sequence); (batch * heads, sequence, sequence)."""
        graph, sequence = self.graph, "rowwise_sequence"
        count, width = graph.constant(np.array([heads], np.int64)), graph.constant(np.array([head_width], np.int64))
        both = graph.node_once("Mul", ["rowwise_batch", count], f"rowwise_batch_x_{heads}")
        return {
            "heads": graph.node_once("Concat", [sequence, both, width], f"rowwise_{heads}_heads", axis=0),
            "by_text": graph.node_once(
                "Concat", ["rowwise_batch", count, sequence, sequence], f"rowwise_{heads}_by_text", axis=0
            ),
            "by_head": graph.node_once("Concat", [both, sequence, sequence], f"rowwise_{heads}_by_head", axis=0),
        }

    def _mask(self) -> str:
        """What is added to scores: 0 on text, the least float32 elsewhere; (batch, 1, 1, sequence)."""
        graph = self.graph
        if not self.mask:
            given = graph.node("Cast", ["attention_mask"], "rowwise_mask_float", to=graph.FLOAT)
            hidden = graph.node("Sub", [graph.constant(np.float32(1)), given], "rowwise_hidden")
            least = graph.constant(np.finfo(np.float32).min)
            added = graph.node("Mul", [hidden, least], "rowwise_mask_added")
            axes: Sequence[int] = [1, 2]
            self.mask = graph.node("Unsqueeze", [added, graph.constant(np.array(axes, np.int64))], "rowwise_mask")
        return self.mask
