"""Attention masks that an export spreads over all queries, though each query has the same."""

from typing import Any

from driftgate.onnx_graph.functions import ATTENTION, DOMAIN
from driftgate.onnx_graph.graph import readers

_ELEMENTWISE = frozenset({"Add", "And", "Cast", "Equal", "Identity", "Mul", "Not", "Or", "Sub", "Where"})


def narrow_masks(graph: Any) -> None:
    """Take out each Expand that only attention's masks are computed from, in a GraphProto of an export.

    (batch, 1, 1, sequence) is added to scores of (batch, heads, sequence, sequence) as well as (batch, 1, sequence, sequence) is,
    and costs less; what is elementwise on the way does not mind either. transformers 4.57 spreads its masks.
    """
    reading = readers(graph)
    outputs = {value.name for value in graph.output}

    def only_masks(name: str) -> bool:
        return name not in outputs and all(
            (node.domain, node.op_type, index) == (DOMAIN, ATTENTION, 3)
            or (not node.domain and node.op_type in _ELEMENTWISE and only_masks(node.output[0]))
            for node in reading[name]
            for index in _places(node, name)
        )

    spread = [node for node in graph.node if node.op_type == "Expand" and only_masks(node.output[0])]
    for node in spread:
        for reader in reading[node.output[0]]:
            for index in _places(reader, node.output[0]):
                reader.input[index] = node.input[0]
        graph.node.remove(node)


def _places(node: Any, name: str) -> list[int]:
    return [index for index, given in enumerate(node.input) if given == name]
