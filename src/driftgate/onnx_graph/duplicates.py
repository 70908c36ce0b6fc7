"""Weights that a graph holds more than once, as ALBERT's shared layers become in some exports, are stored once."""

from typing import Any

from driftgate.onnx_graph.graph import keep_initializers
from driftgate.onnx_graph.graph_walk import bodies


def merge_duplicates(model: Any) -> int:
    """Let every reader of equal initializers read one of them; how many were taken out.

    Equal means the same element type, shape and bytes: the same bytes of another shape or type are another tensor, and close
    is not equal. Graph outputs, and inputs with a default value, keep their names.

    Args:
        model: an onnx.ModelProto with its weights in memory; changed in place.
    """
    return sum(_merge(graph) for graph in _graphs(model.graph))


def _merge(graph: Any) -> int:
    from onnx import TensorProto, numpy_helper

    public = {value.name for value in (*graph.input, *graph.output)}
    kept: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    renamed = {}
    for tensor in graph.initializer:
        if tensor.name in public or tensor.data_type == TensorProto.STRING:
            continue
        content = numpy_helper.to_array(tensor).tobytes()
        first = kept.setdefault((tensor.data_type, tuple(tensor.dims), content), tensor.name)
        if first != tensor.name:
            renamed[tensor.name] = first
    if renamed:
        _rename_reads(graph, renamed)
        keep_initializers(graph, {tensor.name for tensor in graph.initializer} - renamed.keys())
    return len(renamed)


def _rename_reads(graph: Any, renamed: dict[str, str]) -> None:
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        for body in bodies(node):  # a body reads names of the graph around it, unless it has its own of that name
            own = {tensor.name for tensor in body.initializer} | {value.name for value in body.input}
            own |= {name for inner in body.node for name in inner.output}
            _rename_reads(body, {name: first for name, first in renamed.items() if name not in own})


def _graphs(graph: Any) -> list[Any]:
    return [graph, *(inner for node in graph.node for body in bodies(node) for inner in _graphs(body))]
