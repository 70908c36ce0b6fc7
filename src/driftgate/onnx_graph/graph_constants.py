"""The constants of an ONNX graph: types, bytes, what is stored twice, what is converted when the graph runs."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from driftgate.errors import ArtifactError
from driftgate.onnx_graph.graph_walk import Site, attributes

_PACKED_BITS = {"int2": 2, "int4": 4, "float4e2m1": 4}
"""Types of which several are stored in a byte, unsigned ones included; NumPy has a byte for each."""


def type_name(data_type: int) -> str:
    """ONNX's element type by NumPy's name: "float32", "int8".

    Raises:
        ArtifactError: no type of this number is known.
    """
    import onnx

    try:
        name = str(onnx.TensorProto.DataType.Name(data_type)).lower()
    except ValueError as error:
        raise ArtifactError(
            f"a graph has values of element type {data_type}, which onnx {onnx.__version__} does not know; export the model "
            "again, or install a newer onnx"
        ) from error
    return {"float": "float32", "double": "float64"}.get(name, name)


def find_requantized(sites: Sequence[Site]) -> tuple[str, ...]:
    """Names of the constant matrices that a quantizer reads when the graph runs."""
    quantizers = [site for site in sites if site.node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear")]
    weights = (site.constant(site.node.input[0]) for site in quantizers)
    return tuple(sorted({_name(weight) for weight in weights if weight is not None and len(weight.dims) > 1}))


def _name(tensor: Any) -> str:
    return tensor.name or "a Constant node's"


def _bytes(tensor: Any) -> int:
    from onnx import helper

    elements = int(math.prod(tensor.dims))
    bits = _PACKED_BITS.get(type_name(tensor.data_type).removeprefix("u"))
    if bits:
        return (elements * bits + 7) // 8
    return int(elements * helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)


def count_bytes(constants: Sequence[Any]) -> dict[str, int]:
    """Bytes of TensorProtos by type, from their shapes: external data is not read."""
    sizes: Counter[str] = Counter()
    for tensor in constants:
        sizes[type_name(tensor.data_type)] += _bytes(tensor)
    return dict(sorted(sizes.items()))


def count_duplicate_bytes(constants: Sequence[Any], folder: Path) -> int:
    """Bytes of TensorProtos that another one of the same type, shape and bytes has too. `folder` holds external data.

    Raises:
        ArtifactError: external data that cannot be read.
    """
    from onnx import TensorProto

    alike: defaultdict[tuple[int, ...], list[Any]] = defaultdict(list)
    for tensor in constants:
        if tensor.data_type != TensorProto.STRING:  # has no bytes of its own
            alike[tensor.data_type, *tensor.dims].append(tensor)
    return sum(
        _bytes(tensors[0]) * (len(tensors) - len({_digest(tensor, folder) for tensor in tensors}))
        for tensors in alike.values()
        if len(tensors) > 1
    )


def _digest(tensor: Any, folder: Path) -> bytes:
    from onnx import numpy_helper
    from onnx.checker import ValidationError

    copied = type(tensor)()
    copied.CopyFrom(tensor)  # external data is loaded into the tensor it is asked of, and would stay
    try:
        content = numpy_helper.to_array(copied, str(folder)).tobytes()
    except (OSError, ValueError, ValidationError) as error:
        raise ArtifactError(
            f"{folder}: the external data of {tensor.name!r} cannot be read ({error}); keep the model's files together"
        ) from error
    return hashlib.sha256(content).digest()


def find_float64(sites: Sequence[Site], constants: Sequence[Any]) -> tuple[str, ...]:
    """Names of the float64 constants, and of the Cast nodes that make more."""
    from onnx import TensorProto

    casts = {
        site.node.name or site.node.output[0]
        for site in sites
        if site.node.op_type == "Cast" and attributes(site.node)["to"] == TensorProto.DOUBLE
    }
    return tuple(sorted(casts | {_name(tensor) for tensor in constants if tensor.data_type == TensorProto.DOUBLE}))
