"""Graph optimization before any number changes its type."""

import logging
import tempfile
from pathlib import Path
from typing import Any

from driftgate.builder.duplicates import merge_duplicates
from driftgate.builder.onnx_graph import has_external_data, save_beside

_LARGEST_FILE = 2**30
"""Bytes. A file may hold 2 GB; what optimization adds, such as folded constants, has to fit as well."""


def optimize_basic(source: Path, target: Path) -> None:
    """ONNX Runtime's hardware-independent graph optimizations (O1), then equal weights stored once.

    O1 folds constants and removes redundant nodes, such as the Identity nodes that hide ALBERT's shared weights from later
    steps. More than O1 gains nothing on a CPU, whose session fuses at load.
    """
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        optimized = Path(scratch) / target.name
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(optimized)
        options.log_severity_level = 3
        if has_external_data(source) or source.stat().st_size > _LARGEST_FILE:
            options.add_session_config_entry(
                "session.optimized_model_external_initializers_file_name", f"{target.name}_data"
            )
        onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        model = onnx.load(optimized)
        merge_duplicates(model)
        save_beside(model, optimized, target)


def fuse_layers(source: Path, target: Path, *, shape_inference: bool = True) -> None:
    """Attention, normalization and GELU as one operator each: what O4 does for a GPU before float16.

    GELU stays exact: O3 and O4 would approximate it by tanh.
    """
    save_beside(fuse(source, shape_inference=shape_inference), source, target)


def fuse(source: Path, *, multi_head_attention: bool = False, shape_inference: bool = True) -> Any:
    """The graph with single nodes where ONNX Runtime's optimizer finds their patterns, an onnx.ModelProto.

    Args:
        multi_head_attention: with the products of query, key and value outside of the attention operator.
        shape_inference: False to go by patterns alone. ONNX Runtime infers shapes symbolically, in Python, again after each
            kind of fusion, which takes long and much memory where a graph is very large.
    """
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.use_raw_attention_mask()  # else texts are taken to be padded behind, and are wrong where they are not
    options.use_multi_head_attention = multi_head_attention
    options.enable_embed_layer_norm = False
    options.enable_shape_inference = shape_inference
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it warns of every fusion that a family does not have
    try:
        return optimize_model(str(source), "bert", optimization_options=options, opt_level=0).model
    finally:
        logging.disable(before)
