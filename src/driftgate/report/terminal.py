"""The table at the end of a run, and the text of a failed bound."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from driftgate.edges.escape import for_terminal
from driftgate.judge.metric_types import POLICIES
from driftgate.judge.parts import DRIFT, FLIPS, QUALITY
from driftgate.results.record import BackendResults, Results
from driftgate.results.tables import make_table, render

if TYPE_CHECKING:  # SciPy is slow to import, and the commands' help needs none of it
    from driftgate.judge.drift import Drift

_LABELS_SHOWN = 5
_POLICY = POLICIES[0]


def render_table(results: Results, width: int) -> str:
    """One line a backend: throughput by plan, ratio to torch with its spread, size, drift, flips, F1; then who is missing."""
    corpora = list(dict.fromkeys(corpus for entry in results.backends.values() for corpus in entry.throughput)) or [""]
    tables = [render(_table(results, corpus), width) for corpus in corpora]
    # Under the tables: in a column, the length of a reason would be taken from the numbers.
    skipped = [
        for_terminal(f"{name}: skipped, {entry.skipped}") + "\n"
        for name, entry in results.backends.items()
        if entry.skipped
    ]
    return "".join([*tables, *skipped])


def _table(results: Results, corpus: str) -> Table:
    plans = list(
        dict.fromkeys(plan for entry in results.backends.values() for plan in entry.throughput.get(corpus, {}))
    )
    speeds = [*plans, "x torch [min, max]"] if plans else []
    accuracy = ["MB", "drift", "max", "flips", "micro-F1", "macro-F1"]
    table = make_table("backend", speeds, accuracy, title=_title(corpus))
    for name, entry in results.sides().items():
        if entry.skipped:
            continue
        timed = entry.throughput.get(corpus, {})
        cells = [_number(timed[plan].texts_per_second if plan in timed else None, ".0f") for plan in plans]
        table.add_row(name, *cells, *([_ratio(entry, corpus)] if plans else []), *_accuracy_cells(entry))
    return table


def _title(corpus: str) -> str:
    drift = "drift: mean over texts of the largest probability difference; flips, F1 at 0.5"
    return f"texts/s on {corpus!r} by batch plan; x torch: budget plan, side by side; {drift}" if corpus else drift


def _ratio(entry: BackendResults, corpus: str) -> str:
    ratio = entry.ratios.get(corpus, {}).get("budget")
    return f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else "-"


def _accuracy_cells(entry: BackendResults) -> list[str]:
    drift = entry.measured.get(DRIFT)
    flips = (entry.measured.get(FLIPS) or {}).get(_POLICY)
    quality = (entry.measured.get(QUALITY) or {}).get(_POLICY)
    return [
        _number(entry.about.size_bytes / 1e6 if entry.about else None, ".1f"),
        _number(drift.largest_per_text.mean if drift else None, ".1e"),
        _number(drift.largest_per_text.max if drift else None, ".1e"),
        f"{flips.total}/{flips.decisions}" if flips else "-",
        _number(quality.backend.micro_f1 if quality else None, ".4f"),
        _number(quality.backend.macro_f1 if quality else None, ".4f"),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def render_worst_rows(
    drift: "Drift", labels: Sequence[str], row_ids: Sequence[str], texts: Sequence[str] | None
) -> str:
    """The rows that moved most, with the labels that moved most in each; texts only where they may be shown."""
    moves = f"the {_LABELS_SHOWN} labels that moved most: reference -> backend"
    table = make_table("row", "largest", moves, title="rows that moved most", wrapped=(moves,))
    if texts is not None:
        table.add_column("text", max_width=60, no_wrap=True, overflow="ellipsis")
    for worst in drift.worst:
        moved = sorted(
            zip(labels, worst.reference, worst.backend, strict=True), key=lambda item: -abs(item[1] - item[2])
        )
        cells = ", ".join(f"{label} {before:.4f} -> {after:.4f}" for label, before, after in moved[:_LABELS_SHOWN])
        shown = [] if texts is None else [texts[worst.row]]
        table.add_row(row_ids[worst.row], f"{worst.max_abs_drift:.6f}", cells, *shown)
    return render(table, 160)
