"""Walking an ONNX graph: every node of every subgraph, and where the names it reads come from."""

from collections import ChainMap, deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The weight behind these is the same numbers, perhaps rounded, in another shape or order.
_SAME_NUMBERS = frozenset(
    {
        "Cast", "DequantizeLinear", "DynamicQuantizeLinear", "Flatten", "Identity", "QuantizeLinear", "Reshape", "Squeeze",
        "Transpose", "Unsqueeze",
    }
)  # fmt: skip
BLOCK_PRODUCTS = frozenset({"MatMulBnb4", "MatMulNBits"})
"""Products whose weights are packed, several to a byte, with a scale for each block of them."""
_ELEMENTWISE = frozenset({"Add", "Clip", "Div", "Max", "Mul", "Sub", "Where"})
# Products by operator, and at which inputs either side stands.
_SIDES = {
    **dict.fromkeys(
        ("MatMul", "FusedMatMul", "Gemm", "Einsum", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"),
        (0, 1),
    ),
    **dict.fromkeys(("QLinearMatMul", "QGemm"), (0, 3)),
    **dict.fromkeys(("Attention", "QAttention", *BLOCK_PRODUCTS), (1,)),
}
_INTEGER = frozenset(
    {"DynamicQuantizeMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QAttention", "QGemm", "QLinearMatMul"}
)


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A node where it stands: `makers` and `constants` are what it can see, NodeProto and TensorProto by name."""

    node: Any
    makers: ChainMap[str, Any]
    constants: ChainMap[str, Any]

    def constant(self, name: str) -> Any | None:
        """The constant, a TensorProto, whose numbers `name` holds; None for what depends on the inputs."""
        while name not in self.constants:
            maker = self.makers.get(name)
            if maker is None or maker.op_type not in _SAME_NUMBERS:
                return None
            name = maker.input[0]
        return self.constants[name]

    def weight(self, node: Any) -> Any | None:
        """The constant side, a TensorProto, of a product; None where both sides are computed, or it is no product."""
        found = (self.constant(node.input[side]) for side in _SIDES.get(node.op_type, ()))
        return next((tensor for tensor in found if tensor is not None), None)

    def is_integer(self, node: Any) -> bool:
        """Whether a product is of integers: by its operator, or because the session makes it so (QDQ)."""
        if node.op_type in ("MatMul", "Gemm"):
            makers = (self.makers.get(node.input[side]) for side in _SIDES[node.op_type])
            return all(maker is not None and maker.op_type == "DequantizeLinear" for maker in makers)
        return node.op_type in _INTEGER

    def upstream(self, name: str) -> Iterator[Any]:
        """The nodes that `name` is computed by, nearest first, up to and with the first that are not elementwise."""
        pending, seen = deque([name]), {name}
        while pending:
            maker = self.makers.get(pending.popleft())
            if maker is None:
                continue
            yield maker
            if maker.op_type in _ELEMENTWISE:
                read = list(maker.input)
            else:
                read = [maker.input[0]] if maker.op_type in _SAME_NUMBERS else []
            pending.extend(other for other in read if other not in seen)
            seen.update(read)

    def dimensions(self, reshape: Any, folder: Path) -> list[int | None]:
        """What a Reshape's shape is known to be, None for each dimension that depends on the inputs or is left open."""
        return [size if size and size > 0 else None for size in self._values(reshape.input[1], folder)]

    def _values(self, name: str, folder: Path) -> list[int | None]:
        from onnx import TensorProto, numpy_helper

        tensor, maker = self.constant(name), self.makers.get(name)
        if tensor is not None and tensor.data_type == TensorProto.INT64:
            return [int(value) for value in numpy_helper.to_array(tensor, str(folder)).ravel()]
        if maker is not None and maker.op_type == "Concat":
            return [value for part in maker.input for value in self._values(part, folder)]
        return [None]


def is_product(node: Any) -> bool:
    """Whether the node multiplies matrices."""
    return node.op_type in _SIDES


def weight_shape(product: Any, weight: Any) -> tuple[int, ...]:
    """The shape of a product's weight. One that is packed into blocks is (inputs, outputs), from the attributes."""
    if product.op_type in BLOCK_PRODUCTS:
        given = attributes(product)
        return given["K"], given["N"]
    return tuple(weight.dims)


def attributes(node: Any) -> dict[str, Any]:
    """A node's attributes as Python values, by name."""
    from onnx import helper

    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def walk(graph: Any, outer: Site | None = None) -> Iterator[Site]:
    """Every node of `graph` and of the graphs in it, the bodies of If and Loop."""
    makers = outer.makers if outer else ChainMap()
    constants = outer.constants if outer else ChainMap()
    makers = makers.new_child({name: node for node in graph.node for name in node.output})
    constants = constants.new_child({tensor.name: tensor for tensor in graph.initializer})
    constants.update({node.output[0]: tensor for node in graph.node for tensor in constant_of(node)})
    for node in graph.node:
        site = Site(node, makers, constants)
        yield site
        for body in bodies(node):
            yield from walk(body, site)


def inline_functions(model: Any, *, keep: str = "") -> Any:
    """The same onnx.ModelProto without functions of its own: their nodes stand where they were called.

    Functions of the domain `keep` stay calls.
    """
    from onnx.inliner import inline_selected_functions

    if not model.functions:
        return model
    kept = [(entry.domain, entry.name) for entry in model.functions if entry.domain == keep]
    return inline_selected_functions(model, kept, exclude=True)


def bodies(node: Any) -> list[Any]:
    """The graphs that a node holds."""
    return [body for attribute in node.attribute for body in (attribute.g, *attribute.graphs) if body.node]


def constant_of(node: Any) -> list[Any]:
    """What a Constant node holds, a TensorProto; nothing for other nodes."""
    held = [attribute.t for attribute in node.attribute if attribute.name == "value"]
    return held if node.op_type == "Constant" else []


def list_constants(graph: Any) -> list[Any]:
    """Every constant, a TensorProto: initializers and Constant nodes, those of bodies too."""
    own = [*graph.initializer, *(tensor for node in graph.node for tensor in constant_of(node))]
    return own + [tensor for node in graph.node for body in bodies(node) for tensor in list_constants(body)]
