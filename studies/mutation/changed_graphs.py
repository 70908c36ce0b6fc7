"""ONNX graphs with one thing wrong: build steps that a careless optimization would be."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.backends import Step
from driftgate.builder.lower import fuse_layers
from driftgate.inputs.encoder import Encoder


def mask_value_step(encoder: Encoder) -> Step:  # noqa: ARG001 - every step maker takes the encoder
    """-1e4 where the export masks with the smallest float32."""
    return Step("mask-value-1e4", "1", _set_mask_value)


def _set_mask_value(source: Path, target: Path) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    lowest = np.finfo(np.float32).min
    masks = [
        tensor
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
        and not tensor.dims
        and float(numpy_helper.to_array(tensor)) == lowest
    ]
    if len(masks) != 1:
        raise ValueError(f"expected one mask value, found {len(masks)}")
    masks[0].CopyFrom(numpy_helper.from_array(np.float32(-1e4), masks[0].name))
    onnx.save(model, target)


def right_padding_step(encoder: Encoder) -> Step:  # noqa: ARG001 - as above
    """Fused attention that is told how many tokens each row has, hence assumes right padding: as Optimum's O2 ships it."""
    return Step("fused-for-right-padding", "1", _fuse_for_right_padding)


def fused_step(encoder: Encoder) -> Step:  # noqa: ARG001 - as above
    """Fused attention with the mask it was given, which is right for padding on either side."""
    return Step("fused", "1", fuse_layers)


def wrong_heads_step(encoder: Encoder) -> Step:  # noqa: ARG001 - as above
    """Fused attention whose number of heads was not detected but given, and given wrong: half of them, twice as wide."""
    return Step("fused-with-half-the-heads", "1", _fuse_with_half_the_heads)


def quantize_fused_step(encoder: Encoder) -> Step:  # noqa: ARG001 - as above
    """Dynamic INT8 of a fused graph, with driftgate's own options: what users ship who fuse first."""
    return Step("int8-dynamic-of-fused", "1", _quantize_fused)


def _quantize_fused(source: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(
            source,
            target,
            per_channel=True,
            weight_type=QuantType.QInt8,
            # Shape inference does not know what fused operators give.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )


def _fuse_for_right_padding(source: Path, target: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = _fused(source, target)
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "token_axis"))
    counted = helper.make_node(
        "ReduceSum", ["attention_mask", "token_axis"], ["tokens"], name="count_tokens", keepdims=0
    )
    graph.node.insert(0, counted)
    graph.node.insert(1, helper.make_node("Cast", ["tokens"], ["lengths"], name="lengths", to=TensorProto.INT32))
    for node in _attention_nodes(model):
        node.input[4], node.input[5] = "lengths", ""
    onnx.save(model, target)


def _fuse_with_half_the_heads(source: Path, target: Path) -> None:
    import onnx

    model = _fused(source, target)
    for node in _attention_nodes(model):
        for attribute in node.attribute:
            if attribute.name == "num_heads":
                attribute.i //= 2
    onnx.save(model, target)


def _fused(source: Path, target: Path) -> Any:
    import onnx

    fuse_layers(source, target)
    return onnx.load(target)


def _attention_nodes(model: Any) -> list[Any]:
    found = [node for node in model.graph.node if node.op_type == "MultiHeadAttention"]
    if not found:
        raise ValueError("no attention was fused: nothing would be mutated")
    return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantizer prints and logs its every step."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):  # noqa: PTH123
            yield
    finally:
        logging.disable(before)
