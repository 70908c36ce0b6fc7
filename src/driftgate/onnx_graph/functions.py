"""The operators that an export leaves whole: ONNX functions of a domain of our own, with bodies of standard operators.

A layer's attention is one node in an exported file, and so is its GELU. Every runtime inlines what it has no kernel for, so the
file runs everywhere as it is; each later step writes that one node in the form that is best for it:
`lower_functions` in the operators of ONNX Runtime.
"""

from pathlib import Path
from typing import Any

import numpy as np

from driftgate.onnx_graph.graph import MICROSOFT, GraphWriter, attribute, makers, readers, save_beside

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


_SWAP = [0, 2, 1, 3]
"""(batch, sequence, heads, head size) to (batch, heads, sequence, head size), and back."""

_FUSED = {GELU: "Gelu", GELU_TANH: "FastGelu"}


def fuse_layers(source: Path, target: Path) -> None:
    """Attention and GELU as ONNX Runtime's operators, for a GPU before float16. GELU stays what it is, exact or by tanh."""
    import onnx

    model = onnx.load(source)
    lower_functions(model, for_kernels=True)
    save_beside(model, source, target)


def lower_functions(model: Any, *, for_kernels: bool = False) -> None:
    """Write every call of our functions in an onnx.ModelProto as a node of ONNX Runtime's, in place.

    Attention becomes MultiHeadAttention of (batch, sequence, width), and the nodes around it that split heads and join them go.

    Args:
        for_kernels: as ONNX Runtime's kernels take it. Otherwise it also says its `head_size`, and its bias may be
            (batch, 1, 1, sequence), which they do not take.
    """
    graph = GraphWriter(model)
    heads = _Heads(graph)
    for node in graph.take_nodes():
        if node.domain == DOMAIN and node.op_type == ATTENTION:
            heads.write(node, for_kernels=for_kernels)
        elif node.domain == DOMAIN:
            graph.node(_FUSED[node.op_type], list(node.input), node.output[0], domain=MICROSOFT)
        elif not graph.is_written(node.output[0]):
            graph.append(node)
    graph.finish()
    del model.functions[:]
    for entry in model.opset_import:
        if entry.domain == DOMAIN:
            entry.domain = MICROSOFT


class _Heads:
    """Writes calls of Attention, whose tensors are split into heads, as an operator that splits them itself."""

    def __init__(self, graph: GraphWriter) -> None:
        self._graph = graph
        self._makers = makers(graph.model.graph)
        self._readers = readers(graph.model.graph)

    def write(self, node: Any, *, for_kernels: bool) -> None:
        graph, (*split, bias), mixed = self._graph, node.input, node.output[0]
        inputs = [self._joined(name) for name in split]
        chosen = {name: attribute(node, name, 0) for name in ("num_heads", "scale", "head_size")}
        if for_kernels:
            bias = self._for_each_query(bias, inputs[0])
            del chosen["head_size"]
        out = self._rejoined(mixed)
        given = [*inputs, "", "", bias]
        graph.node("MultiHeadAttention", given, out or f"{mixed}/joined", domain=MICROSOFT, **chosen)
        if not out:
            sizes = graph.constant(np.array([0, 0, chosen["num_heads"], -1], np.int64))
            graph.node("Reshape", [f"{mixed}/joined", sizes], f"{mixed}/split")
            graph.node("Transpose", [f"{mixed}/split"], mixed, perm=_SWAP)

    def _joined(self, name: str) -> str:
        """What is split into the heads of `name`, (batch, sequence, width)."""
        swap = self._makers.get(name)
        split = self._makers.get(swap.input[0]) if swap is not None and _is_swap(swap) else None
        if split is not None and split.op_type == "Reshape":
            return str(split.input[0])
        graph = self._graph
        turned = graph.node_once("Transpose", [name], f"{name}/turned", perm=_SWAP)
        return graph.node_once("Reshape", [turned, graph.constant(np.array([0, 0, -1], np.int64))], f"{name}/joined")

    def _rejoined(self, name: str) -> str:
        """What the heads of `name` are joined to where nothing else reads them, (batch, sequence, width); else ""."""
        swaps = self._readers[name]
        joins = self._readers[swaps[0].output[0]] if len(swaps) == 1 and _is_swap(swaps[0]) else []
        return str(joins[0].output[0]) if len(joins) == 1 and joins[0].op_type == "Reshape" else ""

    def _for_each_query(self, bias: str, query: str) -> str:
        graph, one = self._graph, self._graph.constant(np.array([1], np.int64))
        length = graph.node_once("Shape", [query], f"{query}/length", start=1, end=2)
        shape = graph.node_once("Concat", [one, one, length, one], f"{bias}/shape", axis=0)
        return graph.node_once("Expand", [bias, shape], f"{bias}/full")


def _is_swap(node: Any) -> bool:
    return bool(node.op_type == "Transpose" and attribute(node, "perm", []) == _SWAP)
