"""Beyond the one-line table: the figures of model cards with their intervals, and every metric of the registry."""

from collections.abc import Iterator

from driftgate.judge.confidence.bootstrap import MARGIN, judge_equivalence
from driftgate.judge.metric_sources import worst_slice
from driftgate.judge.metric_types import Metric
from driftgate.judge.metrics import METRICS
from driftgate.judge.parts import FLIPS, LOSSES, QUALITY, SLICES, SUBSET_ACCURACY
from driftgate.results.record import BackendResults, Results
from driftgate.results.tables import make_table, render

_CLAIMS = (
    f"almost identical: no loss of accuracy or F1 beyond {MARGIN}; accuracy: the whole label set is right; "
    "precision, recall, F1: means over labels; "
    "detectable: the smallest F1 loss found with 80% power"
)


def render_claims(results: Results, width: int) -> str:
    """What model cards claim, for every backend and decision policy, and whether "almost identical" holds; "" if unlabelled."""
    numbers = ["accuracy", "precision", "recall", "F1", "F1 loss [90%]", "detectable"]
    table = make_table("almost identical", "backend", "decisions", numbers, title=_CLAIMS)
    for name, entry in results.sides().items():
        for policy, both in (entry.measured.get(QUALITY) or {}).items():
            own = both.backend
            figures = (own.subset_accuracy, own.macro_precision, own.macro_recall, own.macro_f1)
            verdict, *loss = _loss_cells(entry, policy)
            table.add_row(verdict, name, policy, *(f"{figure:.4f}" for figure in figures), *loss)
    return render(table, width) if table.row_count else ""


def _loss_cells(entry: BackendResults, policy: str) -> list[str]:
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
    searched = entry.searched.get(metric.name)
    held = [
        verdict.value
        for verdict in (*entry.verdicts, *([searched] if searched else []))
        if verdict.metric == metric.name
    ]
    return {"": max(held) if metric.at_most else min(held)} if held else {}


def _notes(name: str, entry: BackendResults) -> Iterator[str]:
    found = worst_slice(entry.measured.get(SLICES) or {})
    if found:
        yield f"{name}: worst slice: {found[0]} ({found[1].rows} rows)"
    for policy, flips in (entry.measured.get(FLIPS) or {}).items():
        if flips.against_truth and flips.against_truth.significantly_worse:
            labels = ", ".join(flips.against_truth.significantly_worse)
            yield f"{name}: labels significantly worse {policy}: {labels}"
