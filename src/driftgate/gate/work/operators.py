"""The formula of each operator: the multiply-adds and bytes of a node, from the shapes that it read and wrote.

Operators are those of ONNX (https://onnx.ai/onnx/operators) and of ONNX Runtime's own domain, com.microsoft
(docs/ContribOperators.md of its repository), which say which input is what. No formula but Einsum's needs an attribute:
whether a factor is transposed shows in the shapes. One that is in no table, or whose node has other shapes than a formula knows,
is not counted.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from driftgate.gate.work.kernels import Kernel

EVERY_ELEMENT = frozenset(
    {
        # one element at a time
        "Abs", "Acos", "Acosh", "Add", "And", "Asin", "Asinh", "Atan", "Atanh", "BitShift", "BitwiseAnd", "BitwiseNot",
        "BitwiseOr", "BitwiseXor", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Cos", "Cosh", "Div", "Elu", "Equal", "Erf", "Exp",
        "Floor", "Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "IsInf", "IsNaN", "LeakyRelu", "Less",
        "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mod", "Mul", "Neg", "Not", "Or", "PRelu", "Pow", "Reciprocal",
        "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Sub", "Sum",
        "Swish", "Tan", "Tanh", "ThresholdedRelu", "Where", "Xor",
        # the same, fused
        "BiasAdd", "BiasDropout", "BiasGelu", "BiasSoftmax", "BiasSplitGelu", "BitmaskBiasDropout", "FastGelu", "QuickGelu",
        "QLinearAdd", "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid", "QLinearSoftmax", "RotaryEmbedding",
        # normalized along an axis, summed up
        "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "CumProd", "CumSum", "GlobalAveragePool", "GlobalMaxPool",
        "GroupNormalization", "Hardmax", "InstanceNormalization", "LayerNormalization", "LogSoftmax", "LpNormalization",
        "MaxPool", "MeanVarianceNormalization", "QLinearReduceMean", "RMSNormalization", "ReduceL1", "ReduceL2", "ReduceLogSum",
        "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumInteger",
        "ReduceSumSquare", "SimplifiedLayerNormalization", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization",
        "Softmax",
        # quantized and back
        "DequantizeBFP", "DequantizeLinear", "DynamicQuantizeLinear", "QuantizeBFP", "QuantizeLinear",
    }
)  # fmt: skip
COPIED = frozenset(
    {
        "Compress", "Concat", "DepthToSpace", "Dropout", "Expand", "EyeLike", "Identity", "MemcpyFromHost", "MemcpyToHost",
        "NonZero", "OneHot", "Pad", "QLinearConcat", "Range", "RemovePadding", "ReorderInput",
        "ReorderOutput", "RestorePadding", "ReverseSequence", "ScatterElements", "ScatterND", "SpaceToDepth", "Split", "Tile",
        "TopK", "Transpose", "Trilu", "Unique",
    }
)  # fmt: skip
"""Elements in other places. Identity and Dropout may share memory with what they read; that they copy is assumed."""

_BYTES = {"bfloat16": 2, "float": 4, "float16": 2, "int32": 4, "int64": 8}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one node that ran once."""

    multiply_adds: int
    bytes_moved: int


Formula = Callable[[Kernel], Cost | None]
Products = Callable[[Kernel], int | None]
"""The multiply-adds of a node, None where its shapes do not tell them."""


def cost_of(kernel: Kernel) -> Cost | None:
    """None for an operator without a formula."""
    formula = FORMULAS.get(kernel.operator)
    return formula(kernel) if formula else None


def _moved(kernel: Kernel) -> int:
    return kernel.bytes_read + kernel.bytes_written


def _with_products(products: Products) -> Formula:
    def formula(kernel: Kernel) -> Cost | None:
        multiply_adds = products(kernel)
        return None if multiply_adds is None else Cost(multiply_adds, _moved(kernel))

    return formula


def _by_last_axis(kernel: Kernel) -> int:
    """(..., rows, inner) by a weight: `inner` of them for every element of the output."""
    return kernel.outputs[0].elements * kernel.inputs[0].shape[-1]


def _gemm(kernel: Kernel) -> int:
    """(rows, inner), perhaps transposed, by (inner, columns), likewise: every element of the first with every column."""
    return kernel.inputs[0].elements * kernel.outputs[0].shape[-1]


def _perhaps_transposed(kernel: Kernel) -> int | None:
    """Either factor may be transposed, even with its batch axes (`transBatchA`): one of them has the whole batch."""
    (left, right), product = kernel.inputs[:2], kernel.outputs[0]
    if min(len(left.shape), len(right.shape), len(product.shape)) < 2:  # noqa: PLR2004 - matrices at least
        return None
    if not product.elements:
        return 0
    rows, columns = product.shape[-2:]
    found = max(left.elements * columns, right.elements * rows)
    inner, rest = divmod(found, product.elements)
    # Where each factor is repeated along another axis of the batch, this is a fraction of the true length, and no axis is that.
    return None if rest or inner not in left.shape or inner not in right.shape else found


def _convolution(kernel: Kernel, weight: int = 1) -> int:
    """A weight of (outputs, inputs of a group, *window): each element of the output sums one window over those inputs."""
    return kernel.outputs[0].elements * math.prod(kernel.inputs[weight].shape[1:])


def _transposed_convolution(kernel: Kernel) -> int:
    """The other way round: each element of the input goes to one window of outputs."""
    return kernel.inputs[0].elements * math.prod(kernel.inputs[1].shape[1:])


