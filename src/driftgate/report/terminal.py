"""The tables at the end of a run, those of -v with every metric and its interval, and the text of a failed bound."""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from driftgate.inputs.encoder import ProblemType
from driftgate.judge.accuracy_verdicts import NotShown
from driftgate.judge.metric_sources import worst_slice
from driftgate.judge.metric_types import POLICIES, Metric
from driftgate.judge.metrics import METRICS
from driftgate.judge.parts import DRIFT, FLIPS, LOSSES, QUALITY, SCORE_QUALITY, SCORES, SLICES, SUBSET_ACCURACY
from driftgate.report.verdict_lines import verdict_word
from driftgate.results.record import BackendResults, Results
from driftgate.results.tables import make_table, render


def render_claims(results: Results, width: int) -> str:
    """What model cards claim, for every backend and decision policy, and whether "almost identical" holds; "" if unlabelled."""
    from driftgate.judge.confidence.bootstrap import MARGIN  # scikit-learn is slow to import

    title = (
        f"almost identical: no loss of accuracy or F1 beyond {MARGIN}; accuracy: the whole label set is right; "
        "precision, recall, F1: means over labels; detectable: the smallest F1 loss found with 80% power"
    )
    numbers = ["accuracy", "precision", "recall", "F1", "F1 loss [90%]", "detectable"]
    table = make_table("almost identical", "backend", "decisions", numbers, title=title)
    for name, entry in results.sides().items():
        for policy, both in (entry.measured.get(QUALITY) or {}).items():
            own = both.backend
            figures = (own.subset_accuracy, own.macro_precision, own.macro_recall, own.macro_f1)
            verdict, *loss = _loss_cells(entry, policy)
            table.add_row(verdict, name, policy, *(f"{figure:.4f}" for figure in figures), *loss)
    return render(table, width) if table.row_count else ""


def _loss_cells(entry: BackendResults, policy: str) -> list[str]:
    from driftgate.judge.confidence.bootstrap import judge_equivalence

    losses, rows = entry.measured.get(LOSSES), entry.measured.get(SUBSET_ACCURACY)
    if losses is None or rows is None:  # the reference itself
        return ["-", "-", "-"]
    macro = losses[policy]["macro_f1"]
    loss = f"{macro.loss:+.4f} [{macro.low:+.4f}, {macro.high:+.4f}]"
    return [judge_equivalence(rows[policy], losses[policy]), loss, f"{macro.detectable:.4f}"]


def render_details(results: Results, width: int) -> str:
    """A row for every metric that was measured, a column for every backend; then names behind some of the numbers."""
    shown = {name: entry for name, entry in results.backends.items() if _has_metrics(entry)}
    if not shown:
        return ""
    table = make_table("metric", list(shown), title="all metrics")
    for metric in METRICS.values():
        values = [_values(metric, entry) for entry in shown.values()]
        for policy in dict.fromkeys(policy for found in values for policy in found):
            cells = ("-" if (value := found.get(policy)) is None else metric.show(value) for found in values)
            table.add_row(f"{metric.label} {policy}".rstrip(), *cells)
    notes = "".join(f"{note}\n" for name, entry in shown.items() for note in _notes(name, entry))
    return render(table, width) + notes


def _has_metrics(entry: BackendResults) -> bool:
    return bool(entry.measured.records or entry.verdicts or entry.searched)


def _values(metric: Metric, entry: BackendResults) -> dict[str, float]:
    """By decision policy; of a metric that tests measure themselves, the worst that was held to its bound."""
    if metric.source:
        return metric.values(entry.measured)
    judged = (*entry.verdicts, *entry.searched.values())
    held = [verdict.value for verdict in judged if verdict.metric == metric.name]
    return {"": max(held) if metric.at_most else min(held)} if held else {}


def _notes(name: str, entry: BackendResults) -> Iterator[str]:
    found = worst_slice(entry.measured.get(SLICES) or {})
    if found:
        yield f"{name}: worst slice: {found[0]} ({found[1].rows} rows)"
    for policy, flips in (entry.measured.get(FLIPS) or {}).items():
        if flips.against_truth and flips.against_truth.significantly_worse:
            labels = ", ".join(flips.against_truth.significantly_worse)
            yield f"{name}: labels significantly worse {policy}: {labels}"


if TYPE_CHECKING:  # SciPy is slow to import, and the commands' help needs none of it
    from driftgate.judge.drift import Drift
    from driftgate.judge.scores.score_drift import ScoreDrift

_ACCURACY = ("MB", "drift", "max", "1 - rank correlation", "flips", "micro-F1", "macro-F1", "Spearman", "Pearson")
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
    if any(SCORES.name in entry.measured.records for entry in results.backends.values()):
        correlation = any(SCORE_QUALITY.name in entry.measured.records for entry in results.backends.values())
        people = "; Spearman, Pearson: correlation with the scores that people gave" if correlation else ""
        return f"drift: mean over texts of the score difference, in the spread of the reference's scores{people}"
    single = results.header is not None and results.header.encoder.problem_type == ProblemType.SINGLE_LABEL
    decided = "flips, F1: of the top class" if single else "flips, F1 at 0.5"
    return f"drift: mean over texts of the largest probability difference; {decided}"


def _ratio(entry: BackendResults, corpus: str) -> str:
    ratio = entry.ratios.get(corpus, {}).get("budget")
    return f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else "-"


def _accuracy_cells(entry: BackendResults) -> list[str]:
    drift, scores = entry.measured.get(DRIFT), entry.measured.get(SCORES)
    moved = drift.largest_per_text if drift else scores.drift if scores else None
    flips = (entry.measured.get(FLIPS) or {}).get(_POLICY)
    quality = (entry.measured.get(QUALITY) or {}).get(_POLICY)
    correlation = entry.measured.get(SCORE_QUALITY)
    return [
        _number(entry.about.size_bytes / 1e6 if entry.about else None, ".1f"),
        _number(moved.mean if moved else None, ".1e"),
        _number(moved.max if moved else None, ".1e"),
        _number(1 - scores.rank_correlation if scores else None, ".1e"),
        f"{flips.total}/{flips.decisions}" if flips else "-",
        _number(quality.backend.micro_f1 if quality else None, ".4f"),
        _number(quality.backend.macro_f1 if quality else None, ".4f"),
        _number(correlation.backend.spearman if correlation else None, ".4f"),
        _number(correlation.backend.pearson if correlation else None, ".4f"),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def render_worst_scores(scores: "ScoreDrift", row_ids: Sequence[str], texts: Sequence[str] | None) -> str:
    """The rows whose scores moved most; texts only where they may be shown."""
    table = make_table("row", ("drift / spread", "reference", "backend"), title="rows with the largest drift")
    if texts is not None:
        table.add_column("text", overflow="fold")
    for worst in scores.worst:
        shown = [] if texts is None else [_cut(texts[worst.row])]
        table.add_row(
            row_ids[worst.row], f"{worst.drift:.3g}", f"{worst.reference:.6g}", f"{worst.backend:.6g}", *shown
        )
    return render(table, 100)


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
