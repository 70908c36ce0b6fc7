"""An artifact made slower without another answer, by real work in its graph."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from parameters import SAME, TEXTS

from driftgate.gate.cores import hold_cores
from driftgate.gate.pairs import Contest
from driftgate.gate.remote_side import load_here
from driftgate.gate.samples import Batches, OpenLoad, Sample, draw_samples, make_contest
from driftgate.inputs.batches import BatchPlan, make_batches, spread_sample
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import tokenize
from driftgate.pipeline import Built, choose_backends, prepare_backend
from driftgate.run.device import RunSettings, available_threads


def make_cells(encoder: Encoder, plans: Sequence[BatchPlan]) -> Batches:
    """The batches of each plan over the benchmark's texts, which are evenly spread over lengths, by the plan's name."""
    every = tokenize(encoder, throughput_corpus("normal").texts)
    texts = every.take(spread_sample(every, TEXTS))
    return {plan.name: list(make_batches(texts, plan)) for plan in plans}


@dataclass(frozen=True)
class Family:
    """One backend and its variants.

    Args:
        columns: of the extra product of each injected slowdown, by variant.
    """

    encoder: Encoder
    built: Built
    settings: RunSettings
    columns: Mapping[str, int]
    scratch: Path

    @property
    def name(self) -> str:
        return self.built.spec.name

    def draw_samples(self, plans: Sequence[BatchPlan]) -> dict[str, Sample]:
        """What of each plan's cell is timed, as the gate decides it."""
        return draw_samples(make_cells(self.encoder, plans), self._opener(self.built), time.perf_counter_ns)

    def contest(self, variant: str, samples: Mapping[str, Sample], label: str = "") -> Contest:
        """The artifact against a variant of it. Cells are named after `label`, by default the variant."""
        label = label or variant
        candidate = self.built if variant == SAME else self.slow_down(self.columns[variant])
        named = {f"{label}/{cell}": sample for cell, sample in samples.items()}
        return make_contest(label, named, self._opener(self.built), self._opener(candidate))

    def _opener(self, built: Built) -> OpenLoad:
        return partial(load_here, built, self.settings)

    def slow_down(self, columns: int) -> Built:
        """The artifact with an extra product of so many columns in its graph."""
        artifact = self.built.artifact
        assert artifact is not None
        model = self.scratch / f"{self.name}-{columns}.onnx"
        if not model.exists():
            add_work(artifact.model, model, columns)
        return replace(self.built, artifact=replace(artifact, model=model))


def make_family(encoder: Encoder, backend: str, columns: Mapping[str, int], scratch: Path) -> Family:
    """Build the backend, or take it from the cache."""
    (spec,) = choose_backends(backend)
    return Family(
        encoder, prepare_backend(encoder, spec), hold_cores(RunSettings(available_threads())), columns, scratch
    )


def add_work(source: Path, target: Path, columns: int) -> None:
    """Write the graph with one more product, of the embeddings' normalized output by a matrix of so many columns.

    Its largest element times zero is added to the logits: the answer stays, and no optimizer may leave the work out, for
    zero times infinity is not zero.

    Raises:
        ValueError: no LayerNormalization in the graph.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(source)
    graph = model.graph
    norm = next((node for node in graph.node if node.op_type == "LayerNormalization"), None)
    if norm is None:
        raise ValueError(f"{source}: expected a LayerNormalization whose output to work on, found none")
    scale = next(numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name == norm.input[1])
    weight = np.random.default_rng(0).standard_normal((len(scale), columns)) / len(scale)
    output = graph.output[0].name
    for node in graph.node:
        node.output[:] = ["work_answer" if name == output else name for name in node.output]
        node.input[:] = ["work_answer" if name == output else name for name in node.input]
    graph.initializer.append(numpy_helper.from_array(weight.astype(scale.dtype), "work_weight"))
    graph.initializer.append(helper.make_tensor("work_zero", TensorProto.FLOAT, [], [0.0]))
    nodes: list[Any] = [
        helper.make_node("MatMul", [norm.output[0], "work_weight"], ["work_product"]),
        helper.make_node("ReduceMax", ["work_product"], ["work_largest"], keepdims=0),
        helper.make_node("Cast", ["work_largest"], ["work_float"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["work_float", "work_zero"], ["work_nothing"]),
        helper.make_node("Add", ["work_answer", "work_nothing"], [output]),
    ]
    graph.node.extend(nodes)
    onnx.save(model, target)
