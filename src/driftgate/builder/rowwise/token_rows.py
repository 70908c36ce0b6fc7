"""Tokens as rows, (sequence * batch, width), between the embeddings and the head.

Sequence first: then attention reads its heads where they lie, and a text's first token, which the head wants, is in the first
rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.onnx_graph.graph import MICROSOFT, GraphWriter, attribute

BATCH, SEQUENCE, TOKENS = "rowwise_batch", "rowwise_sequence", "rowwise_tokens"
"""Sizes of the batch, each int64, (1,)."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows in the graph.

    Args:
        name: the tensor, float32, (rows, width).
        offset: a constant still to be added to every row, float64, (width,): most of them end in another constant.
        from_gelu: whether GELU made them: none is below its least value.
        count: the number of rows, int64, (1,).
        gains: of the LayerNorm that made them, float32, (width,); None where nothing did.
    """

    name: str
    offset: NDArray[np.float64] | None = None
    from_gelu: bool = False
    count: str = TOKENS
    gains: NDArray[np.float32] | None = None


class Layout:
    """Which tensors of the graph hold tokens, (batch, sequence, width), and where their rows are."""

    def __init__(self, graph: GraphWriter) -> None:
        self._graph = graph
        self._widths: dict[str, int] = {}
        self._rows: dict[str, Rows] = {}
        graph.node("Shape", ["input_ids"], BATCH, start=0, end=1)
        graph.node("Shape", ["input_ids"], SEQUENCE, start=1, end=2)
        graph.node("Mul", [BATCH, SEQUENCE], TOKENS)

    def width(self, name: str) -> int:
        """Of a token, 0 where `name` does not hold tokens."""
        return self._widths.get(name, 0)

    def add_tokens(self, name: str, width: int) -> None:
        """`name` holds tokens, as (batch, sequence, width)."""
        self._widths[name] = width

    def set_rows(self, name: str, rows: Rows, width: int) -> None:
        """What `name` held is now in rows."""
        self._widths[name] = width
        self._rows[name] = rows

    def in_rows(self, name: str) -> bool:
        """Whether the tensor has been rewritten as rows."""
        return name in self._rows

    def open_rows(self, name: str) -> Rows:
        """The tokens of `name` in rows, perhaps with an offset still to be added."""
        if name not in self._rows:
            turned = self._graph.node("Transpose", [name], f"{name}/turned", perm=[1, 0, 2])
            shape = self._graph.constant(np.array([-1, self._widths[name]], np.int64))
            self._rows[name] = Rows(self._graph.node("Reshape", [turned, shape], f"{name}/turned/rows"))
        return self._rows[name]

    def rows(self, name: str) -> Rows:
        """The tokens of `name` in rows."""
        rows = self.open_rows(name)
        if rows.offset is not None:
            # As one row: a bias of one dimension before Gelu is fused into BiasGelu at load, whose kernel is slower.
            offset = self._graph.constant(rows.offset.astype(np.float32).reshape(1, -1), f"{name}/offset")
            self._rows[name] = rows = Rows(self._graph.node("Add", [rows.name, offset], f"{name}/complete"))
        return rows

    def as_batch(self, name: str) -> str:
        """`name` for a node that wants (batch, sequence, width)."""
        if name in self._rows and not self._graph.is_written(name):
            width = self._graph.constant(np.array([self._widths[name]], np.int64))
            shape = self._graph.node("Concat", [SEQUENCE, BATCH, width], f"{name}/shape", axis=0)
            unrolled = self._graph.node("Reshape", [self.rows(name).name, shape], f"{name}/unrolled")
            self._graph.node("Transpose", [unrolled], name, perm=[1, 0, 2])
        return name

    def first_tokens(self, name: str, out: str) -> None:
        """Write the first token of every text, (batch, width), to `out`."""
        zero = self._graph.constant(np.array([0], np.int64))
        self._graph.node("Slice", [self.rows(name).name, zero, BATCH, zero], out)


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
