"""`driftgate bench --grid`: synthetic shapes with IO binding, in the columns of ONNX Runtime's transformers benchmark."""

import os
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.progress import Progress, TimeRemainingColumn

from driftgate.bench.grid import Grid, open_grid
from driftgate.bench.grid_table import GridRow, grid_table, render_grid_csv, render_grid_summary
from driftgate.bench.throughput_files import require_free
from driftgate.builder.models import Model
from driftgate.edges.limits import GRID_CALLS
from driftgate.errors import OptionError
from driftgate.files import write_whole
from driftgate.inputs.batches import Shape
from driftgate.measure.visits import ROUNDS, Visit, visit_cells
from driftgate.results.console import Console
from driftgate.results.tables import render
from driftgate.run.device import Device, available_threads

DETAILS, SUMMARY = "grid.csv", "grid_summary.csv"


def refuse_beside_grid(**given: object) -> None:
    """Refuse options of the other benchmark that were given: the grid would ignore them.

    Args:
        given: by name; whatever is true was given.

    Raises:
        OptionError: with the options.
    """
    names = ", ".join(f"--{name.replace('_', '-')}" for name, value in given.items() if value)
    if names:
        raise OptionError(f"--grid times synthetic batches in one process, without texts: leave out {names}")


def bench_grid(
    models: Sequence[Model],
    shapes: Sequence[Shape],
    *,
    threads: Sequence[int],
    device: Device,
    calls: int,
    out: Path | None,
    overwrite: bool,
) -> None:
    """Time the grid; the CSV goes to standard output, or with a summary into the folder `out`.

    Interrupted, it writes the calls measured so far before the interruption goes on.

    Raises:
        OptionError: more `calls` than anyone needs, or none.
        ResultsError: `out` holds a grid and may not be overwritten. And what `open_grid` raises.
    """
    GRID_CALLS.require(calls)
    if out is not None:
        require_free(out, () if overwrite else (DETAILS, SUMMARY))
    # Before torch is imported: its idle threads shall sleep instead of stealing the core from what is timed next.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    console = Console(stderr=True)
    with console.announcing() as announce:
        grid = open_grid(models, shapes, threads=threads, device=device, announce=announce)
    _say_what_surprises(grid, device, console)
    visits: list[Visit] = []
    try:
        _visit(grid, calls, visits, console)
    except KeyboardInterrupt:
        if visits:
            _write(grid.rows(visits), out, console)
        raise
    _write(grid.rows(visits), out, console)


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
    typer.echo(render(grid_table(rows), 0), nl=False)
    console.print(f"wrote {out / DETAILS} and {out / SUMMARY}", soft_wrap=True)


def _say_what_surprises(grid: Grid, device: Device, console: Console) -> None:
    cores = available_threads()
    most = max(cell.threads for _, cell in grid.about.values())
    if device.kind == "cpu" and most > cores:
        console.print(f"oversubscribed: {most} threads on {cores} cores", soft_wrap=True)
    for backend in dict.fromkeys(
        name for name, cell in grid.about.values() if cell.precision == "fp32" and "float16" in cell.optimizer
    ):
        console.print(
            f"{backend}: float16 weights, computed in float32 on this device: precision is fp32", soft_wrap=True
        )