def _attention(kernel: Kernel) -> int | None:
    """Of com.microsoft, with its projections: (batch, length, inputs) by (inputs, queries + keys + values); or ONNX's own."""
    states, weight = kernel.inputs[:2]
    if len(weight.shape) != 2:  # noqa: PLR2004 - a matrix
        return _attend(kernel, states.elements, weight.shape)
    if len(states.shape) != 3 or len(kernel.outputs) > 1:  # noqa: PLR2004 - batch, sequence, width; it keeps earlier tokens too
        return None
    batch, length, _ = states.shape
    width, values = weight.shape[1], kernel.outputs[0].shape[-1]
    queries = (width - values) // 2
    return states.elements * width + batch * length * length * (queries + values)


def _multi_head_attention(kernel: Kernel) -> int | None:
    """Queries and keys apart, or packed with the values: (batch, length, heads, 3, size)."""
    query, key = kernel.inputs[0], kernel.inputs[:2][-1]
    if len(query.shape) == 5:  # noqa: PLR2004 - packed
        return _attend(kernel, query.elements // 3, query.shape)
    return _attend(kernel, query.elements, key.shape)


def _attend(kernel: Kernel, queries: int, keys: tuple[int, ...]) -> int | None:
    """Every element of the queries meets every key, and every element of the answer sums over every value.

    All scores are counted, those that a mask hides included.

    Args:
        queries: how many elements. `keys`: the shape, (batch, length, ...) or (batch, heads, length, size).
    """
    axis = {3: 1, 4: 2, 5: 1}.get(len(keys))
    if axis is None or len(kernel.outputs) > 1:  # it keeps earlier tokens too
        return None
    return (queries + kernel.outputs[0].elements) * keys[axis]


def _einsum(kernel: Kernel) -> int | None:
    """Two factors: as many as there are combinations of all indices. The equation is not in the shapes."""
    terms = [term.strip() for term in kernel.equation.replace(" ", "").partition("->")[0].split(",")]
    shapes = [tensor.shape for tensor in kernel.inputs]
    if len(terms) != 2 or [len(term) for term in terms] != [len(shape) for shape in shapes] or "." in kernel.equation:  # noqa: PLR2004 - of two inputs
        return None
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for index, size in zip(term, shape, strict=True):
            sizes[index] = max(size, sizes.get(index, 0))
    return math.prod(sizes.values())


def _every_element(kernel: Kernel) -> Cost:
    return Cost(0, _moved(kernel))


def _nothing(kernel: Kernel) -> Cost:  # noqa: ARG001
    return Cost(0, 0)


def _written_only(kernel: Kernel) -> Cost:
    """Nothing of the input is read but its shape."""
    return Cost(0, kernel.bytes_written)


def _selection(kernel: Kernel) -> Cost:
    """Reads what it writes, out of a larger tensor, and the indices behind that."""
    data, taken = kernel.inputs[0].elements, kernel.outputs[0].elements
    if not taken:
        return Cost(0, 0)
    indices = kernel.bytes_read - data * kernel.bytes_written // taken
    return Cost(0, indices + 2 * kernel.bytes_written)


def _quantized_selection(kernel: Kernel) -> Cost | None:
    """Rows of a table that is quantized in blocks, with the scales of those rows."""
    table, indices = kernel.inputs[:2]
    if indices.kind not in _BYTES or not table.shape[0]:
        return None
    chosen = indices.elements * _BYTES[indices.kind]
    rows = (kernel.bytes_read - chosen) * indices.elements // table.shape[0]
    return Cost(0, chosen + rows + kernel.bytes_written)


def _embeddings(kernel: Kernel) -> Cost | None:
    """Reads one row of each table for each token; tables are the inputs of two axes that are no ids."""
    if any(tensor.kind not in _BYTES for tensor in kernel.inputs):
        return None
    row = kernel.outputs[0].elements
    moved = kernel.bytes_written
    for tensor in kernel.inputs:
        is_table = len(tensor.shape) == 2 and not tensor.kind.startswith("int")  # noqa: PLR2004 - a matrix
        moved += _BYTES[tensor.kind] * (row if is_table else tensor.elements)
    return Cost(0, moved)


FORMULAS: Mapping[str, Formula] = {
    **dict.fromkeys((*EVERY_ELEMENT, *COPIED), _every_element),
    **dict.fromkeys(
        ("DynamicQuantizeMatMul", "MatMul", "MatMulBnb4", "MatMulInteger", "MatMulIntegerToFloat", "MatMulNBits",
         "QLinearMatMul"),
        _with_products(_by_last_axis),
    ),
    **dict.fromkeys(("FusedGemm", "Gemm", "GemmFastGelu", "GemmFloat8", "QGemm"), _with_products(_gemm)),
    **dict.fromkeys(("FusedMatMul", "TransposeMatMul"), _with_products(_perhaps_transposed)),
    **dict.fromkeys(("Conv", "ConvInteger", "FusedConv", "NhwcConv", "NhwcFusedConv"), _with_products(_convolution)),
    "QLinearConv": _with_products(partial(_convolution, weight=3)),
    "ConvTranspose": _with_products(_transposed_convolution),
    **dict.fromkeys(("Attention", "QAttention"), _with_products(_attention)),
    "MultiHeadAttention": _with_products(_multi_head_attention),
    "Einsum": _with_products(_einsum),
    # The output is declared an alias of the input: the same memory.
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _nothing),
    **dict.fromkeys(("If", "Loop", "Scan"), _nothing),  # their bodies' nodes are counted by themselves
    **dict.fromkeys(("ConstantOfShape", "Shape", "Size"), _written_only),
    **dict.fromkeys(("Gather", "GatherElements", "GatherND", "Slice"), _selection),
    "GatherBlockQuantized": _quantized_selection,
    "EmbedLayerNormalization": _embeddings,
}  # fmt: skip
"""By operator. A node of these that is no product of matrices has no multiply-adds, only bytes."""
