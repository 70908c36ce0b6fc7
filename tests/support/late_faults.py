"""ONNX graphs with a fault that only long inputs show."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper


def cut_inputs(source: Path, target: Path, tokens: int) -> Path:
    """Every input is cut at `tokens` tokens, as a tokenizer or an export for another limit would."""
    model = onnx.load(source)
    graph = model.graph
    constants = {"cut_start": 0, "cut_end": tokens, "cut_axis": 1}
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
    for value in graph.input:
        for node in graph.node:
            node.input[:] = [f"{name}_cut" if name == value.name else name for name in node.input]
    for value in graph.input:
        graph.node.insert(0, helper.make_node("Slice", [value.name, *constants], [f"{value.name}_cut"]))
    onnx.save(model, target)
    return target


def overwrite_late_positions(source: Path, target: Path, max_tokens: int, after: int) -> Path:
    """The rows of the position table behind position `after` become copies of those before, in reverse order.

    A table in INT8 may be two: its integers, and a scale for each row.
    """
    model = onnx.load(source)
    tables = [
        tensor for tensor in model.graph.initializer
        if "position_embeddings" in tensor.name and len(tensor.dims) == 2 and tensor.dims[0] >= max_tokens
    ]  # fmt: skip
    if not tables:
        raise ValueError("expected a position table, found none")
    for tensor in tables:
        table = numpy_helper.to_array(tensor).copy()
        offset = len(table) - max_tokens
        late = table[offset + after :]
        late[:] = table[offset : offset + after][::-1][: len(late)]
        tensor.CopyFrom(numpy_helper.from_array(table, tensor.name))
    onnx.save(model, target)
    return target
