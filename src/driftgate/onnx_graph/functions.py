"""The operators that an export leaves whole: ONNX functions of a domain of our own, with bodies of standard operators.

A layer's attention is one node in an exported file, and so is its GELU. Every runtime inlines what it has no kernel for, so the
file runs everywhere as it is; each later step writes that one node in the form that is best for it.
"""

from pathlib import Path
from typing import Any

import numpy as np

from driftgate.onnx_graph.graph import readers

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
    """The ONNX file `source` without our functions, an onnx.ModelProto; without `weights` external data stays where it is.

    Nodes are named after the call that they stand for, and the numbers of a body become initializers, whose types later steps
    know how to change: onnx's own inliner does neither, and takes no more than 2 GB.
    """
    import onnx

    model = onnx.load(source, load_external_data=weights)
    bodies = {function.name: function for function in model.functions if function.domain == DOMAIN}
    nodes = []
    for node in list(model.graph.node):
        called = bodies.get(node.op_type) if node.domain == DOMAIN else None
        nodes += [node] if called is None else _expand(model.graph, node, called)
    del model.functions[:], model.graph.node[:]
    model.graph.node.extend(nodes)
    _join_transposes(model.graph)
    return model


def _join_transposes(graph: Any) -> None:
    """A body turns what was turned for its call: one Transpose does both."""
    makers = {node.output[0]: node for node in graph.node if node.op_type == "Transpose"}
    reading = readers(graph)
    for node in list(makers.values()):
        first = makers.get(node.input[0])
        if first is not None and len(reading[node.input[0]]) == 1:
            before, after = (turned.attribute[0].ints for turned in (first, node))
            node.input[0] = first.input[0]
            after[:] = [before[axis] for axis in after]
            graph.node.remove(first)


def _expand(graph: Any, call: Any, function: Any) -> list[Any]:
    from onnx import helper, numpy_helper

    actual = dict(zip((*function.input, *function.output), (*call.input, *call.output), strict=True))
    given = {entry.name: helper.get_attribute_value(entry) for entry in call.attribute}
    nodes = []
    for inner in function.node:
        inputs, outputs = (
            [actual.get(name, f"{call.name}/{name}") for name in part] for part in (inner.input, inner.output)
        )
        if inner.op_type == "Constant":
            (entry,) = inner.attribute
            value = given[entry.ref_attr_name] if entry.ref_attr_name else entry.f
            graph.initializer.append(numpy_helper.from_array(np.array(value, np.float32), outputs[0]))
            continue
        nodes.append(helper.make_node(inner.op_type, inputs, outputs, name=f"{call.name}/{inner.output[0]}"))
        nodes[-1].attribute.extend(inner.attribute)
    return nodes
