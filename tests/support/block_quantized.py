"""ONNX files whose weights are quantized in blocks, as repositories ship them, made of float32 files by ONNX Runtime's kernels.

The module `onnxruntime.quantization.matmul_nbits_quantizer` calls the same kernels, but needs packages that driftgate does not.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

MICROSOFT = "com.microsoft"
SYMMETRIC = (True,)


def quantize_int4(model: Any, block_size: int = 32, *, only: str = "", accuracy_level: int = 0) -> Any:
    """MatMulNBits of 4 bits, symmetric, in place of every MatMul with a constant matrix: model_q4.onnx.

    Args:
        only: part of the names of the nodes to quantize.
        accuracy_level: 4 to multiply in integers; 0 leaves it unsaid.
    """
    from onnxruntime.capi._pybind_state import quantize_matmul_4bits

    level = {"accuracy_level": accuracy_level} if accuracy_level else {}
    for node, weight in _products(model.graph, only):
        inputs, outputs = weight.shape
        blocks = -(-inputs // block_size)
        packed = np.zeros((outputs, blocks, block_size // 2), np.uint8)
        scales = np.zeros((outputs, blocks), np.float32)
        zero_points = np.zeros((outputs, -(-blocks // 2)), np.uint8)  # written, though symmetric weights have none
        padded = np.pad(weight, ((0, blocks * block_size - inputs), (0, 0)))
        quantize_matmul_4bits(packed, padded, scales, zero_points, block_size, outputs, inputs, *SYMMETRIC)
        _replace(model.graph, node, "MatMulNBits", [packed, scales], bits=4, block_size=block_size, **level)
    return _finish(model)


def quantize_bnb4(model: Any, block_size: int = 64, *, quant_type: int = 1) -> Any:
    """MatMulBnb4, NF4 (1) or FP4 (0), in place of every MatMul with a constant matrix: model_bnb4.onnx."""
    from onnxruntime.capi._pybind_state import quantize_matmul_bnb4

    for node, weight in _products(model.graph):
        inputs, outputs = weight.shape
        packed = np.zeros((weight.size + 1) // 2, np.uint8)
        largest = np.zeros(-(-weight.size // block_size), np.float32)
        quantize_matmul_bnb4(packed, weight.T.copy(), largest, block_size, quant_type, outputs, inputs)
        _replace(model.graph, node, "MatMulBnb4", [packed, largest], block_size=block_size, quant_type=quant_type)
    return _finish(model)


def quantize_table(model: Any, block_size: int = 16) -> Any:
    """GatherBlockQuantized of 4 bits in place of the look-up of tokens."""
    node = next(node for node in model.graph.node if node.op_type == "Gather" and "input_ids" in node.input)
    table = next(numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == node.input[0])
    blocks = table.reshape(len(table), -1, block_size)
    scales = np.abs(blocks).max(axis=-1, keepdims=True) / 7
    values = np.rint(blocks / np.where(scales == 0, 1, scales)).astype(np.int8).reshape(table.shape)
    low, high = values[:, ::2] & 0xF, values[:, 1::2] & 0xF
    name = f"{node.input[0]}_Q4"
    packed = (low | (high << 4)).astype(np.uint8).tobytes()
    model.graph.initializer.extend(
        [
            helper.make_tensor(name, onnx.TensorProto.INT4, table.shape, packed, raw=True),
            numpy_helper.from_array(scales[..., 0].astype(np.float32), f"{name}_scales"),
        ]
    )
    node.op_type, node.domain = "GatherBlockQuantized", MICROSOFT
    node.input[:] = [name, node.input[1], f"{name}_scales"]
    del node.attribute[:]
    node.attribute.extend(
        helper.make_attribute(key, value)
        for key, value in {"gather_axis": 0, "quantize_axis": 1, "block_size": block_size}.items()
    )
    model.ir_version = max(model.ir_version, 10)  # the first with 4-bit types
    return _finish(model)


def convert_float16(model: Any) -> Any:
    """Float16 weights and activations, float32 inputs and outputs: model_q4f16.onnx of what `quantize_int4` made."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of numbers too small for float16
        return convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True)


def spoil_scale(model: Any, factor: float = 1000.0) -> Any:
    """One block's scale of the last product, times `factor`: a damaged byte."""
    node = [node for node in model.graph.node if node.op_type in ("MatMulNBits", "MatMulBnb4")][-1]
    tensor = next(tensor for tensor in model.graph.initializer if tensor.name == node.input[2])
    scales = numpy_helper.to_array(tensor).copy()
    scales.flat[0] *= factor
    tensor.CopyFrom(numpy_helper.from_array(scales, tensor.name))
    return model


def claim_block_size(model: Any, block_size: int) -> Any:
    """Another size of blocks in every product's attributes, such as one that no processor has a kernel for."""
    for node in model.graph.node:
        for attribute in node.attribute:
            if node.domain == MICROSOFT and attribute.name == "block_size":
                attribute.i = block_size
    return model


def save(model: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def _products(graph: Any, only: str = "") -> list[tuple[Any, Any]]:
    """MatMul nodes with a constant matrix, and the matrix, float32, (inputs, outputs)."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    return [
        (node, numpy_helper.to_array(constants[node.input[1]]))
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in constants and only in node.name
    ]


def _replace(graph: Any, node: Any, operator: str, stored: list[Any], **given: int) -> None:
    """Make a MatMul a block-quantized product of the arrays `stored`: packed weights and their scales."""
    matrix = node.input[1]
    inputs, outputs = next(tensor.dims for tensor in graph.initializer if tensor.name == matrix)
    names = [f"{matrix}_{node.name}_{part}" for part in ("packed", "scales")]
    graph.initializer.extend(map(numpy_helper.from_array, stored, names))
    node.op_type, node.domain = operator, MICROSOFT
    node.input[1:] = names
    attributes = {"K": inputs, "N": outputs, **given}
    node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())


def _finish(model: Any) -> Any:
    """Drop constants that nobody reads any more, and declare ONNX Runtime's operators."""
    read = {name for node in model.graph.node for name in node.input}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    if MICROSOFT not in {entry.domain for entry in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(MICROSOFT, 1))
    return model
