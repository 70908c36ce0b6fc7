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
from driftgate.bench.describe import describe_bench, name_device
from driftgate.bench.grid import parse_grid
from driftgate.bench.measure_bench import Measured, count, measure_bench
from driftgate.bench.sweep import DEFAULT_ROWS, ENCODER_BACKENDS, Sweep, choose_models, prepare_bench
from driftgate.bench.throughput_files import require_free
from driftgate.cli.bench_grid import bench_grid, refuse_beside_grid
from driftgate.edges.limits import BATCH_SIZE
from driftgate.errors import CorpusError, OptionError, WorkerError
from driftgate.inputs.batches import DEFAULT_TOKEN_BUDGET, ArrivalPlan, BatchPlan, BudgetPlan
from driftgate.inputs.corpus import Corpus, load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.embedded import THROUGHPUT_CORPORA, throughput_corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.hub_corpus import is_hub_corpus
from driftgate.results.console import Console
from driftgate.run.device import available_threads, core_limit, parse_device, require_device

_BATCH_SIZES, _QUICK_BATCH_SIZES, _QUICK_ROWS = "1,2,4,8,16,32", "1,32", 50


def bench(  # noqa: C901 - options, read one after the other
    model: Annotated[
        str, typer.Argument(help="An encoder, or published ONNX files: a folder, a hub id or a file.", metavar="MODEL")
    ],
    backends: Annotated[
        str,
        typer.Option(
            help="The backends to time, separated by commas. Ratios are to the first one. The default is "
            f"{','.join(ENCODER_BACKENDS)} for an encoder, and otherwise the file.",
            show_default=False,
        ),
    ] = "",
    batch_sizes: Annotated[
        str,
        typer.Option(help=f"The batch sizes of the arrival plan. The default is {_BATCH_SIZES}.", show_default=False),
    ] = "",
    plans: Annotated[
        str,
        typer.Option(
            help="The batch plans. arrival takes texts in the order given; budget sorts them and fills batches "
            "up to a number of tokens."
        ),
    ] = "arrival,budget",
    workers: Annotated[str, typer.Option(help="How many processes share the texts, such as 1,2,4.")] = "1",
    threads: Annotated[str, typer.Option(help="How many threads each worker uses, such as 1,2.")] = "1",
    corpus: Annotated[
        list[str] | None,
        typer.Option(
            help="The texts: normal or long, which come with driftgate, or a CSV, TSV, JSONL or Parquet file. "
            "The option may be "
            "repeated. The default is normal.",
            show_default=False,
        ),
    ] = None,
    text_column: Annotated[
        str, typer.Option(help="The column of the texts of a file. The default is text.", show_default=False)
    ] = "",
    pair_column: Annotated[
        str, typer.Option(help="The column of the second texts of a file, if its rows are pairs.", show_default=False)
    ] = "",
    rows: Annotated[
        int | None,
        typer.Option(
            help="How many rows of each corpus to time, spread over its lengths. 0 means all rows. The default "
            f"is {DEFAULT_ROWS}.",
            min=0,
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The seed of the sample and of the order of runs.", min=0)] = 0,
    blocks: Annotated[int, typer.Option(help="How many blocks to run. Ratios need at least 3.", min=1)] = 3,
    token_budget: Annotated[
        int, typer.Option(help="How many tokens, padding included, a batch of the budget plan may have.", min=1)
    ] = DEFAULT_TOKEN_BUDGET,
    device: Annotated[str, typer.Option(help="The device to run on: cpu, cuda or cuda:N.")] = "cpu",
    out: Annotated[Path | None, typer.Option(help="The folder for bench.json and the tables (TSV).")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results of the same names in --out.")] = False,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help=f"Measure less, for a first impression: {_QUICK_ROWS} rows, batch sizes {_QUICK_BATCH_SIZES}.",
        ),
    ] = False,
    fresh_workers: Annotated[
        bool,
        typer.Option(
            "--fresh-workers",
            help="Load one backend at a time, again in every block. This is slower and needs less memory.",
        ),
    ] = False,
    grid: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="Time random batches of these shapes instead of texts, by IO binding, in the columns of ONNX "
            "Runtime's benchmark.",
            metavar="batch=N,N sequence=N,N",
        ),
    ] = None,
    test_times: Annotated[int, typer.Option(help="How many calls of each shape of --grid are measured.", min=1)] = 100,
    revision: Annotated[str | None, typer.Option(help="The revision of a model on the hub.")] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Load pickled weights. Such files can run code when they are loaded.")
    ] = False,
) -> None:
    """Time backends side by side: all texts over the slowest worker, in alternating blocks, with the spread.

    Texts are tokenized before; worker processes start together and share them. With --out, bench.json holds everything that
    was measured, and DEVICE_BACKEND_CORPUS.tsv (workers, size, messages/s) the medians of the arrival plan. Ctrl-C keeps what is
    done.

    Examples:

    `driftgate bench fixtures/encoders/goemotions-roberta-mini --workers 1,2 --corpus normal --corpus long --out results`

    `driftgate bench SamLowe/roberta-base-go_emotions --backends torch,onnx-fp16 --device cuda:0 --workers 1,2,4 --rows 0`

    `driftgate bench int8/model.onnx --corpus comments.csv.gz --text-column body --plans budget --threads 2`

    `driftgate bench fixtures/encoders/goemotions-roberta-mini --grid batch=1,4 sequence=8,32,128 --threads 1,2 --out grid`
    """
    if grid is not None:
        shapes = parse_grid(grid)
        refuse_beside_grid(
            corpus=corpus,
            rows=rows,
            batch_sizes=batch_sizes,
            workers=workers != "1",
            quick=quick,
            fresh_workers=fresh_workers,
        )
        bench_grid(
            choose_models(model, backends, revision=revision, allow_pickle=allow_pickle),
            shapes,
            threads=core_limit("threads").read_list(threads, "--threads"),
            device=parse_device(device),
            calls=test_times,
            out=out,
            overwrite=overwrite,
        )
        return
    sweep = Sweep(
        plans=_plans(plans, batch_sizes or (_QUICK_BATCH_SIZES if quick else _BATCH_SIZES), token_budget),
        workers=core_limit("workers").read_list(workers, "--workers"),
        threads=core_limit("threads").read_list(threads, "--threads"),
        device=parse_device(device),
        blocks=blocks,
        rows=(_QUICK_ROWS if quick else DEFAULT_ROWS) if rows is None else rows,
        seed=seed,
        keep_workers=not fresh_workers,
    )
    names = corpus or ["normal"]
    for flag, column in (("--text-column", text_column), ("--pair-column", pair_column)):
        if column and set(names) <= set(THROUGHPUT_CORPORA):
            raise OptionError(f"{flag} {column!r}: {' and '.join(names)} have no columns; it is for a file of --corpus")
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
