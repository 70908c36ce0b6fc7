"""Names in an exported graph that say which module of the encoder a node is of."""

import ast
from collections import Counter
from typing import Any

from driftgate.onnx_graph.functions import ATTENTION, DOMAIN

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
    readers: dict[str, str] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, node.name)
    renamed = {
        tensor.name: f"{readers[tensor.name]}/{tensor.name}"
        for tensor in graph.initializer
        if tensor.name.startswith("val_") and tensor.name in readers
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
