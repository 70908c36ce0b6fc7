"""The build step: a float32 graph in, a row-wise INT8 graph out."""

import logging
from pathlib import Path
from typing import Any

from driftgate.builder.onnx_graph import QUANTIZED_OPERATORS, GraphWriter, save_beside
from driftgate.builder.rowwise.nodes import NodeWriter
from driftgate.errors import BuildError


def quantize_rowwise(source: Path, target: Path) -> None:
    """Quantize the float32 graph `source`, for a CPU, row by row.

    Raises:
        BuildError: nothing in the graph can be quantized, or it is quantized already.
    """
    model = _fuse(source)
    if {node.op_type for node in model.graph.node} & QUANTIZED_OPERATORS:
        raise BuildError(f"{source.name}: expected a float32 graph, found one that is quantized already")
    if not NodeWriter(GraphWriter(model)).rewrite():
        raise BuildError(f"{source.name}: found no product with a constant matrix to quantize")
    save_beside(model, source, target)


def _fuse(source: Path) -> Any:
    """The graph with attention, normalization and GELU as single nodes where ONNX Runtime's optimizer finds them."""
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    options.use_raw_attention_mask = True
    options.use_multi_head_attention = True
    options.enable_embed_layer_norm = False
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it warns of every fusion that a family does not have
    try:
        return optimize_model(str(source), "bert", optimization_options=options, opt_level=0).model
    finally:
        logging.disable(before)
