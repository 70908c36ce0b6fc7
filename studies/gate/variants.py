"""An artifact made slower without another answer: real work in its graph, or a session opened worse."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from parameters import CELL_ROWS, NATURAL, PADDED_TOKENS, SAME

from driftgate.gate.pairs import Contest, Load
from driftgate.inputs.batches import TokenBatch, pad_rows, spread_sample
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.pipeline import Built, choose_backends, open_built, prepare_backend
from driftgate.run.backend import Backend
from driftgate.run.device import RunSettings, available_threads
from driftgate.run.onnx_backend import OnnxBackend, find_arithmetic

Batches = Mapping[str, Sequence[TokenBatch]]
"""The batches of each cell, by the cell's name."""
Open = Callable[[], Backend]
_LEVELS = {"no optimizations": "ORT_DISABLE_ALL", "unfused": "ORT_ENABLE_BASIC"}
"""Of ONNX Runtime's graph optimizations."""


def take_texts(encoder: Encoder, rows: int) -> TokenizedTexts:
    """Texts for one cell, evenly spread over lengths."""
    every = tokenize(encoder, throughput_corpus("normal").texts)
    return every.take(spread_sample(every, rows))


def make_cells(encoder: Encoder, width: int | None = None) -> Batches:
    """One batch for each cell; `width` in tokens, by default that of the longest text."""
    return {cell: [pad_rows(take_texts(encoder, rows), range(rows), width=width)] for cell, rows in CELL_ROWS.items()}


def load_with(open_side: Open, batches: Batches) -> Load:
    """What the gate loads afresh in every round."""

    @contextmanager
    def load() -> Iterator[dict[str, list[Callable[[], object]]]]:
        backend = open_side()
        yield {cell: [backend.prepare(batch) for batch in own] for cell, own in batches.items()}

    return load


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

    def variants(self) -> list[str]:
        """Those that this machine can run: with one core there is no thread fewer."""
        natural = [name for name in NATURAL if name != "one thread fewer" or self.settings.threads > 1]
        return [SAME, *self.columns, *natural]

    def load(self, variant: str, batches: Batches) -> Load:
        """`variant` on `batches`; for `padded`, wider ones of the study's cells."""
        if variant == "padded":
            return load_with(partial(open_built, self.built, self.settings), make_cells(self.encoder, PADDED_TOKENS))
        return load_with(self._opener(variant), batches)

    def contest(self, variant: str, batches: Batches, label: str = "") -> Contest:
        """The artifact against a variant of it. Cells are named after `label`, by default the variant."""
        label = label or variant
        renamed = {f"{label}/{cell}": own for cell, own in batches.items()}
        candidate = self.load(variant, batches)

        @contextmanager
        def load() -> Iterator[dict[str, Sequence[Callable[[], object]]]]:
            with candidate() as cells:
                yield {f"{label}/{cell}": calls for cell, calls in cells.items()}

        return Contest(label, self.load(SAME, renamed), load, tuple(renamed), control=next(iter(renamed)))

    def _opener(self, variant: str) -> Open:
        if variant in self.columns:
            return partial(open_built, self.slow_down(self.columns[variant]), self.settings)
        if variant == "one thread fewer":
            return partial(open_built, self.built, RunSettings(self.settings.threads - 1))
        if variant in _LEVELS:
            return partial(_open_at, _LEVELS[variant], self.built, self.settings)
        return partial(open_built, self.built, self.settings)

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
    return Family(encoder, prepare_backend(encoder, spec), RunSettings(available_threads()), columns, scratch)


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


def _open_at(level: str, built: Built, settings: RunSettings) -> Backend:
    """As driftgate opens a session, but with fewer of ONNX Runtime's graph optimizations."""
    import onnxruntime

    assert built.artifact is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings.threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(built.artifact.model, options, providers=["CPUExecutionProvider"])
    arithmetic = find_arithmetic(built.artifact, settings.device)
    return OnnxBackend(built.spec, built.encoder, built.artifact.model, session, settings, arithmetic)
