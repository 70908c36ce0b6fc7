"""Reading an ONNX file: the facts that locks hold, and those that only a doctor asks for."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.backends import Precision
from driftgate.builder.artifact import model_files
from driftgate.doctor.model_facts import FloatMatrix, Graph, GraphContent, IntegerWeights
from driftgate.errors import ArtifactError, UnsafeFileError
from driftgate.onnx_graph.graph import makers
from driftgate.onnx_graph.graph_facts import EncoderShape, read_graph_facts
from driftgate.onnx_graph.graph_precision import infer_precision, read_block_products
from driftgate.onnx_graph.graph_walk import Site, attributes, list_constants, walk
from driftgate.onnx_graph.onnx_file import find_external, read_model

UNKNOWN_SHAPE = EncoderShape(layers=None, heads=None, hidden_size=None, parameter_bytes=None)

_LOOK_UPS = {"Gather": (0,), "EmbedLayerNormalization": (2, 3, 4)}
_UINT8_MAX = 255


def read_graph(model: Path, file: str, shape: EncoderShape, refused: str | None) -> Graph:
    """What is in an ONNX file; it is not loaded into a session here.

    Args:
        file: what reports call it.
        shape: of the encoder it is of.
        refused: why driftgate cannot use it.
    """
    try:
        content = read_content(model, shape)
        size = sum(path.stat().st_size for path in model_files(model))
    except (ArtifactError, UnsafeFileError) as error:
        return Graph(file, model.stat().st_size, error=str(error))
    return Graph(file, size, content=content, refused=refused)


def read_content(model: Path, shape: EncoderShape) -> GraphContent:
    """What is in an ONNX file.

    Raises:
        ArtifactError, UnsafeFileError: not an ONNX file, or external data that is missing or lies elsewhere.
    """
    loaded = read_model(model)
    external = find_external(model, loaded)  # before anything reads from them
    facts = read_graph_facts(model, shape)
    sites, constants = list(walk(loaded.graph)), list_constants(loaded.graph)
    last = makers(loaded.graph).get(loaded.graph.output[0].name)
    return GraphContent(
        ir_version=loaded.ir_version,
        precision=_precision(loaded),
        facts=facts,
        integers=_read_integers(sites, model.parent),
        float_matrices=_find_float_matrices(sites),
        hidden_constants=sum(
            site.node.op_type == "Identity" and site.node.input[0] in site.constants for site in sites
        ),
        casts=sum(_is_float_cast(site.node) for site in sites),
        non_finite=tuple(sorted(tensor.name for tensor in constants if not _is_finite(tensor, model.parent))),
        last_operator="" if last is None else last.op_type,
        external=external,
        block_products=read_block_products(model) if facts.block_multiply_adds else None,
    )


def _precision(model: Any) -> Precision | None:
    try:
        return infer_precision(model)
    except ArtifactError:  # fewer bits than any class has
        return None


def _is_float_cast(node: Any) -> bool:
    from onnx import TensorProto

    return node.op_type == "Cast" and attributes(node)["to"] in (TensorProto.FLOAT, TensorProto.FLOAT16)


def _is_finite(tensor: Any, folder: Path) -> bool:
    """NaN is never right. Infinity is in a mask's single value, but not in a matrix or a bias."""
    from onnx import TensorProto

    if tensor.data_type not in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE):
        return True
    values = _array(tensor, folder)
    return bool(np.isfinite(values).all() if values.size > 1 else not np.isnan(values).any())


def _array(tensor: Any, folder: Path) -> Any:
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL:
        copied = type(tensor)()
        copied.CopyFrom(tensor)  # external data is loaded into the tensor it is asked of, and would stay
        tensor = copied
    return numpy_helper.to_array(tensor, str(folder))


def _read_integers(sites: Sequence[Site], folder: Path) -> IntegerWeights:
    from onnx import TensorProto

    weights: dict[int, tuple[Any, bool]] = {}
    for site in sites:
        weight = site.weight(site.node) if site.is_integer(site.node) else None
        if weight is not None:
            weights[id(weight)] = weight, bool(attributes(site.node).get("transB", 0))
    signed = [entry for entry in weights.values() if entry[0].data_type == TensorProto.INT8]
    counts = [count_overflowing_pairs(_array(tensor, folder), transposed=transposed) for tensor, transposed in signed]
    return IntegerWeights(
        signed=len(signed),
        unsigned=sum(tensor.data_type == TensorProto.UINT8 for tensor, _ in weights.values()),
        pairs=sum(pairs for pairs, _ in counts),
        overflowing_pairs=sum(overflowing for _, overflowing in counts),
    )


def count_overflowing_pairs(weight: Any, *, transposed: bool = False) -> tuple[int, int]:
    """Pairs of neighbouring weights, and those that VPMADDUBSW can overflow: 255 times both leaves 16 bits.

    Processors without VNNI sum the products of two neighbours in 16 bits, and what does not fit is cut off.

    Args:
        weight: int8, (inputs, outputs), or (outputs, inputs) where `transposed`; other shapes have no pairs here.
    """
    if weight.ndim != 2:  # noqa: PLR2004 - a matrix
        return 0, 0
    rows = (weight.T if transposed else weight).astype(np.int32)
    even = len(rows) // 2 * 2
    first, second = rows[0:even:2], rows[1:even:2]
    # Activations are free: the most is reached where those before weights of the other sign are 0.
    most = _UINT8_MAX * (np.maximum(first, 0) + np.maximum(second, 0))
    least = _UINT8_MAX * (np.minimum(first, 0) + np.minimum(second, 0))
    limits = np.iinfo(np.int16)
    return first.size, int(((most > limits.max) | (least < limits.min)).sum())


def _find_float_matrices(sites: Sequence[Site]) -> tuple[FloatMatrix, ...]:
    from onnx import TensorProto

    found = {
        id(tensor): FloatMatrix(tensor.name, 4 * math.prod(tensor.dims), table)
        for site in sites
        for tensor, table in _read_matrices(site)
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) > 1
    }
    return tuple(sorted(found.values(), key=lambda matrix: -matrix.size_bytes))


def _read_matrices(site: Site) -> Iterator[tuple[Any, bool]]:
    """The constants that a node multiplies with or looks up in; and whether it looks up."""
    weight = site.weight(site.node)
    if weight is not None:
        yield weight, False
    for index in _LOOK_UPS.get(site.node.op_type, ()):
        table = site.constant(site.node.input[index]) if index < len(site.node.input) else None
        if table is not None:
            yield table, True
