"""The table at the end of a run, and the text of a failed bound."""

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from driftgate.inputs.encoder import ProblemType
from driftgate.judge.accuracy_verdicts import NotShown
from driftgate.judge.metric_types import POLICIES
from driftgate.judge.parts import DRIFT, FLIPS, QUALITY
from driftgate.report.verdict_lines import verdict_word
from driftgate.results.record import BackendResults, Results
from driftgate.results.tables import make_table, render

if TYPE_CHECKING:  # SciPy is slow to import, and the commands' help needs none of it
    from driftgate.judge.drift import Drift

_ACCURACY = ("MB", "drift", "max", "flips", "micro-F1", "macro-F1")
_LABELS_SHOWN = 5
_TEXT_SHOWN = 60
_POLICY = POLICIES[0]


def render_table(
    results: Results, width: int, not_shown: NotShown = NotShown.DRIFT, failed: Container[str] = ()
) -> str:
    """One line a backend with its verdict, size, drift, flips and F1; then its throughput by plan and its ratio to torch.

    What nothing was measured of has no column. Names that do not fit `width` go over several lines.

    Args:
        failed: backends of which a test failed, whatever else their verdicts say.
    """
    sides = {name: entry for name, entry in results.sides().items() if not entry.skipped}
    words = {name: verdict_word(entry, not_shown, failed=name in failed) or "-" for name, entry in sides.items()}
    accuracy = _accuracy_table(results, sides, words)
    corpora = dict.fromkeys(corpus for entry in sides.values() for corpus in entry.throughput)
    tables = [*([accuracy] if accuracy else []), *(_speed_table(sides, words, corpus) for corpus in corpora)]
    return "".join(render(table, width) for table in tables)


def _accuracy_table(results: Results, sides: Mapping[str, BackendResults], words: Mapping[str, str]) -> Table | None:
    cells = {name: _accuracy_cells(entry) for name, entry in sides.items()}
    shown = [at for at in range(len(_ACCURACY)) if any(row[at] != "-" for row in cells.values())]
    if not shown:
        return None
    columns = [_ACCURACY[at] for at in shown]
    table = make_table("verdict", "backend", columns, title=_title(results))
    for name, row in cells.items():
        table.add_row(words[name], name, *(row[at] for at in shown))
    return table


def _speed_table(sides: Mapping[str, BackendResults], words: Mapping[str, str], corpus: str) -> Table:
    plans = list(dict.fromkeys(plan for entry in sides.values() for plan in entry.throughput.get(corpus, {})))
    ratios = ["x torch [min, max]"] if any(_ratio(entry, corpus) != "-" for entry in sides.values()) else []
    title = f"texts/s on {corpus!r} by batch plan" + ("; x torch: budget plan, side by side" if ratios else "")
    table = make_table("verdict", "backend", [*plans, *ratios], title=title)
    for name, entry in sides.items():
        if timed := entry.throughput.get(corpus):
            speeds = [_number(timed[plan].texts_per_second if plan in timed else None, ".0f") for plan in plans]
            table.add_row(words[name], name, *speeds, *([_ratio(entry, corpus)] if ratios else []))
    return table


def _title(results: Results) -> str:
    """What the columns are; a single-label model decides for its top class, and has no threshold."""
    single = results.header is not None and results.header.encoder.problem_type == ProblemType.SINGLE_LABEL
    decided = "flips, F1: of the top class" if single else "flips, F1 at 0.5"
    return f"drift: mean over texts of the largest probability difference; {decided}"


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
    """The rows with the largest drift, with the labels that changed most in each; texts only where they may be shown."""
    moves = f"the {_LABELS_SHOWN} labels with the largest changes: reference -> backend"
    table = make_table("row", "largest", moves, title="rows with the largest drift")
    if texts is not None:
        table.add_column("text", overflow="fold")
    for worst in drift.worst:
        moved = sorted(
            zip(labels, worst.reference, worst.backend, strict=True), key=lambda item: -abs(item[1] - item[2])
        )
        cells = ", ".join(f"{label} {before:.4f} -> {after:.4f}" for label, before, after in moved[:_LABELS_SHOWN])
        shown = [] if texts is None else [_cut(texts[worst.row])]
        table.add_row(row_ids[worst.row], f"{worst.max_abs_drift:.6f}", cells, *shown)
    return render(table, 100)


def _cut(text: str) -> str:
    return text if len(text) <= _TEXT_SHOWN else f"{text[: _TEXT_SHOWN - 1]}…"
