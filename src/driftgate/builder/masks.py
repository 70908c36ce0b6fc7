"""Attention masks that an export spreads over all queries, though each query has the same."""

from collections import defaultdict
from typing import Any

from driftgate.builder.functions import ATTENTION, DOMAIN

_ELEMENTWISE = frozenset({"Add", "And", "Cast", "Equal", "Identity", "Mul", "Not", "Or", "Sub", "Where"})


def narrow_masks(graph: Any) -> None:
    """Take out each Expand that only attention's masks are computed from, in a GraphProto of an export.

    (batch, 1, 1, sequence) is added to scores of (batch, heads, sequence, sequence) as well as (batch, 1, sequence, sequence) is,
    and costs less; what is elementwise on the way does not mind either. transformers 4.57 spreads its masks.
    """
    readers: defaultdict[str, list[tuple[Any, int]]] = defaultdict(list)
    for node in graph.node:
        for index, name in enumerate(node.input):
            readers[name].append((node, index))
    outputs = {value.name for value in graph.output}

    def only_masks(name: str) -> bool:
        return name not in outputs and all(
            (node.domain, node.op_type, index) == (DOMAIN, ATTENTION, 3)
            or (not node.domain and node.op_type in _ELEMENTWISE and only_masks(node.output[0]))
            for node, index in readers[name]
        )

    spread = [node for node in graph.node if node.op_type == "Expand" and only_masks(node.output[0])]
    for node in spread:
        for reader, index in readers[node.output[0]]:
            reader.input[index] = node.input[0]
        graph.node.remove(node)
