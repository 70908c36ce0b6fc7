"""Where a graph multiplies by its weights: each product and each lookup of embeddings, whatever its numbers are stored as.

What lies between the float tensor that goes in and the float tensor that comes out (quantizing the activations, integer sums,
scales) belongs to the product: it can be exchanged as one piece.
"""

from collections import ChainMap
from dataclasses import dataclass
from typing import Any

from driftgate.onnx_graph.graph import MICROSOFT, attribute, makers, readers
from driftgate.onnx_graph.graph_walk import BLOCK_PRODUCTS, Site, constant_of, is_product, weight_shape

_MIN_WIDTH = 2
_MATRIX = 2
_OF_ACTIVATIONS = frozenset({"DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"})
_INTEGER_SUMS = frozenset({"MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"})
_INTEGER_OUTPUTS = frozenset({"QLinearMatMul", "QGemm"})
_INTEGERS = frozenset({2, 3})  # TensorProto.UINT8, INT8
_HALVES = frozenset({10, 16})  # TensorProto.FLOAT16, BFLOAT16


@dataclass(frozen=True, slots=True)
class ProductSite:
    """A product of activations and a weight, or a lookup in a table of embeddings.

    Args:
        name: the node's, or its place among the products where it has none.
        operator: what multiplies, such as "MatMulIntegerToFloat".
        inputs: the float tensor that goes in; the ids, for a table. `output`: the float tensor that comes out.
        shape: of the weight, (inputs, outputs) or (entries, width).
        table: whether it is a lookup. `half`: whether what comes out is float16.
        bias: the tensor that the operator adds itself (Gemm); "" for none.
        weight: where a float tensor holds the weights, its name; "" where they are only integers.
        transposed: whether it holds them as (outputs, inputs).
        rounded: where `inputs` are rounded to integers and back before they go in (QDQ), the tensor that is read; else "".
    """

    name: str
    operator: str
    inputs: str
    output: str
    shape: tuple[int, int]
    table: bool = False
    half: bool = False
    bias: str = ""
    weight: str = ""
    transposed: bool = False
    rounded: str = ""


def find_product_sites(graph: Any) -> list[ProductSite]:
    """Every product with a constant side, and every lookup in a constant table, of a GraphProto, in order.

    Products in bodies of If and Loop are left out, and so are attention operators that multiply by packed weights themselves.
    """
    search = _Search(graph)
    for node in graph.node:
        search.look_at(node)
    return search.found


