"""What an exporter's graph is given before anything else: names that say what a node is of, and masks of one kind."""

import ast
from collections import Counter
from typing import Any

from driftgate.onnx_graph.functions import ATTENTION, DOMAIN
from driftgate.onnx_graph.graph import readers

AXES = ("batch_size", "sequence_length")

_SCOPES = "pkg.torch.onnx.name_scopes"


def name_nodes(model: Any) -> None:
    """Name every node of an onnx.ModelProto after its module, and constants that torch computed after their first reader's.

    Attention gets the bare name of its module (where layers share weights, the first of them), everything else the module's and
    its own. torch's notes about each node, from which the names are read, go: readers of old files do not know them.
    """
    graph, used = model.graph, Counter[str]()
    for node in graph.node:
        path = _module_of(node)
        whole = node.domain == DOMAIN and node.op_type == ATTENTION
        own = node.name.removeprefix("node_").strip("_")
        used[path] += whole
        if whole and path and used[path] == 1:
            node.name = path
        else:
            node.name = f"{path}/{own}" if path else own
    _name_constants(graph)
    _name_axes(graph)
    del graph.value_info[:]
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""


def _module_of(node: Any) -> str:
    """The path of the innermost module, such as "roberta.encoder.layer.0.attention.self"; "" where there is none."""
    noted = next((entry.value for entry in node.metadata_props if entry.key == _SCOPES), "[]")
    scopes = [scope for scope in ast.literal_eval(noted)[:-1] if not scope.startswith("_empty_nn_module")]
    return str(scopes[-1]) if scopes else ""


def _name_constants(graph: Any) -> None:
    reading = readers(graph)
    renamed = {
        tensor.name: f"{reading[tensor.name][0].name}/{tensor.name}"
        for tensor in graph.initializer
        if tensor.name.startswith("val_") and reading[tensor.name]
    }
    for tensor in graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]


def _name_axes(graph: Any) -> None:
    """torch calls them s43 and s53."""
    names = dict(zip((axis.dim_param for axis in graph.input[0].type.tensor_type.shape.dim), AXES, strict=True))
    for value in (*graph.input, *graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.HasField("dim_param"):
                axis.dim_param = names.get(axis.dim_param, axis.dim_param)


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
