"""A grid of shapes in the columns of ONNX Runtime's transformers benchmark, every number true to its column's name.

Where its own `benchmark.py` is not (looked up in ONNX Runtime 1.31): `latency_variance` there is seconds squared times
1,000, in no unit; two decimals turn the variance and short latencies into 0.00; `datetime` has no time zone; on a GPU, torch
is timed until its work is queued, not until it is done.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime

import numpy as np
from rich.table import Table

from driftgate.results.tables import make_table


@dataclass(frozen=True, slots=True)
class GridCell:
    """What was timed; each field is a column.

    Args:
        engine: "onnxruntime" or "torch"; `version`: the engine's.
        providers: ONNX Runtime's, in force, preferred first; "NA" for another engine.
        device: "cpu" or "cuda".
        precision: "fp32", "fp16" or "int8": the type in which products are computed, whatever the weights are stored in.
        optimizer: build steps after the export, joined by "+"; "published" for a file without a manifest that tells them;
            "" for torch as it is, "torch.compile" for torch compiled. On loading, ONNX Runtime optimizes every graph again.
        io_binding: whether inputs and output lie in memory bound before the clock starts.
        model_name: the encoder's; of an ONNX file that was given, its backend's name too.
        inputs: how many tensors were fed; None where the runtime does not tell.
        threads: intra-op, read back.
        batch_size, sequence_length: rows, and tokens a row.
    """

    engine: str
    version: str
    providers: str
    device: str
    precision: str
    optimizer: str
    io_binding: bool
    model_name: str
    inputs: int | None
    threads: int
    batch_size: int
    sequence_length: int

    @property
    def shape(self) -> str:
        """As columns are headed, such as b4_s128."""
        return f"b{self.batch_size}_s{self.sequence_length}"


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the measured calls of one cell; each field is a column.

    Args:
        test_times: measured calls, warm-up not counted.
        latency_variance: ms squared, over the calls measured (divided by their number).
        latency_90_percentile: ms, as the other percentiles; between two calls where the rank falls between them. Of
            fewer than 100 calls, the 99th is next to the slowest.
        average_latency_ms: the mean.
        QPS: texts a second: batch size over mean latency. A batch is one call and `batch_size` texts.
    """

    test_times: int
    latency_variance: float
    latency_90_percentile: float
    latency_95_percentile: float
    latency_99_percentile: float
    average_latency_ms: float
    QPS: float


@dataclass(frozen=True, slots=True)
class GridRow:
    """One line. `backend` is our name of what was timed, which no column has; `started`: when its first timed call began."""

    backend: str
    cell: GridCell
    started: datetime
    latency: Latency


COLUMNS = (*(field.name for field in fields(GridCell)), "datetime", *(field.name for field in fields(Latency)))


def summarize_latency(seconds: Sequence[float], batch_size: int) -> Latency:
    """The columns of `Latency` from the seconds of every measured call.

    Raises:
        ValueError: no call, or one that took no time.
    """
    if not seconds or not min(seconds) > 0:
        raise ValueError(f"expected the seconds of measured calls, each more than 0, found {list(seconds)[:5]}")
    milliseconds = np.array(seconds, dtype=np.float64) * 1e3
    mean = float(milliseconds.mean())
    p90, p95, p99 = np.percentile(milliseconds, [90, 95, 99]).tolist()
    return Latency(len(seconds), float(milliseconds.var()), p90, p95, p99, mean, batch_size / mean * 1e3)


def render_grid_csv(rows: Iterable[GridRow]) -> str:
    """One line a cell; numbers with six significant digits."""
    lines = [
        (*astuple(row.cell), row.started.isoformat(" ", "seconds"), *map(_number, astuple(row.latency))) for row in rows
    ]
    return _csv([COLUMNS, *lines])


def render_grid_summary(rows: Sequence[GridRow]) -> str:
    """CSV with a line for each backend and thread count, and mean latency in ms in a column for each shape.

    ONNX Runtime's benchmark calls it the summary; the model zoo publishes it as `benchmark_result.csv`.
    """
    shapes = _shapes(rows)
    header = (
        "model_name",
        "inputs",
        "engine",
        "version",
        "providers",
        "device",
        "precision",
        "optimizer",
        "io_binding",
    )
    lines = []
    for about, latencies in _by_configuration(rows).items():
        cell = about[1]
        means = [_number(latencies[shape].average_latency_ms) if shape in latencies else "" for shape in shapes]
        lines.append((*(getattr(cell, name) for name in header), cell.threads, *means))
    return _csv([(*header, "threads", *shapes), *lines])


def grid_table(rows: Sequence[GridRow]) -> Table:
    """Mean latency in ms by shape, a line for each backend and thread count."""
    shapes = _shapes(rows)
    title = "mean latency in ms of a batch; b: batch size, s: sequence length"
    table = make_table("backend", "compute dtype", ["threads", *shapes], title=title)
    for (backend, cell), latencies in _by_configuration(rows).items():
        means = [f"{latencies[shape].average_latency_ms:.2f}" if shape in latencies else "-" for shape in shapes]
        table.add_row(backend, cell.precision, str(cell.threads), *means)
    return table


def _shapes(rows: Iterable[GridRow]) -> list[str]:
    return list(dict.fromkeys(row.cell.shape for row in rows))


def _by_configuration(rows: Iterable[GridRow]) -> dict[tuple[str, GridCell], dict[str, Latency]]:
    """Latencies by shape, for each backend and thread count: its first cell stands for it."""
    first: dict[tuple[str, int], tuple[str, GridCell]] = {}
    grouped: dict[tuple[str, GridCell], dict[str, Latency]] = {}
    for row in rows:
        key = first.setdefault((row.backend, row.cell.threads), (row.backend, row.cell))
        grouped.setdefault(key, {})[row.cell.shape] = row.latency
    return grouped


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _csv(lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()
