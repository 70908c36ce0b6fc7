"""The build steps by name. Each reads one ONNX file, leaves it alone, and writes another."""

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from driftgate.backends import Step
from driftgate.builder.duplicates import merge_duplicates
from driftgate.builder.onnx_graph import has_external_data, makers, save_beside
from driftgate.builder.rowwise.quantize import quantize_rowwise
from driftgate.errors import BuildError

_LARGEST_FILE = 2**30
"""Bytes. A file may hold 2 GB; what optimization adds, such as folded constants, has to fit as well."""


def optimize_basic(source: Path, target: Path) -> None:
    """ONNX Runtime's hardware-independent graph optimizations (O1), then equal weights stored once.

    O1 folds constants and removes redundant nodes, such as the Identity nodes that hide ALBERT's shared weights from later
    steps. O2 and above assume right padding unless told otherwise and gain nothing on a CPU, whose session fuses at load.
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


def convert_float16(source: Path, target: Path) -> None:
    """Float16 weights and arithmetic, float32 inputs and outputs.

    What ends as an index stays float32: a relative position rounded into the next bucket (DeBERTa-v2, MPNet) is another
    position, and no small drift.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    model = onnx.load(source)
    converted = convert_float_to_float16(model, keep_io_types=True, node_block_list=_index_arithmetic(model.graph))
    save_beside(converted, source, target)


def _index_arithmetic(graph: Any) -> list[str]:
    """Names of the nodes between integers and what is made an integer again."""
    from onnx import TensorProto

    producers = makers(graph)
    found: set[str] = set()
    pending = [
        node.input[0]
        for node in graph.node
        if node.op_type == "Cast" and node.attribute[0].i in {TensorProto.INT32, TensorProto.INT64}
    ]
    while pending:
        node = producers.get(pending.pop())
        if node is None or node.name in found or node.op_type == "Shape":  # a shape does not depend on values
            continue
        found.add(node.name)
        if node.op_type != "Cast":  # beyond it are integers
            pending.extend(node.input)
    return sorted(found)


def quantize_dynamic_per_channel(source: Path, target: Path) -> None:
    """ONNX Runtime's dynamic INT8: signed weights, a scale for each output channel; embedding tables too,
    which ONNX Runtime stores unsigned.

    Signed weights run 1.9 times faster than unsigned ones where the processor has VNNI; scales per channel
    cost no speed. Activations get one scale for the whole batch: answers depend on batch mates (onnxruntime #10111).
    """
    _quantize_dynamic(source, target, per_channel=True)


def quantize_dynamic_per_tensor(source: Path, target: Path) -> None:
    """As above with one scale for each weight matrix: what most published INT8 models are."""
    _quantize_dynamic(source, target, per_channel=False)


def _quantize_dynamic(source: Path, target: Path, *, per_channel: bool) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it advises a pre-processing step that optimize-basic has done
    try:
        quantize_dynamic(
            source,
            target,
            per_channel=per_channel,
            weight_type=QuantType.QInt8,
            use_external_data_format=has_external_data(source),
        )
    finally:
        root.setLevel(level)


STEPS: Mapping[str, Step] = {
    step.name: step
    for step in (
        Step("optimize-basic", "2", optimize_basic),
        Step("float16", "2", convert_float16),
        Step("int8-rowwise", "2", quantize_rowwise),
        Step("int8-dynamic", "1", quantize_dynamic_per_channel),
        Step("int8-dynamic-per-tensor", "1", quantize_dynamic_per_tensor),
    )
}


def find_step(step: str | Step) -> Step:
    """The step of that name; a `Step` is itself.

    Raises:
        BuildError: no such step.
    """
    if isinstance(step, Step):
        return step
    if step not in STEPS:
        raise BuildError(f"unknown build step {step!r}; known: export, {', '.join(STEPS)}")
    return STEPS[step]
