"""ONNX files of one operator whose weights lie in a file of their own."""

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def external_tensor(name: str, values: Any, location: str) -> Any:
    """A float32 TensorProto that only says where its numbers lie."""
    tensor = numpy_helper.from_array(np.asarray(values, np.float32), name)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def save_adder(model: Path, values: Any, location: str = "weights.bin") -> Path:
    """`y = x + values`, with the values in the file that `location` names beside the model."""
    values = np.asarray(values, np.float32)
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [len(values)]) for name in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        ports[:1],
        ports[1:],
        [external_tensor("w", values, location)],
    )
    save_graph(model, graph)
    weights = model.parent / location
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(values.tobytes())
    return model


def save_graph(model: Path, graph: Any, **parts: Any) -> Path:
    """A file of the graph; `parts` are other fields of the model."""
    model.parent.mkdir(parents=True, exist_ok=True)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, **parts)
    model.write_bytes(proto.SerializeToString())
    return model
