"""`driftgate bench`: texts per second of backends, by batch plan, workers, threads and corpus."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from driftgate.bench.bench_results import FILE_NAME, ThroughputRun, render_run, result_names, write_run
from driftgate.bench.measure_bench import Measured, count, describe_bench, measure_bench, name_device
from driftgate.bench.sweep import DEFAULT_ROWS, Sweep, choose_models, prepare_bench
from driftgate.bench.throughput_files import require_free
from driftgate.cli import shared_options as shared
from driftgate.edges.limits import BATCH_SIZE, DEFAULT_TOKEN_BUDGET
from driftgate.errors import CorpusError, OptionError, WorkerError
from driftgate.inputs.batches import ArrivalPlan, BatchPlan, BudgetPlan
from driftgate.inputs.corpus import Corpus, load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.embedded import THROUGHPUT_CORPORA, throughput_corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.hub.hub_corpus import is_hub_corpus
from driftgate.results.console import Console
from driftgate.run.device import available_threads, core_limit, parse_device, require_device


def bench(
    model: shared.ModelArgument,
    backends: shared.TimedBackends = "",
    plans: Annotated[
        str,
        typer.Option(
            help="The batch plans. arrival takes texts in the order given; budget sorts them and fills batches "
            "up to a number of tokens."
        ),
    ] = "arrival,budget",
    batch_sizes: Annotated[
        str, typer.Option(help="The batch sizes of the arrival plan, separated by commas.")
    ] = "1,2,4,8,16,32",
    token_budget: shared.TokenBudget = DEFAULT_TOKEN_BUDGET,
    workers: Annotated[str, typer.Option(help="How many processes share the texts, such as 1,2,4.")] = "1",
    threads: shared.ThreadCounts = "1",
    device: shared.Device = "cpu",
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            help="The texts: normal or long, which come with driftgate, or a CSV, TSV, JSONL or Parquet file. The option may be "
            "repeated. The default is normal.",
            show_default=False,
        ),
    ] = None,
    corpus_rows: shared.CorpusRows = DEFAULT_ROWS,
    text_column: shared.TextColumn = "",
    pair_column: shared.PairColumn = "",
    seed: Annotated[int, typer.Option(help="The seed of the drawn rows and of the order of runs.", min=0)] = 0,
    blocks: Annotated[int, typer.Option(help="How many blocks to run. Ratios need at least 3.", min=1)] = 3,
    fresh_workers: Annotated[
        bool,
        typer.Option(
            "--fresh-workers",
            help="Load one backend at a time, again in every block. This is slower and needs less memory.",
        ),
    ] = False,
    out: shared.ResultsFolder = None,
    overwrite: shared.OverwriteResults = False,
    revision: shared.Revision = None,
    allow_pickle: shared.AllowPickle = False,
) -> None:
    """Time backends side by side on texts, in alternating blocks: texts per second, ratios and their spread.

    Ratios are to the first backend. Texts are tokenized beforehand; worker processes start together and share them. With `--out`,
    bench.json holds everything that was measured, and DEVICE_BACKEND_CORPUS.tsv (workers, size, messages/s) the medians of the
    arrival plan. Ctrl-C keeps what has been measured.

    Examples:

    `driftgate bench fixtures/encoders/goemotions-roberta-mini --workers 1,2 --corpus normal --corpus long --out results`

    `driftgate bench SamLowe/roberta-base-go_emotions --backends torch,onnx-fp16 --device cuda:0 --workers 1,2,4 --corpus-rows 0`

    `driftgate bench int8/model.onnx --corpus comments.csv.gz --text-column body --plans budget --threads 2`
    """
    sweep = Sweep(
        plans=_plans(plans, batch_sizes, token_budget),
        workers=core_limit("workers").read_list(workers, "--workers"),
        threads=core_limit("threads").read_list(threads, "--threads"),
        device=parse_device(device),
        blocks=blocks,
        rows=corpus_rows,
        seed=seed,
        keep_workers=not fresh_workers,
    )
    names = corpus or ["normal"]
    given = set(names) - set(THROUGHPUT_CORPORA)
    shared.require_file(given, "--corpus", ("--text-column", text_column), ("--pair-column", pair_column))
    require_device(sweep.device)
    if out is not None and not overwrite:
        require_free(out, [FILE_NAME])  # before minutes of building
    console = Console(stderr=True, soft_wrap=True)
    _say_oversubscribed(sweep, console)
    with console.announcing("driftgate bench") as announce:
        models = choose_models(model, backends, revision=revision, allow_pickle=allow_pickle)
        columns = Columns(text=text_column, pair=pair_column)
        corpora = [_load(name, models[0].encoder, columns) for name in names]
        prepared = prepare_bench(models, corpora, sweep, announce)
        header = describe_bench(prepared, name_device(sweep.device), datetime.now(UTC))
        if out is not None:
            require_free(out, () if overwrite else result_names(header, prepared.plan))
        measured = Measured()
        stopped: BaseException | None = None
        try:
            with _ended_like_ctrl_c():
                measure_bench(prepared, measured, announce=announce, note=console.print)
        except (KeyboardInterrupt, WorkerError) as error:
            stopped = error
    run = ThroughputRun(header, measured.facts, measured.throughputs(prepared), complete=stopped is None)
    if run.throughputs:
        typer.echo(render_run(run, console.width), nl=False)
        if out is not None:
            for path in write_run(run, out):
                console.print(f"wrote {path}")
    if stopped is not None:
        raise stopped


@contextmanager
def _ended_like_ctrl_c() -> Iterator[None]:
    """A job that is called off (SIGTERM) keeps what is done, too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _plans(plans: str, batch_sizes: str, token_budget: int) -> tuple[BatchPlan, ...]:
    names = [name.strip() for name in plans.split(",") if name.strip()]
    if not names or not set(names) <= {"arrival", "budget"} or len(set(names)) < len(names):
        raise OptionError(f"--plans {plans!r}: expected arrival, budget or arrival,budget")
    known: dict[str, list[BatchPlan]] = {
        "arrival": [ArrivalPlan(size) for size in BATCH_SIZE.read_list(batch_sizes, "--batch-sizes")],
        "budget": [BudgetPlan(token_budget)],
    }
    return tuple(plan for name in names for plan in known[name])


def _say_oversubscribed(sweep: Sweep, console: Console) -> None:
    cores = available_threads()
    for workers, threads in product(sweep.workers, sweep.threads):
        if workers * threads > cores:
            asked = f"{count(workers, 'worker')} x {count(threads, 'thread')}"
            console.print(f"oversubscribed: {asked} on {count(cores, 'core')}: they take turns")


def _load(name: str, encoder: Encoder, columns: Columns) -> Corpus:
    if name in THROUGHPUT_CORPORA:
        return throughput_corpus(name, pairs=bool(columns.pair))
    if not is_hub_corpus(name) and not Path(name).exists():
        raise CorpusError(
            f"--corpus {name}: expected a file, hub:NAME, or one that comes with driftgate ({', '.join(THROUGHPUT_CORPORA)}), "
            "found no such file"
        )
    return load_corpus(name, encoder, columns, labelled=False)
