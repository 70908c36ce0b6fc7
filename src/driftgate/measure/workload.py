"""One cell's work: the same rows every time, prepared before the clock starts, timed in blocks that alternate with others'."""

import gc
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec
from driftgate.inputs.batches import BatchPlan, TokenBatch, make_batches
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.run.backend import Backend, Prepared, gather_rows

Answers = list[tuple[tuple[int, ...], Logits]]


@dataclass(frozen=True, slots=True)
class CellSpec:
    """What a cell measures. `id` is stable: it is the history of the benchmark."""

    backend: BackendSpec
    plan: BatchPlan
    corpus: str

    @property
    def id(self) -> str:
        """As test ids and tables have it."""
        return f"{self.backend.name}-{self.plan.name}" + ("" if self.corpus == "normal" else f"-{self.corpus}")


@dataclass(frozen=True, slots=True, eq=False)
class Workload:
    """Prepared batches of one backend and plan. `run()` is all that is timed."""

    backend: Backend
    plan: BatchPlan
    batches: tuple[TokenBatch, ...]
    prepared: tuple[Prepared, ...]

    def run(self) -> Answers:
        """Every batch once, in plan order."""
        return [(batch.rows, call()) for batch, call in zip(self.batches, self.prepared, strict=True)]

    def logits(self, answers: Answers) -> Logits:
        """Answers in corpus order, float32, (rows, labels)."""
        return gather_rows(self.backend.spec.name, answers)

    @property
    def rows(self) -> int:
        """How many texts it answers."""
        return sum(len(batch.rows) for batch in self.batches)

    @property
    def real_tokens(self) -> int:
        """Tokens that are not padding."""
        return sum(batch.real_tokens for batch in self.batches)

    @property
    def padded_tokens(self) -> int:
        """Tokens, padding included."""
        return sum(batch.padded_tokens for batch in self.batches)


def prepare_workload(backend: Backend, tokens: TokenizedTexts, plan: BatchPlan) -> Workload:
    """Pad the rows by `plan` and move them to where the backend runs."""
    batches = tuple(make_batches(tokens, plan))
    return Workload(backend, plan, batches, tuple(backend.prepare(batch) for batch in batches))


def time_blocks(workloads: Mapping[str, Workload], blocks: int = 3, seed: int = 0) -> dict[str, list[float]]:
    """Seconds of each backend in each block, by name.

    In every block each workload's first batch runs untimed, to let the other runtime's threads settle, then all of it
    timed; the order within a block is random. Backends never alternate call by call: their thread pools fight
    (onnxruntime #13808).
    """
    generator = np.random.default_rng(seed)
    seconds: dict[str, list[float]] = {name: [] for name in workloads}
    gc.collect()
    gc.freeze()  # else each collection below walks through all of torch and transformers
    for _ in range(blocks):
        for name in generator.permutation(list(workloads)).tolist():
            workload = workloads[name]
            workload.prepared[0]()
            gc.collect()
            started = time.perf_counter()
            workload.run()
            seconds[name].append(time.perf_counter() - started)
    gc.unfreeze()
    return seconds
