"""Attention over rows: heads are read where they lie, and the mask is the caller's own, on whichever side it masks."""

from typing import Any

import numpy as np

from driftgate.builder.rowwise.token_rows import BATCH, SEQUENCE, Layout, Rows
from driftgate.onnx_graph.graph import MICROSOFT, GraphWriter, attribute


class AttentionWriter:
    """Writes MultiHeadAttention, as `lower_functions` makes it, in the operators that it is made of."""

    def __init__(self, graph: GraphWriter, layout: Layout) -> None:
        self._graph = graph
        self._layout = layout

    def write(self, node: Any) -> None:
        """Scores = Q K' / sqrt(head size) + mask; shares = softmax; out = shares V.

        An offset of the keys adds the same to all scores of a query, which softmax does not see; one of the values adds itself
        to the output, as shares sum to one.
        """
        graph, layout, out, mask = self._graph, self._layout, node.output[0], node.input[5]
        heads, size, scale = (attribute(node, name, 0) for name in ("num_heads", "head_size", "scale"))
        for name in node.input[:3]:
            layout.add_tokens(name, heads * size)
        query = layout.rows(node.input[0]).name
        key, values = (layout.open_rows(name) for name in node.input[1:3])
        query, turned, value = (self._split_heads(name, heads, size) for name in (query, key.name, values.name))
        alike = {"transBatchA": 1, "transBatchB": 1, "transB": 1, "alpha": scale}
        scores = graph.node("FusedMatMul", [query, turned], f"{out}/scores", domain=MICROSOFT, **alike)
        masked = graph.node("Add", [scores, self._mask(mask, heads)], f"{out}/masked")
        shares = graph.node("Softmax", [masked], f"{out}/shares", axis=-1)
        mixed = graph.node("FusedMatMul", [shares, value], f"{out}/mixed", domain=MICROSOFT, transBatchB=1)
        back = graph.node("Transpose", [mixed], f"{out}/turned", perm=[1, 0, 2])
        rows = graph.node("Reshape", [back, graph.constant(np.array([-1, heads * size], np.int64))], f"{out}/rows")
        layout.set_rows(out, Rows(rows, values.offset), heads * size)

    def _split_heads(self, rows: str, heads: int, size: int) -> str:
        """(sequence, batch * heads, head size)."""
        width = self._graph.constant(np.array([size], np.int64))
        shape = self._graph.node_once(
            "Concat", [SEQUENCE, self._texts_and_heads(heads), width], f"rowwise_{heads}_heads", axis=0
        )
        return self._graph.node("Reshape", [rows, shape], f"{rows}/heads")

    def _texts_and_heads(self, heads: int) -> str:
        count = self._graph.constant(np.array([heads], np.int64))
        return self._graph.node_once("Mul", [BATCH, count], f"{BATCH}_x_{heads}")

    def _mask(self, given: str, heads: int) -> str:
        """What is added to scores: (batch * heads, 1 or sequence, sequence), for each head what `given` has for all."""
        graph, out = self._graph, f"{given}/{heads}_heads"
        if graph.is_written(out):
            return out
        count, one = graph.constant(np.array([heads], np.int64)), graph.constant(np.array([1], np.int64))
        queries = graph.node_once("Shape", [given], f"{given}/queries", start=2, end=3)
        spread = graph.node("Concat", [BATCH, count, one, SEQUENCE], f"{out}/spread_shape", axis=0)
        for_heads = graph.node("Expand", [given, spread], f"{out}/spread")
        shape = graph.node("Concat", [self._texts_and_heads(heads), queries, SEQUENCE], f"{out}/shape", axis=0)
        return graph.node("Reshape", [for_heads, shape], out)
