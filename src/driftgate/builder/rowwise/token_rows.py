"""Tokens as rows, (sequence * batch, width), between the embeddings and the head.

Sequence first: then attention reads its heads where they lie, and a text's first token, which the head wants, is in the first
rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftgate.onnx_graph.graph import GraphWriter

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
    """

    name: str
    offset: NDArray[np.float64] | None = None
    from_gelu: bool = False
    count: str = TOKENS


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
