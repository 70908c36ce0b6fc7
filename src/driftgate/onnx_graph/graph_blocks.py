"""Weights quantized in blocks, each with a scale of its own: their format, and in what type products with them are computed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


def find_block_formats(sites: Iterable[Site]) -> set[str]:
    """The formats of all constants that are quantized in blocks; empty where none is."""
    found = {block_format(site.node, stored) for site in sites for stored in _stored(site)}
    return {kind for kind in found if kind is not None}


def _stored(site: Site) -> list[Any]:
    """What a node multiplies with, looks up in or dequantizes."""
    node = site.node
    if node.op_type in BLOCK_PRODUCTS:
        return [site.weight(node)]
    return [site.constant(node.input[0])] if node.op_type in ("DequantizeLinear", "GatherBlockQuantized") else []


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
