"""Are the integer products of an INT8 model exact on this processor?

On x86 processors without VNNI, products of unsigned activations and signed weights are summed over neighbouring pairs in 16 bits,
and what does not fit is cut off. The answers then look like those of a little more rounding, which no comparison with a float32
reference can tell from it. Integers leave no room for rounding: NumPy's sums are equal, or those of the processor are wrong.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.onnx_graph.onnx_file import find_external, read_model
from driftgate.run.device import RunSettings
from driftgate.run.onnx_backend import open_session

_PRODUCTS = ("MatMulInteger", "MatMulIntegerToFloat")

Factors = tuple[NDArray[Any], NDArray[Any]]
"""Activations, uint8 or int8, (..., inputs), and weights, (inputs, outputs), of one product."""


@dataclass(frozen=True, slots=True)
class IntegerProducts:
    """Integer products as ONNX Runtime computes them here, against exact ones.

    Args:
        products: how many were computed both ways. `sums`: their int32 results, over all rows that were asked.
        wrong: sums that are not exact. `wrong_products`: products that have such sums.
        largest_error: of a sum; sums reach some hundred thousand.
    """

    products: int
    sums: int
    wrong: int
    wrong_products: int
    largest_error: int


def check_integer_products(model: Path, feed: Mapping[str, Any], settings: RunSettings) -> IntegerProducts | None:
    """Compute the model's products of integers with constant weights again, by ONNX Runtime and exactly.

    Args:
        feed: an array for each of the graph's inputs, int64, (batch, sequence), by name.

    Returns:
        None where the graph says no such products, or its weights are too large for the file.

    Raises:
        ArtifactError: the model cannot be loaded.
    """
    factors = _read_factors(model, feed, settings)
    if not factors:
        return None
    wrong, sums, wrong_products, largest = 0, 0, 0, 0
    for (activations, weights), found in zip(factors, multiply(factors, settings), strict=True):
        exact = activations.astype(np.float64) @ weights.astype(np.float64)  # far below 2^53: every sum is exact
        errors = np.abs(found - exact)
        wrong, sums = wrong + int(np.count_nonzero(errors)), sums + errors.size
        wrong_products += bool(errors.any())
        largest = max(largest, int(errors.max(initial=0)))
    return IntegerProducts(len(factors), sums, wrong, wrong_products, largest)


def _read_factors(model: Path, feed: Mapping[str, Any], settings: RunSettings) -> list[Factors]:
    """The factors of every product, activations as the model itself computes them."""
    from onnx import ValueInfoProto, numpy_helper

    graph_file = read_model(model)
    if find_external(model, graph_file):
        return []
    graph = graph_file.graph
    constants = {tensor.name: tensor for tensor in graph.initializer if len(tensor.dims) == 2}  # noqa: PLR2004 - a matrix
    products = [node for node in graph.node if node.op_type in _PRODUCTS and node.input[1] in constants]
    if not products:
        return []
    names = list(dict.fromkeys(node.input[0] for node in products))
    graph.output.extend(ValueInfoProto(name=name) for name in names)
    answers = dict(zip(names, _run(graph_file, names, feed, settings), strict=True))
    return [(answers[node.input[0]], numpy_helper.to_array(constants[node.input[1]])) for node in products]


def multiply(factors: Sequence[Factors], settings: RunSettings) -> list[NDArray[np.int32]]:
    """The products by ONNX Runtime, int32, whose kernels for these are the same whether or not scales follow.

    Zero points are left out: they are subtracted from the sums, which are cut off or not before that.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes, inputs, outputs, constants = [], [], [], []
    for number, (activations, weights) in enumerate(factors):
        kind = helper.np_dtype_to_tensor_dtype(activations.dtype)
        nodes.append(helper.make_node("MatMulInteger", [f"a{number}", f"w{number}"], [f"y{number}"]))
        inputs.append(helper.make_tensor_value_info(f"a{number}", kind, activations.shape))
        outputs.append(helper.make_tensor_value_info(f"y{number}", TensorProto.INT32, None))
        constants.append(numpy_helper.from_array(weights, f"w{number}"))
    graph = helper.make_graph(nodes, "integer products", inputs, outputs, constants)
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 18)])
    feed = {f"a{number}": activations for number, (activations, _) in enumerate(factors)}
    return _run(model, [value.name for value in outputs], feed, settings)


def _run(model: Any, outputs: list[str], feed: Mapping[str, Any], settings: RunSettings) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return list(open_session(path, settings, "integer products").run(outputs, dict(feed)))
