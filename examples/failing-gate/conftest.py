"""A backend with a mistake in it: one of its build steps makes the weights of one layer 5% larger.

The file loads and runs, its labels look right, and its F1 is as good as before. The gate fails it all the same.
"""

from pathlib import Path

import onnx
from onnx import numpy_helper

from driftgate.backends import BackendSpec, Precision, Runtime, Step

WEIGHT = "classifier.dense.weight"


def scale_one_layer(source: Path, target: Path) -> None:
    model = onnx.load(source)
    (weight,) = (tensor for tensor in model.graph.initializer if tensor.name == WEIGHT)
    scaled = numpy_helper.to_array(weight) * numpy_helper.to_array(weight).dtype.type(1.05)
    weight.CopyFrom(numpy_helper.from_array(scaled, WEIGHT))
    onnx.save(model, target)


def pytest_driftgate_backends(config):
    steps = ("export", "optimize-basic", Step("scale-one-layer", "1", scale_one_layer))
    return [BackendSpec("onnx-scaled", Precision.FP32, Runtime.ONNXRUNTIME, steps)]
