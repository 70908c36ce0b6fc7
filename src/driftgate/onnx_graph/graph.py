"""Reading an ONNX graph, and rewriting it node by node."""

from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from driftgate.errors import BuildError
from driftgate.onnx_graph.onnx_file import external_names

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""

QUANTIZED_OPERATORS = frozenset(
    {
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "DynamicQuantizeMatMul",
        "GatherBlockQuantized",
        "MatMulBnb4",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "MatMulNBits",
        "QAttention",
        "QEmbedLayerNormalization",
        "QGemm",
        "QLinearMatMul",
        "QuantizeLinear",
    }
)
"""A graph that has one of these is quantized."""


def real_inputs(graph: Any) -> list[Any]:
    """What a graph is given, ValueInfoProtos; old files name their constants as inputs too."""
    constants = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in constants]


def makers(graph: Any) -> dict[str, Any]:
    """The node that computes each tensor, by the tensor's name."""
    return {name: node for node in graph.node for name in node.output}


def readers(graph: Any) -> defaultdict[str, list[Any]]:
    """The nodes that read each tensor, by the tensor's name, in order; a node as often as it reads it."""
    found: defaultdict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            found[name].append(node)
    return found


def find_needed(nodes: Sequence[Any], names: Iterable[str], given: Container[str] = ()) -> tuple[list[Any], set[str]]:
    """The nodes that these tensors are computed by, in order, and the names of all tensors that takes.

    Args:
        given: names of tensors that are there already, so that what computes them is not needed.
    """
    wanted, needed = set(names), []
    for node in reversed(nodes):
        if not wanted.isdisjoint(node.output):
            needed.append(node)
            wanted.update(name for name in node.input if name not in given)
    return needed[::-1], wanted


def attribute(node: Any, name: str, default: Any) -> Any:
    """An attribute's value, or `default` where the node does not have it."""
    from onnx import helper

    return next((helper.get_attribute_value(found) for found in node.attribute if found.name == name), default)


def refuse_quantized(model: Any, source: Path) -> None:
    """Quantizing what is quantized already multiplies its error, and float16 has nothing to convert in it.

    Raises:
        BuildError: `model`, read from `source`, has a quantized operator.
    """
    found = sorted({node.op_type for node in model.graph.node} & QUANTIZED_OPERATORS)
    if found:
        raise BuildError(
            f"{source.name}: expected a float32 graph, found one that is quantized already ({', '.join(found)}); "
            "start from the export"
        )


def has_external_data(model: Path) -> bool:
    """Whether weights of an ONNX file lie in files of their own, as they must over 2 GB."""
    return bool(external_names(model))


LARGEST_FILE = 2**30
"""Bytes of weights. A file may hold 2 GB; what a step adds, such as folded constants, has to fit as well."""


def save_model(model: Any, target: Path) -> None:
    """Save a model whose weights are in memory: in a file of their own beside it where one file might not hold all of it."""
    _save(model, target, external=sum(len(tensor.raw_data) for tensor in model.graph.initializer) > LARGEST_FILE)


def save_beside(model: Any, source: Path, target: Path) -> None:
    """Save what was made of `source`: weights go into a file of their own where they did there (over 2 GB they must)."""
    _save(model, target, external=has_external_data(source))


def _save(model: Any, target: Path, *, external: bool) -> None:
    import onnx

    onnx.save(model, target, save_as_external_data=external, location=f"{target.name}_data" if external else None)


def keep_initializers(graph: Any, names: Container[str]) -> None:
    """Take all initializers out of a GraphProto but those of these names.

    One by one: putting the kept ones into an emptied list copies them, and protobuf copies nothing of 2 GB.
    """
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in names:
            del graph.initializer[index]


class GraphWriter:
    """Writes a graph again: take its nodes, write others, finish."""

    FLOAT: ClassVar[int] = 1  # TensorProto.FLOAT

    def __init__(self, model: Any) -> None:
        self.model = model
        self._values = {tensor.name: tensor for tensor in model.graph.initializer}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._nodes: list[Any] = []
        self._written: set[str] = set()

    def take_nodes(self) -> list[Any]:
        """The nodes as they were, in order."""
        return list(self.model.graph.node)

    def value(self, name: str) -> NDArray[Any] | None:
        """A constant's value; None for what is computed."""
        from onnx import numpy_helper

        return numpy_helper.to_array(self._values[name]) if name in self._values else None

    def matrix(self, name: str) -> NDArray[np.float32] | None:
        """A constant float32 matrix."""
        value = self.value(name)
        return value if value is not None and value.ndim == 2 and value.dtype == np.float32 else None  # noqa: PLR2004 - a matrix

    def width(self, name: str) -> int:
        """The last dimension of a constant."""
        return int(self._values[name].dims[-1])

    def tensor(self, value: NDArray[Any]) -> Any:
        """An array as a TensorProto without a name."""
        from onnx import numpy_helper

        return numpy_helper.from_array(np.asarray(value))

    def constant(self, value: Any, name: str = "") -> str:
        """The name of a constant of this value; equal ones are stored once."""
        from onnx import numpy_helper

        array = np.asarray(value)
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = name or f"rowwise_constant_{len(self._constants)}"
            tensor = numpy_helper.from_array(array, self._constants[key])
            self.model.graph.initializer.append(tensor)
            self._values[tensor.name] = tensor
        return self._constants[key]

    def node(self, operator: str, inputs: list[str], *outputs: str, domain: str = "", **attributes: Any) -> str:
        """Write a node, named after its first output; the name of that."""
        from onnx import helper

        self.append(helper.make_node(operator, inputs, outputs, name=outputs[0], domain=domain, **attributes))
        return outputs[0]

    def node_once(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """The same, unless it is there already."""
        return output if output in self._written else self.node(operator, inputs, output, **attributes)

    def copy(self, node: Any, inputs: list[str], output: str) -> str:
        """Write a node like `node`, with other inputs and its one output under another name."""
        copied = type(node)()
        copied.CopyFrom(node)
        copied.input[:], copied.output[:] = inputs, [output]
        self.append(copied)
        return output

    def append(self, node: Any) -> None:
        """Write a node as it is."""
        self._nodes.append(node)
        self._written.update(node.output)

    def is_written(self, name: str) -> bool:
        """Whether a node of the new graph makes the tensor."""
        return name in self._written

    def finish(self) -> None:
        """Put what was written into the model; constants and nodes that nobody reads are left out."""
        graph = self.model.graph
        nodes, names = find_needed(self._nodes, [output.name for output in graph.output])
        del graph.node[:], graph.value_info[:]
        graph.node.extend(nodes)
        keep_initializers(graph, names)
