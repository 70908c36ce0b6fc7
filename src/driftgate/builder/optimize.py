"""Graph optimization before any number changes its type."""

from pathlib import Path

from driftgate.builder.duplicates import merge_duplicates
from driftgate.builder.onnx_graph import save_beside

_ANY_SIZE = 2**40
"""Elements. Constants of every size are folded: DeBERTa's products of relative positions would be made anew in every call."""


def optimize_basic(source: Path, target: Path) -> None:
    """Fold constants and remove redundant nodes, such as Identity nodes that hide weights; then store equal weights once.

    What ONNX Runtime's hardware-independent optimizations (O1) do, but attention stays one node and every node keeps its name.
    More gains nothing on a CPU, whose session fuses when it loads the file.
    """
    import onnx
    from onnxscript import optimizer

    model = optimizer.optimize(onnx.load(source), input_size_limit=_ANY_SIZE, output_size_limit=_ANY_SIZE, inline=False)
    del model.graph.value_info[:]  # of shapes that later steps change
    merge_duplicates(model)
    save_beside(model, source, target)
