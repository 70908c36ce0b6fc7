"""The speed gate's verdicts as people see them: on the terminal, in a pull request, as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from driftgate.edges.escape import for_terminal
from driftgate.gate.rule import GateOptions
from driftgate.gate.verdicts import CellVerdict
from driftgate.gate.work.records import WorkChange, show_work
from driftgate.results.markdown import Markdown, table
from driftgate.results.tables import make_table, render

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class CellTimes:
    """Medians over pairs, in milliseconds a timed unit: one or more batches."""

    baseline_ms: float
    candidate_ms: float
    pairs: int


@dataclass(frozen=True, slots=True, eq=False)
class GateReport:
    """One gated run.

    Args:
        verdicts: in the order in which cells are shown.
        times: of the cells that were timed, by cell id. `work`: of those that were counted.
        seconds: that timing took. `seed`: of the order of pairs.
        notes: sentences for below the table.
        environment: JSON-ready; of this run. `baseline`: the baseline's `about`.
    """

    options: GateOptions
    verdicts: Sequence[CellVerdict]
    times: Mapping[str, CellTimes]
    work: Mapping[str, WorkChange]
    seconds: float
    seed: int
    notes: Sequence[str]
    environment: Mapping[str, Any]
    baseline: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        return {
            "schema": SCHEMA,
            "rule": asdict(self.options.rule),
            "seconds": self.seconds,
            "budget_seconds": self.options.budget_seconds,
            "seed": self.seed,
            "work_limit": self.options.work_limit,
            "cells": [self._cell_to_json(found) for found in self.verdicts],
            "notes": list(self.notes),
            "environment": dict(self.environment),
            "baseline": dict(self.baseline),
        }

    def _cell_to_json(self, found: CellVerdict) -> dict[str, Any]:
        times, work = self.times.get(found.cell), self.work.get(found.cell)
        return {**asdict(found), **(asdict(times) if times else {}), "work": work.to_json() if work else None}


_HEADINGS = ("cell", "verdict", "work", "slowdown", "interval", "rounds", "pairs", "baseline ms", "candidate ms", "why")
_WORDS = ("verdict", "why")
_TIMES = ("pairs", "baseline ms", "candidate ms")
_WIDE = 120
"""Columns of a terminal from which on times are shown."""


def render_gate(report: GateReport, width: int) -> str:
    """The table and the notes, as plain text: the verdict first, no empty column, and no times in a narrow terminal."""
    rows = [dict(zip(_HEADINGS, _row(found, report), strict=True)) for found in report.verdicts]
    headings = ["verdict", *(heading for heading in _HEADINGS if heading != "verdict")]
    shown = [
        heading
        for heading in headings
        if (width >= _WIDE or heading not in _TIMES) and any(row[heading] not in ("-", "") for row in rows)
    ]
    columns = ([heading] if heading not in ("cell", *_WORDS) else heading for heading in shown)
    made = make_table(*columns, title=_promise(report))
    for row in rows:
        made.add_row(*(row[heading] for heading in shown))
    return render(made, width) + "".join(f"{for_terminal(note)}\n" for note in _sentences(report))


def render_markdown(report: GateReport) -> str:
    """The same for a pull request comment, with the environment in a fold."""
    verdicts = table(_HEADINGS, [_row(found, report) for found in report.verdicts], _WORDS)
    notes = Markdown("\n").join(Markdown("- {}").format(note) for note in _sentences(report))
    environment = json.dumps({"this run": report.environment, "baseline": report.baseline}, indent=2)
    fold = f"<details><summary>environment</summary>\n\n```json\n{environment}\n```\n\n</details>"
    return f"### driftgate speed gate\n\n{Markdown.escape(_promise(report))}\n\n{verdicts}\n\n{notes}\n\n{fold}\n"


def write_gate_report(report: GateReport, path: Path) -> None:
    """Write `path`, Markdown or JSON by its suffix.

    Raises:
        ValueError: a number that is not finite, which JSON cannot say.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    json_text = json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n"
    path.write_text(render_markdown(report) if path.suffix == ".md" else json_text, encoding="utf-8")


def explain(found: CellVerdict) -> str:
    """A verdict in one sentence, for a failed test."""
    what = f"{found.cell}: {found.verdict}"
    if found.slowdown is not None:
        what += f", slowdown {_percent(found.slowdown)} {_interval(found)} over {found.rounds} rounds"
    return f"{what} ({found.reason})" if found.reason else what


def _row(found: CellVerdict, report: GateReport) -> list[str]:
    times = report.times.get(found.cell)
    return [
        found.cell,
        str(found.verdict),
        show_work(report.work.get(found.cell)),
        "-" if found.slowdown is None else _percent(found.slowdown),
        _interval(found),
        str(found.rounds) if found.rounds else "-",
        str(times.pairs) if times else "-",
        f"{times.baseline_ms:.2f}" if times else "-",
        f"{times.candidate_ms:.2f}" if times else "-",
        found.reason.partition("\n")[0],  # what a worker said has many lines; the failed test has them
    ]


def _interval(found: CellVerdict) -> str:
    if found.slowdown is None:
        return "-"
    low, high = ("?" if bound is None else _percent(bound) for bound in (found.low, found.high))
    return f"[{low}, {high}]"


def _percent(share: float) -> str:
    return f"{share:+.1%}"


def _promise(report: GateReport) -> str:
    rule = report.options.rule
    return (
        f"a slowdown of {100 * rule.detect:g}% passes in {100 * rule.beta:g}% of cells at most, one of "
        f"{100 * rule.tolerance:g}% or less fails in {100 * rule.alpha:g}% of runs at most; "
        f"interval: {1 - 2 * rule.beta:.0%} confidence sequence of the median slowdown"
    )


def _sentences(report: GateReport) -> list[str]:
    timed = (
        [f"timed for {report.seconds:.0f} s of at most {report.options.budget_seconds:.0f} s"] if report.times else []
    )
    return [*report.notes, *timed]
