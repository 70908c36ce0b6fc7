"""The reference's products, in the order in which it calls them, and what goes into each."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.arrays import Logits
from driftgate.inputs.batches import TokenBatch
from driftgate.onnx_graph.graph_parts import part_of
from driftgate.run.torch_backend import TorchBackend

_LAYER = re.compile(r"(?:^|\.)(?:layers?|layer_groups|albert_layers|blocks?|h)\.(\d+)")
EMBEDDINGS, HEAD, OTHER = "embeddings", "head", "other"


@dataclass(frozen=True, slots=True)
class Call:
    """One product of the reference, at one of the places where it is called.

    Args:
        path: of the torch module. `number`: how often it was called before, where layers share weights.
        module: what it is part of, such as "layer 3 attention".
        weight: float32, (inputs, outputs), or (entries, width) of a table.
        bias: float32, (outputs,), if it has one.
        table: whether it looks up embeddings.
        site: which of the tensors that go into products goes into this one, counted in order; None for a table.
    """

    path: str
    number: int
    module: str
    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    table: bool
    site: int | None

    @property
    def name(self) -> str:
        """The path, and which call it is where there are several."""
        return f"{self.path} (call {self.number + 1})" if self.number else self.path


@dataclass(frozen=True, slots=True)
class Answers:
    """What the reference computes for one batch.

    Args:
        logits: float32, (batch, labels).
        sites: what goes into its products, float32, (batch, sequence, width) or (batch, width), in the order of `Call.site`.
    """

    logits: Logits
    sites: list[NDArray[np.float32]]


class WatchedReference:
    """The reference, asked for its logits and for what goes into each of its products."""

    def __init__(self, backend: TorchBackend, example: TokenBatch) -> None:
        self._backend = backend
        seen, _ = self._ask(example)
        self.calls = _describe(seen)

    def answer(self, batch: TokenBatch) -> Answers:
        """Logits and activations of a batch."""
        seen, logits = self._ask(batch)
        sites: dict[int, NDArray[np.float32]] = {}
        for call, (_, _, tensor) in zip(self.calls, seen, strict=True):
            if call.site is not None and call.site not in sites:
                sites[call.site] = tensor.float().numpy()
        return Answers(logits, [sites[index] for index in range(len(sites))])

    def _ask(self, batch: TokenBatch) -> tuple[list[tuple[str, Any, Any]], Logits]:
        with _watching(self._backend.module) as seen:
            logits = self._backend.prepare(batch)()
        return seen, logits


@contextmanager
def _watching(module: Any) -> Iterator[list[tuple[str, Any, Any]]]:
    """Paths, modules and first inputs of everything with a matrix of weights, in the order of the calls."""
    seen: list[tuple[str, Any, Any]] = []

    def remember(path: str) -> Any:
        def hook(called: Any, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> None:
            given = arguments[0] if arguments else next(iter(named.values()))
            seen.append((path, called, given.detach()))

        return hook

    handles = [
        part.register_forward_pre_hook(remember(path), with_kwargs=True)
        for path, part in module.named_modules()
        if _is_product(part)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _is_product(module: Any) -> bool:
    import torch
    from transformers.pytorch_utils import Conv1D

    return isinstance(module, torch.nn.Linear | torch.nn.Embedding | Conv1D)


def _describe(seen: list[tuple[str, Any, Any]]) -> tuple[Call, ...]:
    import torch

    counts = Counter[str]()
    sites: dict[int, int] = {}
    calls = []
    for path, module, tensor in seen:
        table = isinstance(module, torch.nn.Embedding)
        matrix = module.weight.detach().float().numpy()
        weight = np.ascontiguousarray(matrix.T) if isinstance(module, torch.nn.Linear) else matrix
        bias = None if table or module.bias is None else module.bias.detach().float().numpy()
        # `seen` keeps the tensors alive: two of one address are the same.
        site = None if table else sites.setdefault(tensor.data_ptr(), len(sites))
        calls.append(Call(path, counts[path], _module_name(path, counts[path]), weight, bias, table, site))
        counts[path] += 1
    return tuple(calls)


def _module_name(path: str, call: int) -> str:
    """Such as "layer 3 attention"; layers that share weights are told apart by their calls."""
    part = part_of(path)
    layers = _LAYER.findall(path)
    if part == HEAD or (part == EMBEDDINGS and not layers):
        return part
    if not layers:
        return part or OTHER
    return f"layer {int(layers[-1]) + call} {part if part in ('attention', 'feed-forward') else OTHER}"


def modules_in_order(calls: tuple[Call, ...]) -> list[str]:
    """The modules, in the order in which the reference enters them."""
    return list(dict.fromkeys(call.module for call in calls))


def output_site(calls: tuple[Call, ...], module: str) -> int | None:
    """The tensor that comes out of a module: what goes into the first product of a later one; None where logits do."""
    last = max(place for place, call in enumerate(calls) if call.module == module)
    return next((call.site for call in calls[last + 1 :] if call.module != module and call.site is not None), None)
