"""Float16 weights and arithmetic."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from driftgate.builder.calibration_texts import Calibration, measure_ranges
from driftgate.onnx_graph.functions import load_inlined
from driftgate.onnx_graph.graph import attribute, makers, refuse_quantized, save_beside

_LARGEST = 65504 / 2
"""Half of float16's greatest value: other texts go further than the ones that were watched."""

_WATCHED_BATCHES = 12
"""Of the calibration texts; of the embedded ones, they are 27 of 256 rows. What is large in an encoder is so in every text, and
all batches take six times as long (`studies/export/README.md`)."""

_INFINITE = 1e30
"""Values beyond this stand for minus infinity in attention masks; float16's own least value does as well."""


def convert_float16(
    source: Path, target: Path, calibration: Calibration, *, shape_inference: bool = True
) -> Mapping[str, Any]:
    """Float16 weights and arithmetic, float32 inputs and outputs.

    What float16 cannot hold stays float32: weights, and nodes whose inputs or outputs go beyond half its range on some of the
    calibration rows. So does what ends as an index: a relative position rounded into the next bucket (DeBERTa-v2, MPNet) is
    another position, and no small drift.

    Args:
        shape_inference: False to believe ONNX Runtime about which tensors are floats, and to know no shapes.

    Returns:
        the names of the nodes that were kept for their range, and the rows that were watched.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model, light = load_inlined(source), load_inlined(source, weights=False)
    refuse_quantized(model, source)
    inferred = list(onnx.shape_inference.infer_shapes(light).graph.value_info) if shape_inference else []
    watched = calibration.take(_WATCHED_BATCHES)
    ranges = measure_ranges(light, source.parent, watched, inferred)
    beyond = _beyond_range(model.graph, ranges)
    kept = sorted({*_index_arithmetic(model.graph), *beyond})
    del model.graph.value_info[:]
    model.graph.value_info.extend(inferred or _float_types(model.graph, ranges))
    converted = OnnxModel(
        convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True, node_block_list=kept)
    )
    _cast_once(converted.model.graph)
    _join_float32(converted.model.graph, kept)
    converted.prune_graph()
    converted.topological_sort()  # casts were put at the end
    save_beside(converted.model, source, target)
    return {"kept in float32 for their range": beyond, "calibration": calibration.describe(watched.rows)}


def _float_types(graph: Any, names: Iterable[str]) -> list[Any]:
    """Of tensors inside the graph; its outputs say theirs themselves."""
    from onnx import TensorProto, helper

    outputs = {value.name for value in graph.output}
    return [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names if name not in outputs]


def _cast_once(graph: Any) -> None:
    """The converter casts a tensor again, under the same name, for every node that stays float32 and reads it."""
    written: set[str] = set()
    repeated = []
    for node in graph.node:
        if written & set(node.output):
            repeated.append(node)
        written.update(node.output)
    for node in repeated:
        graph.node.remove(node)


def _join_float32(graph: Any, kept: Collection[str]) -> None:
    """Between neighbours that stay float32 the converter goes through float16, and what is beyond its range is lost there."""
    from onnx import TensorProto

    producers = makers(graph)
    joined = {}
    for node in graph.node:
        before = producers.get(node.input[0]) if _is_cast(node, TensorProto.FLOAT) else None
        if before is None or not _is_cast(before, TensorProto.FLOAT16):
            continue
        source = producers.get(before.input[0])
        if source is not None and source.name in kept:
            joined[node.output[0]] = before.input[0]
    for node in graph.node:
        node.input[:] = [joined.get(name, name) for name in node.input]


def _is_cast(node: Any, to: int) -> bool:
    return bool(node.op_type == "Cast" and attribute(node, "to", 0) == to)


def _beyond_range(graph: Any, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Names of the nodes that read or write what float16 cannot hold."""
    largest = {name: max(-low, high) for name, (low, high) in ranges.items()}
    largest |= _largest_weights(graph)
    beyond = {name for name, value in largest.items() if _LARGEST < value < _INFINITE}
    return sorted(node.name for node in graph.node if beyond & {*node.input, *node.output})


def _largest_weights(graph: Any) -> dict[str, float]:
    import numpy as np
    from onnx import TensorProto, numpy_helper

    weights = (tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT)
    return {tensor.name: float(np.abs(numpy_helper.to_array(tensor)).max(initial=0)) for tensor in weights}


def _index_arithmetic(graph: Any) -> list[str]:
    """Names of the nodes between integers and what is made an integer again."""
    from onnx import TensorProto

    producers = makers(graph)
    found: set[str] = set()
    pending = [
        node.input[0]
        for node in graph.node
        if node.op_type == "Cast" and node.attribute[0].i in {TensorProto.INT32, TensorProto.INT64}
    ]
    while pending:
        node = producers.get(pending.pop())
        if node is None or node.name in found or node.op_type == "Shape":  # a shape does not depend on values
            continue
        found.add(node.name)
        if node.op_type != "Cast":  # beyond it are integers
            pending.extend(node.input)
    return sorted(found)
