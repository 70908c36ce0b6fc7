"""Graph optimization before any number changes its type: ONNX Runtime's own, and equal weights stored once."""

from pathlib import Path
from typing import Any

from driftgate.onnx_graph.functions import DOMAIN
from driftgate.onnx_graph.graph import keep_initializers, save_beside
from driftgate.onnx_graph.graph_variants import cut_out
from driftgate.onnx_graph.graph_walk import bodies


def merge_duplicates(model: Any) -> int:
    """Let every reader of equal initializers read one of them; how many were taken out.

    Equal means the same element type, shape and bytes: the same bytes of another shape or type are another tensor, and close
    is not equal. Graph outputs, and inputs with a default value, keep their names.

    Args:
        model: an onnx.ModelProto with its weights in memory; changed in place.
    """
    return sum(_merge(graph) for graph in _graphs(model.graph))


def _merge(graph: Any) -> int:
    from onnx import TensorProto, numpy_helper

    public = {value.name for value in (*graph.input, *graph.output)}
    kept: dict[tuple[int, tuple[int, ...], bytes], str] = {}
    renamed = {}
    for tensor in graph.initializer:
        if tensor.name in public or tensor.data_type == TensorProto.STRING:
            continue
        content = numpy_helper.to_array(tensor).tobytes()
        first = kept.setdefault((tensor.data_type, tuple(tensor.dims), content), tensor.name)
        if first != tensor.name:
            renamed[tensor.name] = first
    if renamed:
        _rename_reads(graph, renamed)
        keep_initializers(graph, {tensor.name for tensor in graph.initializer} - renamed.keys())
    return len(renamed)


def _rename_reads(graph: Any, renamed: dict[str, str]) -> None:
    for node in graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
        for body in bodies(node):  # a body reads names of the graph around it, unless it has its own of that name
            own = {tensor.name for tensor in body.initializer} | {value.name for value in body.input}
            own |= {name for inner in body.node for name in inner.output}
            _rename_reads(body, {name: first for name, first in renamed.items() if name not in own})


def _graphs(graph: Any) -> list[Any]:
    return [graph, *(inner for node in graph.node for body in bodies(node) for inner in _graphs(body))]


def optimize_basic(source: Path, target: Path) -> None:
    """Compute once what does not depend on the input, then store equal weights once.

    ONNX Runtime's own hardware-independent optimizations (O1) would do no more, but take attention apart and lose the names of
    nodes; the exporter has removed what is redundant. More gains nothing on a CPU, whose session fuses when it loads the file.
    """
    import onnx

    model = onnx.load(source)
    fold_constants(model)
    merge_duplicates(model)
    save_beside(model, source, target)


def fold_constants(model: Any) -> None:
    """Replace the nodes of an onnx.ModelProto that read constants only by what they compute, in place.

    DeBERTa's products of relative positions are such nodes, and so is an Identity that hides a weight from a quantizer.
    """
    from onnx import numpy_helper

    graph = model.graph
    constants = {tensor.name for tensor in graph.initializer}
    folded: list[Any] = []
    left: list[Any] = []
    for node in graph.node:
        fixed = constants.issuperset(filter(None, node.input)) and node.domain != DOMAIN and not bodies(node)
        (folded if fixed else left).append(node)
        if fixed:
            constants.update(node.output)
    read = {name for node in left for name in node.input} | {value.name for value in graph.output}
    wanted = [name for node in folded for name in node.output if name in read]
    values = _compute(model, wanted) if wanted else []
    graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in zip(wanted, values, strict=True))
    keep_initializers(graph, read)
    del graph.node[:]
    graph.node.extend(left)


def _compute(model: Any, wanted: list[str]) -> list[Any]:
    """The values of `wanted`, arrays, which `model` computes from constants."""
    import onnxruntime

    part = cut_out(model, wanted, {}).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(part, options, providers=["CPUExecutionProvider"])
    computed: list[Any] = session.run(wanted, {})
    return computed
