"""The build step: a float32 graph in, a row-wise INT8 graph out."""

from pathlib import Path

from driftgate.builder.rowwise.nodes import NodeWriter
from driftgate.errors import BuildError
from driftgate.onnx_graph.graph import GraphWriter, refuse_quantized, save_beside
from driftgate.onnx_graph.lower import lower_functions


def quantize_rowwise(source: Path, target: Path) -> None:
    """Quantize the float32 graph `source`, for a CPU, row by row.

    Raises:
        BuildError: nothing in the graph can be quantized, or it is quantized already.
    """
    import onnx

    model = onnx.load(source)
    refuse_quantized(model, source)
    lower_functions(model)
    if not NodeWriter(GraphWriter(model)).rewrite():
        raise BuildError(f"{source.name}: found no product with a constant matrix to quantize")
    save_beside(model, source, target)
