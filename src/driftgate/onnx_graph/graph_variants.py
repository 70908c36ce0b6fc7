"""Variants of a graph: parts of it alone, inner tensors as outputs, and products put back into float."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.onnx_graph.graph import find_needed
from driftgate.onnx_graph.product_sites import ProductSite

_PRODUCTS = frozenset({"MatMul", "Gemm"})
_REPLACED = "/replaced"


def with_outputs(model: Any, names: Iterable[str]) -> Any:
    """A copy of an onnx.ModelProto that also gives these inner tensors, after its own outputs."""
    from onnx import ValueInfoProto

    copied = _copy(model)
    given = {value.name for value in (*copied.graph.output, *copied.graph.input)}
    for name in dict.fromkeys(names):
        if name not in given:
            copied.graph.output.append(ValueInfoProto(name=name))
    return copied


def cut_out(model: Any, outputs: Sequence[str], inputs: Mapping[str, tuple[int, int]]) -> Any:
    """An onnx.ModelProto of what computes these tensors, from others or from constants alone.

    Args:
        inputs: the element type, as TensorProto numbers them, and the rank of each tensor that is given instead of computed.
    """
    from onnx import ValueInfoProto, helper

    graph = model.graph
    nodes, names = find_needed(graph.node, outputs, inputs)
    weights = [tensor for tensor in graph.initializer if tensor.name in names]
    given = [value for value in graph.input if value.name in names]
    given += [helper.make_tensor_value_info(name, kind, [None] * rank) for name, (kind, rank) in inputs.items()]
    part = helper.make_graph(nodes, "part", given, [ValueInfoProto(name=name) for name in outputs], weights)
    return helper.make_model(
        part, opset_imports=model.opset_import, ir_version=model.ir_version, functions=model.functions
    )


def put_into_float(model: Any, weights: Mapping[ProductSite, NDArray[np.float32]]) -> Any:
    """A copy of an onnx.ModelProto in which these products multiply in float32, by the weights given.

    Args:
        weights: float32, (inputs, outputs) of each product, (entries, width) of each table.
    """
    from onnx import numpy_helper

    copied = _copy(model)
    replaced = {}
    for number, (site, value) in enumerate(weights.items()):
        name = f"driftgate_float_weight_{number}"
        copied.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        replaced[site.output] = _float_nodes(site, name)
    unrounded = {site.rounded: site.inputs for site in weights if site.rounded}
    nodes = []
    for node in copied.graph.node:
        if node.op_type not in _PRODUCTS:  # a residual connection reads what was rounded for the product
            node.input[:] = [unrounded.get(name, name) for name in node.input]
        written = list(node.output)
        node.output[:] = [name + _REPLACED if name in replaced else name for name in written]
        nodes += [node, *(added for name in written for added in replaced.get(name, ()))]
    needed, _ = find_needed(nodes, [value.name for value in copied.graph.output])
    del copied.graph.node[:]
    copied.graph.node.extend(needed)
    return copied


def _float_nodes(site: ProductSite, weight: str) -> list[Any]:
    from onnx import TensorProto, helper

    nodes: list[Any] = []

    def write(operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"{site.output}/{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    if site.table:
        found = write("Gather", weight, site.inputs, axis=0)
    else:
        found = write("Cast", site.inputs, to=TensorProto.FLOAT) if site.half else site.inputs
        found = write("MatMul", found, weight)
    if site.half:
        found = write("Cast", found, to=TensorProto.FLOAT16)
    if site.bias:
        write("Add", found, site.bias)
    nodes[-1].output[0] = site.output
    return nodes


def _copy(model: Any) -> Any:
    copied = type(model)()
    copied.CopyFrom(model)
    return copied
