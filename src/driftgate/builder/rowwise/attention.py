"""Attention over rows: heads are read where they lie, and the mask is the caller's own, on whichever side it masks."""

from typing import Any

import numpy as np

from driftgate.builder.onnx_graph import MICROSOFT, GraphWriter
from driftgate.builder.rowwise.layout import BATCH, SEQUENCE, Layout, Rows
from driftgate.errors import BuildError


class AttentionWriter:
    """Writes what ONNX Runtime's optimizer fused into MultiHeadAttention."""

    def __init__(self, graph: GraphWriter, layout: Layout) -> None:
        self._graph = graph
        self._layout = layout

    def write(self, node: Any) -> None:
        """Scores = Q K' / sqrt(head width) + mask; shares = softmax; out = shares V.

        The key's bias adds the same to all scores of a query, which softmax does not see; the value's adds itself to the
        output, as shares sum to one.

        Raises:
            BuildError: fused with inputs that are unknown here.
        """
        biases = self._graph.value(node.input[3])
        if biases is None or any(node.input[5:]):
            raise BuildError("attention was fused in a form that row-wise INT8 does not know")
        graph, layout, out = self._graph, self._layout, node.output[0]
        heads = next(attribute.i for attribute in node.attribute if attribute.name == "num_heads")
        width = biases.size // 3
        for name in node.input[:3]:
            layout.add_tokens(name, width)
        query_bias, _, value_bias = biases.reshape(3, width)
        bias = graph.constant(query_bias.reshape(1, -1), f"{out}/query_bias")
        query = graph.node("Add", [layout.rows(node.input[0]).name, bias], f"{out}/query")
        key, value = (layout.rows(name).name for name in node.input[1:3])
        query, key, value = (self._split_heads(name, heads, width // heads) for name in (query, key, value))
        turned = {"transBatchA": 1, "transBatchB": 1, "transB": 1, "alpha": float(1 / np.sqrt(width // heads))}
        scores = graph.node("FusedMatMul", [query, key], f"{out}/scores", domain=MICROSOFT, **turned)
        masked = graph.node("Add", [scores, self._mask(heads)], f"{out}/masked")
        shares = graph.node("Softmax", [masked], f"{out}/shares", axis=-1)
        mixed = graph.node("FusedMatMul", [shares, value], f"{out}/mixed", domain=MICROSOFT, transBatchB=1)
        back = graph.node("Transpose", [mixed], f"{out}/turned", perm=[1, 0, 2])
        rows = graph.node("Reshape", [back, graph.constant(np.array([-1, width], np.int64))], f"{out}/rows")
        layout.set_rows(out, Rows(rows, value_bias.astype(np.float64)), width)

    def _split_heads(self, rows: str, heads: int, head_width: int) -> str:
        """(sequence, batch * heads, head width)."""
        width = self._graph.constant(np.array([head_width], np.int64))
        shape = self._graph.node_once(
            "Concat", [SEQUENCE, self._texts_and_heads(heads), width], f"rowwise_{heads}_heads", axis=0
        )
        return self._graph.node("Reshape", [rows, shape], f"{rows}/heads")

    def _texts_and_heads(self, heads: int) -> str:
        count = self._graph.constant(np.array([heads], np.int64))
        return self._graph.node_once("Mul", [BATCH, count], f"{BATCH}_x_{heads}")

    def _mask(self, heads: int) -> str:
        """What is added to scores: 0 on text, the least float32 elsewhere; (batch * heads, 1, sequence)."""
        graph, out = self._graph, f"rowwise_mask_{heads}_heads"
        if graph.is_written(out):
            return out
        given = graph.node("Cast", ["attention_mask"], f"{out}/float", to=graph.FLOAT)
        hidden = graph.node("Sub", [graph.constant(np.float32(1)), given], f"{out}/hidden")
        added = graph.node("Mul", [hidden, graph.constant(np.finfo(np.float32).min)], f"{out}/added")
        middle = graph.node("Unsqueeze", [added, graph.constant(np.array([1], np.int64))], f"{out}/middle")
        count, one = graph.constant(np.array([heads], np.int64)), graph.constant(np.array([1], np.int64))
        spread = graph.node("Concat", [BATCH, count, SEQUENCE], f"{out}/spread_shape", axis=0)
        for_heads = graph.node("Expand", [middle, spread], f"{out}/spread")
        shape = graph.node("Concat", [self._texts_and_heads(heads), one, SEQUENCE], f"{out}/shape", axis=0)
        return graph.node("Reshape", [for_heads, shape], out)
