"""Operators without products of matrices, which read every input and write every output once: their work is bytes alone."""

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
