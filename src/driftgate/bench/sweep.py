"""What a throughput benchmark measures: built backends, tokenized texts, and which worker answers which batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from driftgate.builder.build import Announce
from driftgate.builder.models import Model, find_model
from driftgate.edges.limits import BLOCKS, CORPUS_ROWS, SEED, Limit
from driftgate.errors import ArtifactError, OptionError
from driftgate.inputs.batches import ArrivalPlan, BatchPlan, BudgetPlan, plan_rows, spread_sample
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import TokenizedTexts, tokenize, tokenize_alike
from driftgate.measure.timings import Configuration, Work
from driftgate.measure.workers import Share, deal_batches
from driftgate.pipeline import Built, choose_backends, prepare_backend
from driftgate.run.device import Device, core_limit

ENCODER_BACKENDS = ("torch", "onnx-fp32", "onnx-int8")
DEFAULT_ROWS = 200
CPU = Device()

_MOST_THREADS = 256
"""Of all workers together, on machines with fewer cores: every combination of some workers and some threads is worth a look,
and no machine suffers from so many. Thousands would take it down."""

Plan = Mapping[Configuration, tuple[Work, tuple[Share, ...]]]
"""What each configuration has to do, and which batches each of its workers answers."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """What is measured: each backend and corpus under every combination of these.

    Args:
        workers: how many processes share the rows, each at most the cores of the machine. `threads`: of each of them.
        rows: of each corpus, spread over its lengths; 0 takes every row, in its own order.
        keep_workers: see `time_tasks`.
    """

    plans: tuple[BatchPlan, ...] = (*map(ArrivalPlan, (1, 2, 4, 8, 16, 32)), BudgetPlan())
    workers: tuple[int, ...] = (1,)
    threads: tuple[int, ...] = (1,)
    device: Device = CPU
    blocks: int = 3
    rows: int = DEFAULT_ROWS
    seed: int = 0
    keep_workers: bool = True

    def __post_init__(self) -> None:
        for name in ("plans", "workers", "threads"):
            if not getattr(self, name):
                raise OptionError(f"{name}: expected at least one, found none")
        for count in self.workers:
            core_limit("workers").require(count)
        for count in self.threads:
            core_limit("threads").require(count)
        most = max(_MOST_THREADS, int(core_limit("threads").most))
        together = Limit("workers x threads", 1, most, lambda: ", the threads of all workers together")
        together.require(max(self.workers) * max(self.threads))
        BLOCKS.require(self.blocks)
        CORPUS_ROWS.require(self.rows)
        SEED.require(self.seed)


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The rows of a corpus that are timed, tokenized."""

    corpus: Corpus
    tokens: TokenizedTexts


@dataclass(frozen=True, slots=True, eq=False)
class Bench:
    """A sweep whose files are built and whose texts are tokenized."""

    sweep: Sweep
    built: tuple[Built, ...]
    samples: tuple[Sample, ...]
    plan: Plan


def choose_models(
    model: str, backends: str = "", *, revision: str | None = None, allow_pickle: bool = False
) -> tuple[Model, ...]:
    """The model under each of the comma-separated backends; without, `ENCODER_BACKENDS` or the files that are there.

    Raises:
        OptionError: a backend given twice. And what `find_model` raises.
    """
    names = [name.strip() for name in backends.split(",") if name.strip()]
    if not names:
        found = find_model(model, revision=revision, allow_pickle=allow_pickle)
        if "=" in found.backend:
            return (found,)
        names = list(ENCODER_BACKENDS)
    models = tuple(find_model(model, name, revision=revision, allow_pickle=allow_pickle) for name in names)
    chosen = [found.backend.partition("=")[0].partition(":")[0] for found in models]
    repeated = sorted({name for name in chosen if chosen.count(name) > 1})
    if repeated:
        raise OptionError(f"backends given twice: {', '.join(repeated)}; name each once")
    return models


def prepare_bench(
    models: Sequence[Model],
    corpora: Sequence[Corpus],
    sweep: Sweep,
    announce: Announce = lambda message: None,  # noqa: ARG005
) -> Bench:
    """Build what is to be timed, or take it from the cache, and tokenize the texts, once for all backends.

    Raises:
        ArtifactError: backends whose tokenizers differ, so that they cannot be given the same tokens.
        OptionError: fewer batches than workers; two corpora of one name.
        BuildError, RuntimeConflictError, UnknownBackendError: see `prepare_backend` and `choose_backends`.
    """
    names = [corpus.name for corpus in corpora]
    if len(set(names)) < len(names):
        raise OptionError(f"corpora {', '.join(names)}: two of them have the same name; rename a file")
    specs = [spec for model in models for spec in choose_backends(model.backend, device=sweep.device.kind)]
    first = models[0].encoder
    for model, spec in zip(models, specs, strict=True):
        if model.encoder != first and not tokenize_alike(first, model.encoder):
            raise ArtifactError(
                f"backend {spec.name}: its tokenizer is not that of {specs[0].name}, so the two cannot be given the same "
                "tokens; time them one by one"
            )
    announce("tokenizing")
    samples = tuple(_sample(first, corpus, sweep) for corpus in corpora)
    plan = _plan([spec.name for spec in specs], samples, sweep)  # before minutes of building
    built = []
    for model, spec in zip(models, specs, strict=True):
        announce(f"preparing {spec.name}")
        built.append(prepare_backend(model.encoder, spec, announce=announce))
    return Bench(sweep, tuple(built), samples, plan)


def _sample(encoder: Encoder, corpus: Corpus, sweep: Sweep) -> Sample:
    tokens = tokenize(encoder, corpus.texts)
    if 0 < sweep.rows < len(tokens):
        tokens = tokens.take(spread_sample(tokens, sweep.rows, sweep.seed))
    return Sample(corpus, tokens)


def _plan(backends: Sequence[str], samples: Sequence[Sample], sweep: Sweep) -> Plan:
    """Cell by cell, with the backends of a cell side by side."""
    plan: dict[Configuration, tuple[Work, tuple[Share, ...]]] = {}
    for sample, workers, threads, batch_plan in product(samples, sweep.workers, sweep.threads, sweep.plans):
        work, shares = _share_out(sample, batch_plan, workers)
        size = batch_plan.batch_size if isinstance(batch_plan, ArrivalPlan) else None
        for backend in backends:
            key = Configuration(backend, sample.corpus.name, batch_plan.name, size, workers, threads)
            plan[key] = (work, shares)
    return plan


def _share_out(sample: Sample, plan: BatchPlan, workers: int) -> tuple[Work, tuple[Share, ...]]:
    lengths = sample.tokens.lengths
    batches = plan_rows(lengths, plan)
    if len(batches) < workers:
        raise OptionError(
            f"corpus {sample.corpus.name}: {len(lengths)} rows are {len(batches)} batches under plan {plan.name}, too few for "
            f"{workers} workers; give more rows or smaller batches"
        )
    padded = [len(rows) * int(lengths[list(rows)].max()) for rows in batches]
    shares = tuple(tuple(batches[index] for index in share) for share in deal_batches(padded, workers))
    return Work(len(lengths), len(batches), int(lengths.sum()), sum(padded)), shares
