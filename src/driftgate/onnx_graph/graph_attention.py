"""Attention in an ONNX graph: one fused node, or a Softmax over the product of queries and keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.onnx_graph import functions
from driftgate.onnx_graph.graph_walk import BLOCK_PRODUCTS, Site, attributes, is_product, weight_shape

_FUSED = frozenset(
    {
        "Attention",
        "GroupQueryAttention",
        "MultiHeadAttention",
        "PackedAttention",
        "PackedMultiHeadAttention",
        "QAttention",
        functions.ATTENTION,
    }
)


@dataclass(frozen=True, slots=True)
class AttentionFacts:
    """The attention nodes of a graph, and the different sizes read off them, ascending; empty where none can be read.

    Args:
        fused: nodes that are attention as a whole.
        unfused: Softmax nodes over the product of two computed tensors.
        heads: from `num_heads` or the shapes that heads are split into.
        head_sizes: likewise.
        widths: outputs of the query projection, all heads together: the hidden size.
    """

    fused: int
    unfused: int
    heads: tuple[int, ...]
    head_sizes: tuple[int, ...]
    widths: tuple[int, ...]


@dataclass(slots=True)
class _Read:
    fused: bool
    heads: int | None = None
    head_size: int | None = None
    width: int | None = None


def read_attention(sites: Sequence[Site], folder: Path) -> AttentionFacts:
    """Count attention in a graph and read its sizes. `folder` holds the external data."""
    found = [read for site in sites if (read := _read(site, folder)) is not None]
    fused = sum(read.fused for read in found)
    return AttentionFacts(
        fused,
        len(found) - fused,
        _distinct([read.heads for read in found]),
        _distinct([read.head_size for read in found]),
        _distinct([read.width for read in found]),
    )


def _distinct(sizes: Sequence[int | None]) -> tuple[int, ...]:
    return tuple(sorted({size for size in sizes if size is not None}))


def _read(site: Site, folder: Path) -> _Read | None:
    node = site.node
    if node.op_type in _FUSED:
        given = attributes(node)
        read = _Read(fused=True, heads=given.get("num_heads", given.get("q_num_heads")))
        weight = site.weight(node)
        if weight is None:
            _read_projection(site, node.input[0], folder, read)
        elif "qkv_hidden_sizes" not in given:  # the three projections side by side
            read.width = weight.dims[-1] // 3
        return read
    if node.op_type != "Softmax":
        return None
    read = _Read(fused=False)
    for maker in site.upstream(node.input[0]):
        if maker.op_type == "Reshape":  # (batch, heads, sequence, sequence)
            shape = site.dimensions(maker, folder)
            read.heads = read.heads or (shape[1] if len(shape) == 4 else None)  # noqa: PLR2004 - batch, heads, sequence, head size
        if is_product(maker) and site.weight(maker) is None:
            _read_projection(site, maker.input[0], folder, read)
            return read
    return None


def _read_projection(site: Site, name: str, folder: Path, read: _Read) -> None:
    """Sizes on the way from the query `name` back to the product that it comes from."""
    for maker in site.upstream(name):
        if maker.op_type == "Reshape":  # (batch, sequence, heads, size), or (sequence, batch * heads, size)
            shape = site.dimensions(maker, folder)
            if len(shape) == 4:  # noqa: PLR2004 - batch, heads, sequence, head size
                read.heads = read.heads or shape[2]
            if len(shape) in (3, 4):
                read.head_size = read.head_size or shape[-1]
        if is_product(maker):
            read.width = _width(site, maker)
            break
    if read.head_size == read.width:  # (batch, sequence, width): not split into heads yet
        read.head_size = None
    if read.heads is None and read.head_size and read.width:
        read.heads = read.width // read.head_size


def _width(site: Site, product: Any) -> int | None:
    """Outputs of a product with a constant matrix, where that can be told whichever way round the matrix is kept."""
    weight = site.weight(product)
    shape = () if weight is None else weight_shape(product, weight)
    if weight is None or len(shape) != 2:  # noqa: PLR2004 - a matrix
        return None
    rows, columns = shape
    if rows == columns or product.op_type in BLOCK_PRODUCTS:
        return int(columns)
    if weight.name not in product.input:
        return None
    return int(rows if attributes(product).get("transB") else columns)
