"""The precision class of an ONNX graph, read from what it does; its name says nothing here."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from driftgate.backends import Precision
from driftgate.errors import ArtifactError
from driftgate.onnx_graph.graph import attribute
from driftgate.onnx_graph.graph_blocks import find_block_formats
from driftgate.onnx_graph.graph_walk import Site, inline_functions, list_constants, walk

_INTEGER_PRODUCTS = frozenset({"MatMulInteger", "MatMulIntegerToFloat"})
_DYNAMIC_INT8_OPS = _INTEGER_PRODUCTS | frozenset(
    {
        "DynamicQuantizeLinear",
        "DynamicQuantizeMatMul",
        "QAttention",
        "QEmbedLayerNormalization",
    }
)
_BLOCK_CLASSES: Mapping[str, Precision] = {
    "int4": Precision.INT4_BLOCKWISE,
    "nf4": Precision.FLOAT4_BLOCKWISE,
    "fp4": Precision.FLOAT4_BLOCKWISE,
}
"""By format of the weights. Of several in one graph, the first counts: bounds for it allow most."""


def infer_precision(model: Any) -> Precision:
    """The class of arithmetic that an onnx.ModelProto does, from the operators and weights of its graph, subgraphs and functions.

    Where a graph mixes several, its coarsest weights decide: 4-bit integers before 4-bit floats, any weights of 4 bits before
    INT8, dynamic INT8 before static, INT8 before floats. Weights alone in 8 bits count as static: nothing about them depends on
    the batch.

    Raises:
        ArtifactError: weights in blocks, of a number of bits for which there is no class and hence no bound.
    """
    graph = inline_functions(model).graph
    sites = list(walk(graph))
    in_blocks = _class_of_blocks(find_block_formats(sites))
    if in_blocks is not None:
        return in_blocks
    operators = {site.node.op_type for site in sites}
    if _is_rowwise(sites, operators):
        return Precision.INT8_ROWWISE
    if operators & _DYNAMIC_INT8_OPS:
        return Precision.INT8_DYNAMIC
    if operators & {"QuantizeLinear", "DequantizeLinear"}:
        return Precision.INT8_STATIC
    return _class_of_floats(graph)


def _class_of_blocks(formats: set[str]) -> Precision | None:
    """None for a graph without weights in blocks.

    Raises:
        ArtifactError: fewer than 4 bits, or 8 bits only.
    """
    known = [precision for kind, precision in _BLOCK_CLASSES.items() if kind in formats]
    others = sorted(formats - _BLOCK_CLASSES.keys())
    if "int2" in formats or (others and not known):
        bits = " and ".join(kind.removeprefix("int") for kind in others)
        raise ArtifactError(
            f"the graph has weights of {bits} bits, quantized in blocks (MatMulNBits); there are bounds for 4 bits only: "
            "take a file with 4-bit weights (q4, q4f16, bnb4), or one with INT8 products"
        )
    return known[0] if known else None


def _class_of_floats(graph: Any) -> Precision:
    import onnx

    elements = {onnx.TensorProto.FLOAT: 0, onnx.TensorProto.FLOAT16: 0}
    for tensor in list_constants(graph):
        if tensor.data_type in elements:
            elements[tensor.data_type] += math.prod(tensor.dims)
    half = elements[onnx.TensorProto.FLOAT16] > elements[onnx.TensorProto.FLOAT]
    return Precision.FP16 if half else Precision.FP32


def _is_rowwise(sites: Sequence[Site], operators: set[str]) -> bool:
    """Whether every integer product reads rows that were each scaled on their own, at run time."""
    if operators & (_DYNAMIC_INT8_OPS - _INTEGER_PRODUCTS):
        return False
    read = [(site, site.makers.get(site.node.input[0])) for site in sites if site.node.op_type in _INTEGER_PRODUCTS]
    return bool(read) and all(
        maker is not None
        and maker.op_type == "QuantizeLinear"
        and maker.input[1] not in site.constants
        and attribute(maker, "axis", 1) == 0
        for site, maker in read
    )
