"""The build steps by name. Each reads one ONNX file, leaves it alone, and writes another.

A digest of the code of a step is part of the key of what it writes, so that a step that changed is noticed without a new version.
"""

import ast
import hashlib
import importlib
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

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
from driftgate.builder.rowwise.nodes import quantize_rowwise
from driftgate.errors import BuildError
from driftgate.onnx_graph.functions import fuse_layers

_AXES_AS_INPUT = 18
"""The opset whose ReduceMax takes its axes as an input."""

STEPS: Mapping[str, Step] = {
    step.name: step
    for step in (
        Step("optimize-basic", "4", optimize_basic),
        Step("fuse-layers", "4", fuse_layers),
        Step("float16", "7", convert_float16, calibrated=True, infers_shapes=True),
        Step("int8-rowwise", "5", quantize_rowwise, tunable=True, least_opset=_AXES_AS_INPUT),
        Step("int8-dynamic", "2", quantize_dynamic_per_channel, tunable=True),
        Step("int8-dynamic-per-tensor", "2", quantize_dynamic_per_tensor, tunable=True),
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


_MADE_OF = ("driftgate.builder", "driftgate.onnx_graph", "driftgate.inputs.weights")
"""Modules that steps are made of; those that only say what a file or an encoder is do not count."""


def digest_code(module: str) -> str:
    """Eight hexadecimal digits, of the source file of a step's module and of all that it imports of what steps are made of.

    "" where there is no file: a step that is typed into an interpreter goes by its version alone.
    """
    files = sorted(_files(module))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:8] if files else ""


@cache
def _files(module: str) -> frozenset[Path]:
    """The source file of `module` and those that it imports, directly or not."""
    found: dict[str, Path] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        path = _source(name)
        if name not in found and path is not None:
            found[name] = path
            pending += [imported for imported in _imports(path) if imported.startswith(_MADE_OF)]
    return frozenset(found.values())


def _source(module: str) -> Path | None:
    ours = module.startswith("driftgate.")
    path = getattr(importlib.import_module(module) if ours else sys.modules.get(module), "__file__", None)
    return Path(path) if path and path.endswith(".py") and Path(path).is_file() else None


def _imports(path: Path) -> list[str]:
    tree = ast.parse(path.read_bytes())
    return [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
