"""A backend of this project's own: the file as ONNX Runtime saves it after its extended optimizations.

Such a file starts faster, because the optimizations are not repeated whenever it is loaded. driftgate builds it after its own
steps, keeps it in its cache, and judges it like any other backend of the class fp32.
"""

from pathlib import Path

import onnxruntime

from driftgate.backends import BackendSpec, Precision, Runtime, Step


def optimize_extended(source: Path, target: Path) -> None:
    """Read the ONNX file `source`, which must not be changed, and write the ONNX file `target`."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(target)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])


def pytest_driftgate_backends(config):
    steps = ("export", "optimize-basic", Step("optimize-extended", "1", optimize_extended))
    return [BackendSpec("onnx-extended", Precision.FP32, Runtime.ONNXRUNTIME, steps)]
