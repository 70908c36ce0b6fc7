"""The operators that an export leaves whole: ONNX functions of a domain of our own, with bodies of standard operators.

A layer's attention is one node in an exported file, and so is its GELU. Every runtime inlines what it has no kernel for, so the
file runs everywhere as it is; each later step writes that one node in the form that is best for it.
"""

from pathlib import Path
from typing import Any

import numpy as np

DOMAIN = "driftgate"

ATTENTION, GELU, GELU_TANH = "SelfAttention", "Gelu", "GeluTanh"
"""The first is not called "Attention": ONNX Runtime's quantizers go by the name alone, and would take it for their own."""

# Query, key and value are (batch, heads, sequence, head size); the mask is added to scores of (batch, heads, sequence, sequence).
# The orders of the operands are those in which ONNX Runtime recognizes GELU when it loads a file.
_BODIES = {
    ATTENTION: """<num_heads, head_size, scale>(query, key, value, mask) => (mixed) {
        turned = Transpose<perm = [0, 1, 3, 2]>(key)
        products = MatMul(query, turned)
        factor = Constant<value_float: float = @scale>()
        scores = Mul(products, factor)
        masked = Add(scores, mask)
        shares = Softmax<axis = -1>(masked)
        mixed = MatMul(shares, value)
    }""",
    GELU: """(x) => (y) {
        root = Constant<value_float = 1.4142135623730951>()
        one = Constant<value_float = 1.0>()
        half = Constant<value_float = 0.5>()
        divided = Div(x, root)
        error = Erf(divided)
        raised = Add(error, one)
        doubled = Mul(x, raised)
        y = Mul(doubled, half)
    }""",
    GELU_TANH: """(x) => (y) {
        three = Constant<value_float = 3.0>()
        cubic = Constant<value_float = 0.044715>()
        factor = Constant<value_float = 0.7978845608028654>()
        one = Constant<value_float = 1.0>()
        half = Constant<value_float = 0.5>()
        cube = Pow(x, three)
        bent = Mul(cube, cubic)
        sum = Add(x, bent)
        scaled = Mul(sum, factor)
        tangent = Tanh(scaled)
        raised = Add(tangent, one)
        halved = Mul(x, half)
        y = Mul(halved, raised)
    }""",
}


def define_functions(model: Any, opset: int) -> None:
    """Put the definitions of the functions that an onnx.ModelProto calls into it."""
    from onnx import parser

    called = {node.op_type for node in model.graph.node if node.domain == DOMAIN}
    model.functions.extend(
        parser.parse_function(f'<domain: "{DOMAIN}", opset_import: ["": {opset}]>\n{name} {body}')
        for name, body in _BODIES.items()
        if name in called
    )


def load_inlined(source: Path, *, weights: bool = True) -> Any:
    """The ONNX file `source` in standard operators only, an onnx.ModelProto; without `weights` external data stays there."""
    import onnx
    from onnx import inliner

    model = onnx.load(source, load_external_data=False)  # inlining takes no more than 2 GB
    if model.functions:
        model = inliner.inline_local_functions(model)
        _lift_constants(model.graph)
    if weights:
        onnx.load_external_data_for_model(model, str(source.parent))
    return model


def _lift_constants(graph: Any) -> None:
    """Numbers that bodies brought in as nodes become initializers, whose types later steps know how to change."""
    from onnx import helper, numpy_helper

    numbers = [node for node in graph.node if node.op_type == "Constant" and node.attribute[0].name == "value_float"]
    for node in numbers:
        value = np.array(helper.get_attribute_value(node.attribute[0]), np.float32)
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        graph.node.remove(node)
