"""`driftgate grid`: batches of given shapes, in the columns of ONNX Runtime's transformers benchmark."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, TimeRemainingColumn

from driftgate.bench.grid import Grid, make_shapes, open_grid
from driftgate.bench.grid_table import GridRow, grid_table, render_grid_csv, render_grid_summary
from driftgate.bench.sweep import choose_models
from driftgate.bench.throughput_files import require_free
from driftgate.cli import shared_options as shared
from driftgate.edges.limits import BATCH_SIZE, GRID_CALLS, SEQUENCE_LENGTH
from driftgate.files import write_whole
from driftgate.measure.visits import ROUNDS, Visit, visit_cells
from driftgate.results.console import Console
from driftgate.results.tables import render
from driftgate.run.device import available_threads, core_limit, parse_device

DETAILS, SUMMARY = "grid.csv", "grid_summary.csv"


def grid(
    model: shared.ModelArgument,
    batch_sizes: Annotated[str, typer.Option(help="The batch sizes, separated by commas.")] = "1,4",
    sequence_lengths: Annotated[
        str, typer.Option(help="The sequence lengths in tokens, separated by commas.")
    ] = "8,32,128",
    backends: shared.TimedBackends = "",
    threads: shared.ThreadCounts = "1",
    device: shared.Device = "cpu",
    test_times: Annotated[int, typer.Option(help="How many calls of each shape are measured.", min=1)] = 100,
    out: shared.ResultsFolder = None,
    overwrite: shared.OverwriteResults = False,
    revision: shared.Revision = None,
    allow_pickle: shared.AllowPickle = False,
) -> None:
    """Time random batches of every batch size with every sequence length, by IO binding, and give latencies in ms.

    The columns are those of ONNX Runtime's transformers benchmark. They go to standard output as CSV, or with `--out` to grid.csv
    and grid_summary.csv. Ctrl-C keeps what has been measured.

    Examples:

    `driftgate grid fixtures/encoders/goemotions-roberta-mini --threads 1,2 --out grid`

    `driftgate grid int8/model.onnx --batch-sizes 1,8 --sequence-lengths 32,128,512 --test-times 1000`
    """
    shapes = make_shapes(
        BATCH_SIZE.read_list(batch_sizes, "--batch-sizes"),
        SEQUENCE_LENGTH.read_list(sequence_lengths, "--sequence-lengths"),
    )
    GRID_CALLS.require(test_times)
    on, counts = parse_device(device), core_limit("threads").read_list(threads, "--threads")
    if out is not None:
        require_free(out, () if overwrite else (DETAILS, SUMMARY))
    shared.let_idle_threads_sleep()
    models = choose_models(model, backends, revision=revision, allow_pickle=allow_pickle)
    console = Console(stderr=True)
    with console.announcing() as announce:
        opened = open_grid(models, shapes, threads=counts, device=on, announce=announce)
    _warn(opened, on.kind, console)
    visits: list[Visit] = []
    try:
        _visit(opened, test_times, visits, console)
    finally:  # interrupted, too, it writes what has been measured
        if visits:
            _write(opened.rows(visits), out, console)


def _visit(grid: Grid, calls: int, visits: list[Visit], console: Console) -> None:
    columns = (*Progress.get_default_columns()[:-1], TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("driftgate: grid", total=len(grid.cells) * min(ROUNDS, calls))
        for visit in visit_cells(grid.cells, calls):
            visits.append(visit)
            progress.update(task, advance=1, description=f"driftgate: {visit.cell}")


def _write(rows: Sequence[GridRow], out: Path | None, console: Console) -> None:
    if out is None:
        typer.echo(render_grid_csv(rows), nl=False)
        console.print(grid_table(rows))
        return
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / DETAILS, render_grid_csv(rows))
    write_whole(out / SUMMARY, render_grid_summary(rows))
    typer.echo(render(grid_table(rows), Console().width), nl=False)
    console.print(f"wrote {out / DETAILS} and {out / SUMMARY}", soft_wrap=True)


def _warn(grid: Grid, device: str, console: Console) -> None:
    """More threads than cores, and float16 that is computed in float32."""
    cores = available_threads()
    most = max(cell.threads for _, cell in grid.about.values())
    if device == "cpu" and most > cores:
        console.print(f"oversubscribed: {most} threads on {cores} cores", soft_wrap=True)
    for backend in dict.fromkeys(
        name for name, cell in grid.about.values() if cell.precision == "fp32" and "float16" in cell.optimizer
    ):
        console.print(
            f"{backend}: float16 weights, computed in float32 on this device: precision is fp32", soft_wrap=True
        )
