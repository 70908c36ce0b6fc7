"""ONNX graphs with one thing wrong: build steps that a careless optimization would be."""

import contextlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from driftgate.backends import Step
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


def o2_step(encoder: Encoder) -> Step:
    """Optimum's O2 as it ships: fused attention that is told how many tokens each row has, hence assumes right padding."""
    return Step("optimum-o2", "1", partial(_fuse, encoder.path, raw_mask=False))


def o2_raw_mask_step(encoder: Encoder) -> Step:
    """O2 with `use_raw_attention_mask`, which is right for padding on either side."""
    return Step("optimum-o2-raw-mask", "1", partial(_fuse, encoder.path, raw_mask=True))


def wrong_heads_step(encoder: Encoder) -> Step:
    """O2 of a graph whose number of heads was not detected but given, and given wrong: half of them, twice as wide."""
    return Step("optimum-o2-half-the-heads", "1", partial(_fuse_with_half_the_heads, encoder.path))


def quantize_fused_step(encoder: Encoder) -> Step:  # noqa: ARG001 - as above
    """Dynamic INT8 of a fused graph, with driftgate's own options: what Optimum's users ship, O2 and then INT8."""
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


def _fuse(encoder_folder: Path, source: Path, target: Path, *, raw_mask: bool) -> None:
    from optimum.onnxruntime import AutoOptimizationConfig, ORTOptimizer

    with tempfile.TemporaryDirectory() as scratch, _quiet():
        shutil.copy2(source, Path(scratch) / "model.onnx")
        shutil.copy2(encoder_folder / "config.json", scratch)
        config = AutoOptimizationConfig.O2(use_raw_attention_mask=raw_mask)
        ORTOptimizer.from_pretrained(scratch).optimize(config, save_dir=scratch, file_suffix="o2")
        shutil.move(Path(scratch) / "model_o2.onnx", target)
    if not _attention_nodes(target):
        raise ValueError("O2 fused no attention: nothing would be mutated")


def _fuse_with_half_the_heads(encoder_folder: Path, source: Path, target: Path) -> None:
    import onnx

    heads = int(json.loads((encoder_folder / "config.json").read_text(encoding="utf-8"))["num_attention_heads"])
    _fuse(encoder_folder, source, target, raw_mask=True)
    model = onnx.load(target)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "num_heads":
                attribute.i = heads // 2
    onnx.save(model, target)


def _attention_nodes(path: Path) -> int:
    import onnx

    return sum(node.op_type == "Attention" for node in onnx.load(path, load_external_data=False).graph.node)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The optimizer prints and logs its every step."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):  # noqa: PTH123
            yield
    finally:
        logging.disable(before)
