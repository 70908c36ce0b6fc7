"""Which product of a graph is which of the reference's: told by their weights, so that published files need no names.

A product's weights in force are found by asking it for unit vectors, whatever they are stored as.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.explain.reference_calls import Call
from driftgate.explain.sessions import GraphSession
from driftgate.onnx_graph.graph_variants import cut_out, put_into_float
from driftgate.onnx_graph.product_sites import ProductSite, find_product_sites

_ALIKE = 0.5
"""The least cosine between two matrices of weights that are the same. Others have one near 0; 4 bits leave 0.99."""

_PROBED_ENTRIES = 512
"""How many entries of a table are compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A product of the graph and the reference's that it stands for.

    Args:
        weight_error: how far the weights in force are from the encoder's: root mean square, relative to theirs.
    """

    call: Call
    site: ProductSite
    weight_error: float

    @property
    def exact(self) -> bool:
        """Whether it multiplies in float, by the encoder's own weights or nearly so."""
        return self.site.weight != "" and self.weight_error < _ROUNDING


_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Matches:
    """What was matched, in the order of the reference's calls, and what was not.

    Args:
        without_product: paths of the reference's that no product of the graph stands for.
        without_module: products of the graph that are none of the reference's.
    """

    found: tuple[Match, ...]
    without_product: tuple[str, ...]
    without_module: tuple[str, ...]


def match_products(model: Any, calls: tuple[Call, ...]) -> Matches:
    """Match the products of an onnx.ModelProto, whose weights are in memory, with the reference's.

    Where layers share weights, the first product of a weight is its first call, and so on.
    """
    open_calls: dict[tuple[bool, tuple[int, ...]], dict[str, list[Call]]] = defaultdict(lambda: defaultdict(list))
    for call in calls:
        open_calls[call.table, call.weight.shape][call.path].append(call)
    found: dict[str, Match] = {}
    left: list[str] = []
    for site in find_product_sites(model.graph):
        candidates = [group for group in open_calls[site.table, site.shape].values() if group]
        in_force = _weights_in_force(model, site) if candidates else None
        if in_force is None:
            left.append(site.name)
            continue
        closeness = [_cosine(group[0].weight[: len(in_force)], in_force) for group in candidates]
        best = int(np.argmax(closeness))
        if not closeness[best] > _ALIKE:
            left.append(site.name)
            continue
        call = candidates[best].pop(0)
        found[call.name] = Match(call, site, _error(call.weight[: len(in_force)], in_force))
    ordered = tuple(found[call.name] for call in calls if call.name in found)
    return Matches(ordered, tuple(call.name for call in calls if call.name not in found), tuple(left))


def make_exact(model: Any, matches: Iterable[Match]) -> Any:
    """A copy of an onnx.ModelProto in which these products multiply in float32 by the encoder's own weights."""
    return put_into_float(model, {match.site: match.call.weight for match in matches})


def _weights_in_force(model: Any, site: ProductSite) -> NDArray[np.float32] | None:
    """What the product multiplies by, float32, (inputs, outputs); None where it cannot be asked alone."""
    from onnx import TensorProto

    if site.weight:
        values = _constant(model, site.weight)
        values = values[:_PROBED_ENTRIES] if site.table else values
        return np.asarray(values.T if site.transposed else values, np.float32)
    if site.table:
        ids = np.arange(min(site.shape[0], _PROBED_ENTRIES))[None]
        part = cut_out(model, [site.output], {site.inputs: (TensorProto.INT64, 2)})
        return np.asarray(_run(part, {site.inputs: ids})[0], np.float32)
    kind = TensorProto.FLOAT16 if site.half else TensorProto.FLOAT
    unit = np.eye(site.shape[0], dtype=np.float16 if site.half else np.float32)
    for vectors in (unit[None], unit):  # by text, and by row
        part = cut_out(model, [site.output], {site.inputs: (kind, vectors.ndim)})
        with suppress(
            Exception
        ):  # whatever says that it does not take these; onnxruntime's exceptions share no base class
            answer = _run(part, {site.inputs: vectors, "input_ids": np.zeros((1, len(unit)), np.int64)})
            if answer.size == math.prod(site.shape):
                return np.asarray(answer.reshape(site.shape), np.float32)
    return None


def _constant(model: Any, name: str) -> NDArray[Any]:
    from onnx import numpy_helper

    stored = next((tensor for tensor in model.graph.initializer if tensor.name == name), None)
    return numpy_helper.to_array(stored) if stored is not None else _run(cut_out(model, [name], {}), {})


def _run(part: Any, feed: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    (answer,) = GraphSession(part, 1, "a product").run(feed).values()
    return answer


def _cosine(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.vdot(first, second)) / size if size else 0.0


def _error(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    size = float(np.linalg.norm(expected))
    return float(np.linalg.norm(found - expected)) / size if size else 0.0
