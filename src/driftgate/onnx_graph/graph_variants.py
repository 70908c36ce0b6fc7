"""Variants of a graph: parts of it alone, inner tensors as outputs, and products put back into float."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.onnx_graph.graph import makers
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


def cut_out(model: Any, output: str, inputs: Mapping[str, tuple[int, int]]) -> Any:
    """An onnx.ModelProto of what computes one tensor, from others or from constants alone.

    Args:
        inputs: the element type, as TensorProto numbers them, and the rank of each tensor that is given instead of computed.
    """
    from onnx import ValueInfoProto, helper

    graph = model.graph
    making = makers(graph)
    nodes: dict[str, Any] = {}
    pending = [output]
    seen = {*inputs, output, *(value.name for value in graph.input)}
    while pending:
        maker = making.get(pending.pop())
        if maker is None or maker.output[0] in nodes:
            continue
        nodes[maker.output[0]] = maker
        pending.extend(name for name in maker.input if name not in seen)
        seen.update(maker.input)
    in_order = [node for node in graph.node if node.output and node.output[0] in nodes]
    read = {output, *(name for node in in_order for name in node.input)}
    weights = [tensor for tensor in graph.initializer if tensor.name in read]
    given = [value for value in graph.input if value.name in read and value.name not in inputs]
    given += [helper.make_tensor_value_info(name, kind, [None] * rank) for name, (kind, rank) in inputs.items()]
    part = helper.make_graph(in_order, "part", given, [ValueInfoProto(name=output)], weights)
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
    places = {site.output: site for site in weights}
    names = {}
    for number, (site, value) in enumerate(weights.items()):
        names[site] = f"driftgate_float_weight_{number}"
        copied.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), names[site]))
    unrounded = {site.rounded: site.inputs for site in weights if site.rounded}
    nodes = []
    for node in copied.graph.node:
        if node.op_type not in _PRODUCTS:  # a residual connection reads what was rounded for the product
            node.input[:] = [unrounded.get(name, name) for name in node.input]
        written = [name for name in node.output if name in places]
        for name in written:
            node.output[list(node.output).index(name)] = name + _REPLACED
        nodes.append(node)
        for name in written:
            nodes.extend(_float_nodes(places[name], names[places[name]]))
    kept = _reached(nodes, [value.name for value in copied.graph.output])
    del copied.graph.node[:]
    copied.graph.node.extend(kept)
    return copied


def _float_nodes(site: ProductSite, weight: str) -> Sequence[Any]:
    from onnx import TensorProto, helper

    inputs, output = site.inputs, site.output
    if site.table:
        looked_up = f"{output}/float32" if site.half else output
        nodes = [helper.make_node("Gather", [weight, inputs], [looked_up], axis=0)]
        return [
            *nodes,
            *([helper.make_node("Cast", [looked_up], [output], to=TensorProto.FLOAT16)] if site.half else []),
        ]
    nodes = []
    if site.half:
        inputs = f"{output}/float32_inputs"
        nodes.append(helper.make_node("Cast", [site.inputs], [inputs], to=TensorProto.FLOAT))
    product = f"{output}/float32" if site.half or site.bias else output
    nodes.append(helper.make_node("MatMul", [inputs, weight], [product]))
    if site.half:
        cast = f"{output}/float16" if site.bias else output
        nodes.append(helper.make_node("Cast", [product], [cast], to=TensorProto.FLOAT16))
        product = cast
    if site.bias:
        nodes.append(helper.make_node("Add", [product, site.bias], [output]))
    return nodes


def _reached(nodes: Sequence[Any], outputs: Iterable[str]) -> list[Any]:
    """The nodes that the outputs need, in order."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]


def _copy(model: Any) -> Any:
    copied = type(model)()
    copied.CopyFrom(model)
    return copied
