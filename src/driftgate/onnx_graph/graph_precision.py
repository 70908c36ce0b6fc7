"""The precision class of an ONNX graph, read from what it does; its name says nothing here."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.backends import Precision
from driftgate.errors import ArtifactError
from driftgate.onnx_graph.graph import attribute
from driftgate.onnx_graph.graph_constants import type_name
from driftgate.onnx_graph.graph_walk import BLOCK_PRODUCTS, Site, attributes, inline_functions, list_constants, walk
from driftgate.onnx_graph.onnx_file import read_model

_BITS_UNLESS_SAID = 4
_PACKED_TYPES = frozenset({"int2", "int4"})
_INTEGER_LEVEL = 4
"""The `accuracy_level` at which ONNX Runtime rounds activations to int8, block by block, and multiplies integers (on a CPU)."""


@dataclass(frozen=True, slots=True)
class BlockProducts:
    """How the products of a graph with such weights are to be computed.

    Args:
        in_integers: some of integers, with activations rounded to int8, where the CPU has kernels for that.
        in_float16: the graph's other weights are float16, and so are the activations.
    """

    in_integers: bool
    in_float16: bool


def block_format(node: Any, stored: Any) -> str | None:
    """The format in which a node's constant is stored: "int2", "int4", "int8", "nf4" or "fp4"; None where it is in no blocks.

    Args:
        stored: the TensorProto that the node multiplies with, looks up in or dequantizes; None where it is computed.
    """
    given = attributes(node)
    if node.op_type == "MatMulBnb4":
        return "nf4" if given.get("quant_type") else "fp4"
    kind = type_name(stored.data_type).removeprefix("u") if stored is not None else ""
    if kind in _PACKED_TYPES:
        return kind
    if node.op_type in ("MatMulNBits", "GatherBlockQuantized"):  # packed into bytes
        return f"int{given.get('bits', _BITS_UNLESS_SAID)}"
    return None


def _format_at(site: Site) -> str | None:
    """The format of what a node multiplies with, looks up in or dequantizes."""
    node = site.node
    if node.op_type in BLOCK_PRODUCTS:
        return block_format(node, site.weight(node))
    in_blocks = node.op_type in ("DequantizeLinear", "GatherBlockQuantized")
    return block_format(node, site.constant(node.input[0])) if in_blocks else None


def read_block_products(model: Path) -> BlockProducts:
    """How the products of an ONNX file with weights in blocks are computed. External data is not read."""
    import onnx

    graph = inline_functions(read_model(model)).graph
    return BlockProducts(
        in_integers=any(_is_integer(site) for site in walk(graph)),
        in_float16=any(
            tensor.data_type == onnx.TensorProto.FLOAT16 and tensor.dims for tensor in list_constants(graph)
        ),
    )


def _is_integer(site: Site) -> bool:
    if site.node.op_type == "MatMulNBits":
        return bool(attributes(site.node).get("accuracy_level") == _INTEGER_LEVEL)
    # Loading the file makes such a product a MatMulNBits of that level (session.qdq_matmulnbits_accuracy_level, 4 unless set).
    dequantized = site.node.op_type == "MatMul" and block_format(site.node, site.weight(site.node)) is not None
    return dequantized or site.is_integer(site.node)


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
    in_blocks = _class_of_blocks({kind for site in sites if (kind := _format_at(site))})
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
