"""The build steps by name. Each reads one ONNX file, leaves it alone, and writes another."""

from collections.abc import Mapping

from driftgate.backends import Step
from driftgate.builder.float16 import convert_float16
from driftgate.builder.optimize import optimize_basic
from driftgate.builder.quantize import (
    quantize_dynamic_per_channel,
    quantize_dynamic_per_tensor,
    quantize_static,
    quantize_with_optimum_avx2,
    quantize_with_optimum_vnni,
)
from driftgate.builder.rowwise.quantize_rowwise import quantize_rowwise
from driftgate.errors import BuildError
from driftgate.onnx_graph.lower import fuse_layers

_AXES_AS_INPUT = 18
"""The opset whose ReduceMax takes its axes as an input."""

STEPS: Mapping[str, Step] = {
    step.name: step
    for step in (
        Step("optimize-basic", "4", optimize_basic),
        Step("fuse-layers", "4", fuse_layers),
        Step("float16", "7", convert_float16, calibrated=True, infers_shapes=True),
        Step("int8-rowwise", "4", quantize_rowwise, least_opset=_AXES_AS_INPUT),
        Step("int8-dynamic", "2", quantize_dynamic_per_channel),
        Step("int8-dynamic-per-tensor", "2", quantize_dynamic_per_tensor),
        Step("int8-static", "3", quantize_static, calibrated=True),
        Step("int8-optimum-avx512-vnni", "1", quantize_with_optimum_vnni),
        Step("int8-optimum-avx2", "1", quantize_with_optimum_avx2),
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
