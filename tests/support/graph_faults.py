"""Faults in a float graph that a conversion could have put there, each in one named module."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from driftgate.onnx_graph.functions import GELU, GELU_TANH, define_functions

Change = Callable[[np.ndarray], np.ndarray]


def change_product(model: Any, path: str, change: Change) -> None:
    """Change the weight of the product of a module, (inputs, outputs)."""
    (node,) = (node for node in model.graph.node if node.op_type == "MatMul" and node.name.startswith(f"{path}/"))
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[1])
    weight.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(weight)).astype(np.float32), weight.name))


def wrong_scale(model: Any, layer: str, factor: float = 1.25) -> str:
    """The scale of one product; the module that is at fault."""
    change_product(model, f"{layer}.output.dense", lambda weight: weight * factor)
    return "feed-forward"


def four_bits(model: Any, layer: str) -> str:
    """The feed-forward products of a layer in 4 bits, with a scale for each output."""

    def rounded(weight: np.ndarray) -> np.ndarray:
        scale = np.abs(weight).max(axis=0) / 7
        return np.rint(weight / scale) * scale

    for product in ("intermediate.dense", "output.dense"):
        change_product(model, f"{layer}.{product}", rounded)
    return "feed-forward"


def dead_head(model: Any, layer: str, head: int = 0, size: int = 8) -> str:
    """One attention head whose values never arrive."""

    def silenced(weight: np.ndarray) -> np.ndarray:
        changed = weight.copy()
        changed[head * size : (head + 1) * size] = 0
        return changed

    change_product(model, f"{layer}.attention.output.dense", silenced)
    return "attention"


def other_gelu(model: Any, layer: str) -> str:
    """GELU by tanh where the encoder has the exact one."""
    (call,) = (node for node in model.graph.node if node.op_type == GELU and node.name.startswith(f"{layer}."))
    call.op_type = GELU_TANH
    opset = next(entry.version for entry in model.opset_import if not entry.domain)
    del model.functions[:]
    define_functions(model, opset)
    return "feed-forward"


FAULTS = {
    "the scale of one product": wrong_scale,
    "one layer in 4 bits": four_bits,
    "a dead head": dead_head,
    "the other form of GELU": other_gelu,
}


def write_faulty(source: Path, target: Path, fault: Callable[..., str], layer: str, **options: Any) -> str:
    """Write the float graph `source` with a fault in a layer; the module's name, such as "layer 3 attention"."""
    model = onnx.load(source)
    part = fault(model, layer, **options)
    onnx.save(model, target)
    return f"layer {layer.rpartition('.')[2]} {part}"
