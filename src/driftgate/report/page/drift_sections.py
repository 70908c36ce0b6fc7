"""The sections on drift: by text, by label, by part of the corpus, by stage of the build, and the rows with the largest drift."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from driftgate.report.page.charts import draw_distribution, draw_heatmap, draw_slices
from driftgate.report.page.content import Cell, Figure, Section, Table
from driftgate.report.page.node import Node
from driftgate.report.page.numbers import megabytes, short
from driftgate.report.page.origin_charts import draw_waterfall
from driftgate.report.page.runs import Backend, Run

_LABELS_DRAWN, _LABELS_LISTED = 40, 300
_SLICES_DRAWN = 40
_SHARES = (0.5, 0.9, 0.95, 0.99, 1.0)
_MOVED = 3


def show_drift(run: Run, anchor: str) -> Section:
    """How far answers are from the reference's."""
    drifted = [backend for backend in run.backends if backend.node.at("drift")]
    figures = (*_by_text(drifted, anchor), *_by_label(run, drifted, anchor), *_by_slice(drifted, anchor))
    sentence = "Drift is how far a probability is from the reference's on the same text."
    return Section(f"{anchor}-drift", "Drift", (sentence,) if figures else (), figures)


def _by_text(backends: Sequence[Backend], anchor: str) -> Iterator[Figure]:
    curves = {backend.name: backend.node.at("drift", "quantiles_of_largest").numbers() for backend in backends}
    curves = {name: values for name, values in curves.items() if len(values) > 1}
    if not curves:
        return
    rows = tuple(
        (name, *(short(values[round(share * (len(values) - 1))]) for share in _SHARES))
        for name, values in curves.items()
    )
    columns = ("backend", *(f"{share:.0%} of texts" for share in _SHARES))
    drawn = [
        {"group": name, "drift": value, "share": place / (len(values) - 1)}
        for name, values in curves.items()
        for place, value in enumerate(values)
    ]
    yield Figure(
        f"{anchor}-ecdf",
        "Drift by text",
        Table("Largest probability difference that this share of texts does not exceed", columns, rows),
        "For each backend, the share of texts whose largest probability difference is at most the one on the logarithmic axis.",
        partial(draw_distribution, drawn),
    )


def _by_label(run: Run, backends: Sequence[Backend], anchor: str) -> Iterator[Figure]:
    found = {
        backend.name: {
            name: node.number() or 0.0 for name, node in backend.node.at("drift", "per_label_mean_abs").items().items()
        }
        for backend in backends
    }
    labels = [label for label in run.labels if any(label in values for values in found.values())]
    if not labels:
        return
    labels.sort(key=lambda label: -max(values.get(label, 0.0) for values in found.values()))
    rows = tuple((label, *(short(values.get(label)) for values in found.values())) for label in labels[:_LABELS_LISTED])
    drawn = [
        {"label": label, "backend": name, "drift": values[label]}
        for label in labels[:_LABELS_DRAWN]
        for name, values in found.items()
        if label in values
    ]
    left = len(labels) - _LABELS_LISTED
    caption = "Mean probability difference of each label, the largest first."
    if len(labels) > _LABELS_DRAWN:
        caption += f" The chart has the {_LABELS_DRAWN} labels of {len(labels)} that drift most."
    yield Figure(
        f"{anchor}-labels",
        "Drift by label",
        Table(
            caption,
            ("label", *found),
            rows,
            more=f"{left} more labels drift less." if left > 0 else "",
        ),
        "Labels by backends; the darker a field, the further the label's probabilities are from the reference's on average.",
        partial(draw_heatmap, drawn),
    )


def _by_slice(backends: Sequence[Backend], anchor: str) -> Iterator[Figure]:
    found: dict[str, dict[str, Node]] = {backend.name: backend.node.at("slices").items() for backend in backends}
    names = list(dict.fromkeys(name for slices in found.values() for name in slices))
    if not names:
        return
    rows = tuple(
        (name, f"{_rows_of(name, found):,}", *(_slice_cell(slices.get(name)) for slices in found.values()))
        for name in names[:_LABELS_LISTED]
    )
    drawn = [
        {"name": name, "group": backend, "drift": drift}
        for name in names[:_SLICES_DRAWN]
        for backend, slices in found.items()
        if name in slices and (drift := slices[name].number("mean_of_largest")) is not None
    ]
    left = len(names) - _LABELS_LISTED
    yield Figure(
        f"{anchor}-slices",
        "Drift by part of the corpus",
        Table(
            "Mean drift of each slice, and flips",
            ("slice", "rows", *found),
            rows,
            more=f"{left} more slices are in results.json." if left > 0 else "",
        ),
        "The mean drift of texts by length, truncation, padding and other properties, for each backend, on a logarithmic axis.",
        partial(draw_slices, drawn) if drawn else None,
    )


