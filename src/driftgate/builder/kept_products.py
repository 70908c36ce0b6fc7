"""Products that a recipe keeps in float, for quantizers that take the names of nodes to leave alone."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.builder.rowwise.recipes import module_path, require_known
from driftgate.errors import BuildError
from driftgate.inputs.recipe import Form
from driftgate.onnx_graph.graph import GraphWriter, save_beside
from driftgate.onnx_graph.product_sites import find_product_sites

_FLOATS = (Form.FLOAT32, Form.FLOAT16)


def keep_products(graph: Any, recipe: Mapping[str, Form]) -> dict[str, Form]:
    """The names of the nodes of a GraphProto that a recipe keeps in float, with their forms.

    Raises:
        BuildError: products that the graph has not, or other forms than float.
    """
    other = {path: form for path, form in recipe.items() if form not in _FLOATS}
    for path, form in other.items():
        raise BuildError(
            f"recipe: {path} is {form}, and ONNX Runtime's dynamic INT8 can keep products in {', '.join(_FLOATS)}"
        )
    products = {node.output[0]: node for node in graph.node}
    nodes = [products[site.output] for site in find_product_sites(graph)]
    require_known(recipe, [module_path(node) for node in nodes])
    kept = {node.name: Form(recipe[module_path(node)]) for node in nodes if module_path(node) in recipe}
    # A Gemm becomes a MatMul of this name before the quantizer asks.
    return kept | {
        f"{node.name}_MatMul": kept[node.name] for node in nodes if node.op_type == "Gemm" and node.name in kept
    }


def store_halves(target: Path, names: Collection[str]) -> None:
    """Store the weights of these nodes in float16, in place; they become float32 again when the file is loaded."""
    import onnx

    model = onnx.load(target)
    graph = GraphWriter(model)
    for node in graph.take_nodes():
        if node.name in names:
            place = 0 if node.op_type == "Gather" else 1
            weight = graph.value(node.input[place])
            if weight is not None and weight.dtype == np.float32:
                half = graph.constant(weight.astype(np.float16), f"{node.input[place]}/float16")
                node.input[place] = graph.node_once("Cast", [half], f"{node.input[place]}/widened", to=graph.FLOAT)
        graph.append(node)
    graph.finish()
    save_beside(model, target, target)
