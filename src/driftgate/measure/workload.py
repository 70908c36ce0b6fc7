"""One cell's work: the same rows every time, prepared before the clock starts."""

from dataclasses import dataclass

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
        return sum(len(batch.rows) for batch in self.batches)

    @property
    def real_tokens(self) -> int:
        return sum(batch.real_tokens for batch in self.batches)

    @property
    def padded_tokens(self) -> int:
        return sum(batch.padded_tokens for batch in self.batches)


def prepare_workload(backend: Backend, tokens: TokenizedTexts, plan: BatchPlan) -> Workload:
    """Pad the rows by `plan` and move them to where the backend runs."""
    batches = tuple(make_batches(tokens, plan))
    return Workload(backend, plan, batches, tuple(backend.prepare(batch) for batch in batches))