def _rows_of(name: str, found: Mapping[str, Mapping[str, Node]]) -> int:
    return max(slices[name].count("rows") for slices in found.values() if name in slices)


def _slice_cell(node: Node | None) -> str:
    if node is None:
        return "-"
    flips = node.count("flips")
    return short(node.number("mean_of_largest")) + (f", {flips} flips" if flips else "")


def show_ledgers(run: Run, anchor: str) -> Section:
    """What each step of a build adds; empty where no ledger was asked for."""
    figures = []
    for place, backend in enumerate(run.backends):
        stages = list(backend.node.at("ledger", "stages").entries())
        if stages:
            figures.append(_ledger(backend.name, stages, f"{anchor}-ledger-{place}"))
    sentence = (
        "Each stage of a build is compared with the reference, so that the step that costs accuracy needs no search."
    )
    return Section(f"{anchor}-ledger", "Ledger of the build", (sentence,) if figures else (), tuple(figures))


def _ledger(name: str, stages: Sequence[Node], anchor: str) -> Figure:
    drawn, rows, before = [], [], 0.0
    for stage in stages:
        drift = stage.number("drift", "mean_of_largest_probability") or 0.0
        flips = [f"{policy}: {count.count()}" for policy, count in stage.at("flips").items().items()]
        rows.append(
            (
                stage.text("name"),
                f"{stage.count('drift', 'rows'):,}",
                megabytes(stage.number("size_bytes")),
                short(drift),
                short(stage.number("added", "mean_of_largest_probability")),
                short(stage.number("drift", "max_abs_probability")),
                ", ".join(flips) or "-",
            )
        )
        if stage.text("name") != "torch float64":  # beside the reference, and before it
            way = "more" if drift >= before else "less"
            drawn.append({"stage": stage.text("name"), "before": before, "after": drift, "way": way})
            before = drift
    columns = ("stage", "rows", "MB", "drift", "added", "largest", "flips")
    return Figure(
        anchor,
        f"Ledger of {name}",
        Table(
            f"Drift from torch float32 after each stage of {name}, and what the stage added to the one before",
            columns,
            tuple(rows),
        ),
        f"A bar for each stage of the build of {name}, from the drift before it to the drift after it.",
        partial(draw_waterfall, drawn, "drift from torch float32, before and after the stage"),
    )


def show_worst_rows(run: Run, anchor: str, texts: Mapping[int, str]) -> Section:
    """The rows with the largest drift, by id.

    Args:
        texts: of rows by number, where they may be shown.
    """
    ids = run.node.at("row_ids")
    columns: tuple[str, ...] = ("row", "largest", "the labels with the largest changes, reference to backend")
    if texts:
        columns += ("text",)
    figures = []
    for place, backend in enumerate(run.backends):
        worst = list(backend.node.at("drift", "worst").entries())
        if not worst:
            continue
        rows: list[tuple[Cell, ...]] = []
        for entry in worst:
            number = entry.count("row")
            name = ids.text(str(number)) or f"row {number}"
            cells = (name, short(entry.number("max_abs_drift")), _moves(run.labels, entry))
            rows.append((*cells, texts[number]) if number in texts else cells)
        table = Table(f"The rows of {backend.name} with the largest drift", columns, tuple(rows), frozenset({0, 2, 3}))
        figures.append(Figure(f"{anchor}-rows-{place}", f"Rows of {backend.name}", table))
    withheld = (
        "Rows are named by their position in the corpus; pytest --driftgate-show-texts adds their texts to this page."
    )
    sentences = (withheld,) if figures and not texts else ()
    return Section(f"{anchor}-rows", "Rows with the largest drift", sentences, tuple(figures))


def _moves(labels: Sequence[str], entry: Node) -> str:
    sides = zip(labels, entry.at("reference").numbers(), entry.at("backend").numbers(), strict=False)
    moved = sorted(sides, key=lambda side: -abs(side[1] - side[2]))[:_MOVED]
    return "; ".join(f"{label} {before:.4f} to {after:.4f}" for label, before, after in moved)