class _Search:
    def __init__(self, graph: Any) -> None:
        self._makers = makers(graph)
        self._readers = readers(graph)
        self._outputs = {value.name for value in graph.output}
        constants = {tensor.name: tensor for tensor in graph.initializer}
        constants.update({node.output[0]: tensor for node in graph.node for tensor in constant_of(node)})
        self._constants = constants
        self._ended: set[str] = set()
        self.found: list[ProductSite] = []

    def look_at(self, node: Any) -> None:
        around = Site(node, ChainMap(self._makers), ChainMap(self._constants))
        found = None
        if node.op_type == "Gather" and attribute(node, "axis", 0) == 0:
            found = self._table(node, around)
        elif is_product(node) and node.op_type not in ("Attention", "QAttention", "Einsum"):
            found = self._product(node, around)
        if found is not None:
            self.found.append(found)
            self._ended.add(found.output)

    def _name(self, node: Any) -> str:
        return node.name or f"product {len(self.found) + 1} of the graph"

    def _table(self, node: Any, around: Site) -> ProductSite | None:
        table = around.constant(node.input[0])
        if table is None or len(table.dims) != _MATRIX or table.dims[1] < _MIN_WIDTH:
            return None
        output = node.output[0]
        stored = self._constants.get(node.input[0])
        in_integers = stored is not None and stored.data_type in _INTEGERS
        if in_integers:
            output = self._behind_scales(output, node.input[1])
        shape = (int(table.dims[0]), int(table.dims[1]))
        half = table.data_type in _HALVES and output == node.output[0]
        weight = "" if in_integers else node.input[0]
        return ProductSite(
            self._name(node), node.op_type, node.input[1], output, shape, table=True, half=half, weight=weight
        )

    def _product(self, node: Any, around: Site) -> ProductSite | None:
        weight = around.weight(node)
        if weight is None or len(weight_shape(node, weight)) != _MATRIX or around.constant(node.input[0]) is not None:
            return None
        shape = weight_shape(node, weight)
        if node.op_type == "Gemm":
            if attribute(node, "transA", 0) or attribute(node, "alpha", 1.0) != 1 or attribute(node, "beta", 1.0) != 1:
                return None
            shape = shape[::-1] if attribute(node, "transB", 0) else shape
        inputs = self._float_input(node.input[0])
        output = self._float_output(node, inputs)
        if output is None:
            return None
        bias = node.input[2] if node.op_type == "Gemm" and len(node.input) > _MATRIX else ""
        half = self._is_half(node, weight)
        return ProductSite(
            self._name(node),
            node.op_type,
            inputs,
            output,
            (int(shape[0]), int(shape[1])),
            half=half,
            bias=bias,
            weight=node.input[1] if node.op_type in ("MatMul", "Gemm") else "",
            transposed=node.op_type == "Gemm" and bool(attribute(node, "transB", 0)),
            rounded=node.input[0] if node.op_type in ("MatMul", "Gemm") and node.input[0] != inputs else "",
        )

    def _is_half(self, node: Any, weight: Any) -> bool:
        if node.op_type in BLOCK_PRODUCTS:
            scales = self._constants.get(node.input[2])
            return scales is not None and scales.data_type in _HALVES
        return node.input[1] in self._constants and weight.data_type in _HALVES

    def _float_input(self, name: str) -> str:
        while name not in self._ended and (maker := self._makers.get(name)) and maker.op_type in _OF_ACTIVATIONS:
            name = maker.input[0]
        return name

    def _float_output(self, node: Any, inputs: str) -> str | None:
        """Behind the scales of an integer product; None where it does not end in a float tensor of its own."""
        output = str(node.output[0])
        if node.op_type in _INTEGER_OUTPUTS:
            following = self._only_reader(output)
            return (
                str(following.output[0]) if following is not None and following.op_type == "DequantizeLinear" else None
            )
        return self._behind_scales(output, inputs) if node.op_type in _INTEGER_SUMS else self._behind_rounding(output)

    def _behind_scales(self, output: str, inputs: str) -> str:
        while following := self._only_reader(output):
            scaled = following.op_type == "Mul" and self._is_scale(_other(following, output), inputs)
            if following.op_type not in ("Cast", "DequantizeLinear") and not scaled:
                break
            output = str(following.output[0])
        return output

    def _behind_rounding(self, name: str) -> str:
        """`name`, or what it is after it has been rounded to integers and back, if nothing else reads it (QDQ)."""
        rounding = self._only_reader(name)
        if rounding is None or rounding.op_type != "QuantizeLinear":
            return name
        back = self._only_reader(rounding.output[0])
        return str(back.output[0]) if back is not None and back.op_type == "DequantizeLinear" else name

    def _only_reader(self, name: str) -> Any | None:
        found = self._readers.get(name, [])
        return found[0] if len(found) == 1 and name not in self._outputs else None

    def _is_scale(self, name: str, inputs: str) -> bool:
        """Whether `name` is computed from constants and the activations `inputs` alone, without another product."""
        pending, seen = [name], {name}
        while pending:
            current = pending.pop()
            maker = self._makers.get(current)
            if current == inputs or current in self._constants:
                continue
            if maker is None or is_product(maker) or maker.domain not in ("", "ai.onnx", MICROSOFT) or len(seen) > 64:  # noqa: PLR2004 - scales are made of few nodes
                return False
            pending.extend(read for read in maker.input if read and read not in seen)
            seen.update(maker.input)
        return True


def _other(node: Any, name: str) -> str:
    """The other input of a node of two."""
    first, second = node.input
    return str(second if first == name else first)
