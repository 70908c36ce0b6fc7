"""What `driftgate bench` found: `bench.json`, the guide's tables, and a table for people."""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from driftgate.bench.throughput_files import Point, file_name, render_throughput_table, series_key
from driftgate.files import write_whole
from driftgate.measure.timings import Configuration, Ratio, Throughput, paired_seconds, speed_ratio
from driftgate.results.console import plain
from driftgate.results.tables import make_table, render

SCHEMA = 1
FILE_NAME = "bench.json"
MIN_BLOCKS = 3
"""Fewer show no spread, so no ratio is given."""


@dataclass(frozen=True, slots=True)
class ThroughputRun:
    """One run.

    Args:
        header: JSON-ready: `device` (with `name`), `cores`, `corpora` by name (with `rows` and `name_in_files`), `backends` by
            name, the anchor of ratios first; and whatever else is to be kept.
        facts: what each backend's workers said they run.
        complete: every block of every configuration was run.
    """

    header: Mapping[str, Any]
    facts: Mapping[str, Mapping[str, Any]]
    throughputs: tuple[Throughput, ...]
    complete: bool

    @property
    def anchor(self) -> str:
        """The backend that ratios are to."""
        return str(next(iter(self.header["backends"])))

    def ratio(self, throughput: Throughput) -> Ratio | None:
        """Speed relative to the anchor at the same cell, over blocks that both have; None without enough of them."""
        cell = throughput.configuration.cell
        for other in self.throughputs:
            if other.configuration.backend == self.anchor and other.configuration.cell == cell:
                anchor, own = paired_seconds(other, throughput)
                return speed_ratio(anchor, own) if len(own) >= MIN_BLOCKS else None
        return None

    def oversubscribed(self, configuration: Configuration) -> bool:
        """Whether its threads are more than the cores."""
        return configuration.workers * configuration.threads > int(self.header["cores"])


def result_names(header: Mapping[str, Any], configurations: Collection[Configuration]) -> list[str]:
    """Every file that a run of these configurations writes."""
    sized = (one for one in configurations if one.batch_size is not None)
    return [FILE_NAME, *dict.fromkeys(file_name(series_key(header, configurations, one)) for one in sized)]


def write_run(run: ThroughputRun, folder: Path) -> list[Path]:
    """Write `bench.json`, and a TSV of each backend and corpus with the medians of the arrival plan.

    Raises:
        ValueError: a number that is not finite, which JSON cannot say.
    """
    contents = {FILE_NAME: json.dumps(to_json(run), indent=2, allow_nan=False) + "\n"}
    every = [throughput.configuration for throughput in run.throughputs]
    points: dict[str, list[Point]] = {}
    for throughput in run.throughputs:
        one = throughput.configuration
        if one.batch_size is not None:
            point = Point(one.workers, one.batch_size, float(np.median(throughput.texts_per_second)))
            points.setdefault(file_name(series_key(run.header, every, one)), []).append(point)
    contents |= {name: render_throughput_table(of_file) for name, of_file in points.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_whole(folder / name, content)
    return [folder / name for name in contents]


def to_json(run: ThroughputRun) -> dict[str, Any]:
    """Everything measured; seconds are wall-clock, speeds of all workers together."""
    backends = {name: {**about, **run.facts.get(name, {})} for name, about in run.header["backends"].items()}
    return {
        "schema": SCHEMA,
        "complete": run.complete,
        **run.header,
        "backends": backends,
        "anchor": run.anchor,
        "configurations": [_to_json(run, throughput) for throughput in run.throughputs],
    }


def _to_json(run: ThroughputRun, throughput: Throughput) -> dict[str, Any]:
    speeds, work, ratio = np.array(throughput.texts_per_second), throughput.work, run.ratio(throughput)
    of_a_block = ("number", "seconds", "worker_seconds", "latest_start_seconds")
    return {
        **asdict(throughput.configuration),
        "oversubscribed": run.oversubscribed(throughput.configuration),
        **asdict(work),
        "padding_share": work.padding_share,
        "texts_per_second": {
            "median": float(np.median(speeds)),
            "min": float(speeds.min()),
            "max": float(speeds.max()),
        },
        "real_tokens_per_second": float(np.median(speeds)) * work.real_tokens / work.rows,
        "ratio_to_anchor": ratio and asdict(ratio),
        "blocks": [{name: getattr(block, name) for name in of_a_block} for block in throughput.blocks],
    }


def render_run(run: ThroughputRun, width: int) -> str:
    """A table of each corpus, cell by cell with its backends side by side, and each backend's best."""
    corpora = dict.fromkeys(throughput.configuration.corpus for throughput in run.throughputs)
    return "".join(line for corpus in corpora for line in _render_corpus(run, corpus, width))


def _render_corpus(run: ThroughputRun, corpus: str, width: int) -> Iterator[str]:
    about, cores = run.header["corpora"][corpus], run.header["cores"]
    mine = [throughput for throughput in run.throughputs if throughput.configuration.corpus == corpus]
    blocks = sorted({len(throughput.blocks) for throughput in mine})
    title = plain(
        f"{corpus}: {about['rows']} rows on {run.header['device']['name']}, {cores} cores; medians of "
        f"{' or '.join(map(str, blocks))} blocks; speedup: relative to {run.anchor}"
    )
    numbers = ["texts/s [min, max]", "speedup [min, max]"]
    table = make_table("plan", ["workers x threads", "padding"], "backend", numbers, title=title)
    for throughput in mine:
        one, speeds, ratio = throughput.configuration, np.array(throughput.texts_per_second), run.ratio(throughput)
        table.add_row(
            one.plan,
            f"{one.workers} x {one.threads}{'*' if run.oversubscribed(one) else ' '}",
            f"{throughput.work.padding_share:.0%}",
            one.backend,
            f"{np.median(speeds):.1f} [{speeds.min():.1f}, {speeds.max():.1f}]",
            f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else "-",
        )
    yield render(table, width)
    if any(run.oversubscribed(throughput.configuration) for throughput in mine):
        yield f"* more threads than the {cores} cores of the machine, so that they take turns\n"
    if any(len(throughput.blocks) < MIN_BLOCKS for throughput in mine):
        yield f"a speedup needs at least {MIN_BLOCKS} blocks\n"
    yield from _render_bests(mine)


def _render_bests(throughputs: list[Throughput]) -> Iterator[str]:
    for name in dict.fromkeys(each.configuration.backend for each in throughputs):
        of_backend = [each for each in throughputs if each.configuration.backend == name]
        best = max(of_backend, key=lambda each: np.median(each.texts_per_second))
        one, speed = best.configuration, np.median(best.texts_per_second)
        yield f"best of {name}: {speed:.1f} texts/s, plan {one.plan}, workers x threads {one.workers} x {one.threads}\n"
