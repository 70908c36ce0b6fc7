"""The operators that an export left whole, written as ONNX Runtime's own: what its GPU kernels and the row layout start from."""

from pathlib import Path
from typing import Any

import numpy as np

from driftgate.onnx_graph.functions import ATTENTION, DOMAIN, GELU, GELU_TANH
from driftgate.onnx_graph.graph import MICROSOFT, GraphWriter, attribute, makers, readers, save_beside

_SWAP = [0, 2, 1, 3]
"""(batch, sequence, heads, head size) to (batch, heads, sequence, head size), and back."""

_FUSED = {GELU: "Gelu", GELU_TANH: "FastGelu"}


def fuse_layers(source: Path, target: Path) -> None:
    """Attention and GELU as ONNX Runtime's operators, for a GPU before float16. GELU stays what it is, exact or by tanh."""
    import onnx

    model = onnx.load(source)
    lower_functions(model, for_kernels=True)
    save_beside(model, source, target)


def lower_functions(model: Any, *, for_kernels: bool = False) -> None:
    """Write every call of our functions in an onnx.ModelProto as a node of ONNX Runtime's, in place.

    Attention becomes MultiHeadAttention of (batch, sequence, width), and the nodes around it that split heads and join them go.

    Args:
        for_kernels: as ONNX Runtime's kernels take it. Otherwise it also says its `head_size`, and its bias may be
            (batch, 1, 1, sequence), which they do not take.
    """
    graph = GraphWriter(model)
    heads = _Heads(graph)
    for node in graph.take_nodes():
        if node.domain == DOMAIN and node.op_type == ATTENTION:
            heads.write(node, for_kernels=for_kernels)
        elif node.domain == DOMAIN:
            graph.node(_FUSED[node.op_type], list(node.input), node.output[0], domain=MICROSOFT)
        elif not graph.is_written(node.output[0]):
            graph.append(node)
    graph.finish()
    del model.functions[:]
    for entry in model.opset_import:
        if entry.domain == DOMAIN:
            entry.domain = MICROSOFT


class _Heads:
    """Writes calls of Attention, whose tensors are split into heads, as an operator that splits them itself."""

    def __init__(self, graph: GraphWriter) -> None:
        self._graph = graph
        self._makers = makers(graph.model.graph)
        self._readers = readers(graph.model.graph)

    def write(self, node: Any, *, for_kernels: bool) -> None:
        graph, (*split, bias), mixed = self._graph, node.input, node.output[0]
        inputs = [self._joined(name) for name in split]
        chosen = {name: attribute(node, name, 0) for name in ("num_heads", "scale", "head_size")}
        if for_kernels:
            bias = self._for_each_query(bias, inputs[0])
            del chosen["head_size"]
        out = self._rejoined(mixed)
        given = [*inputs, "", "", bias]
        graph.node("MultiHeadAttention", given, out or f"{mixed}/joined", domain=MICROSOFT, **chosen)
        if not out:
            sizes = graph.constant(np.array([0, 0, chosen["num_heads"], -1], np.int64))
            graph.node("Reshape", [f"{mixed}/joined", sizes], f"{mixed}/split")
            graph.node("Transpose", [f"{mixed}/split"], mixed, perm=_SWAP)

    def _joined(self, name: str) -> str:
        """What is split into the heads of `name`, (batch, sequence, width)."""
        swap = self._makers.get(name)
        split = self._makers.get(swap.input[0]) if swap is not None and _is_swap(swap) else None
        if split is not None and split.op_type == "Reshape":
            return str(split.input[0])
        graph = self._graph
        turned = graph.node_once("Transpose", [name], f"{name}/turned", perm=_SWAP)
        return graph.node_once("Reshape", [turned, graph.constant(np.array([0, 0, -1], np.int64))], f"{name}/joined")

    def _rejoined(self, name: str) -> str:
        """What the heads of `name` are joined to where nothing else reads them, (batch, sequence, width); else ""."""
        swaps = self._readers[name]
        joins = self._readers[swaps[0].output[0]] if len(swaps) == 1 and _is_swap(swaps[0]) else []
        return str(joins[0].output[0]) if len(joins) == 1 and joins[0].op_type == "Reshape" else ""

    def _for_each_query(self, bias: str, query: str) -> str:
        graph, one = self._graph, self._graph.constant(np.array([1], np.int64))
        length = graph.node_once("Shape", [query], f"{query}/length", start=1, end=2)
        shape = graph.node_once("Concat", [one, one, length, one], f"{bias}/shape", axis=0)
        return graph.node_once("Expand", [bias, shape], f"{bias}/full")


def _is_swap(node: Any) -> bool:
    return bool(node.op_type == "Transpose" and attribute(node, "perm", []) == _SWAP)
