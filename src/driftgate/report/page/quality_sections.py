"""The sections on quality, calibration, speed and size."""

from collections.abc import Iterator
from functools import partial

from driftgate.report.page.answers import best_ratio
from driftgate.report.page.charts import draw_calibration, draw_forest, draw_tradeoff
from driftgate.report.page.content import Cell, Figure, Section, Table, gate_badge
from driftgate.report.page.node import Node
from driftgate.report.page.numbers import megabytes, percent, short
from driftgate.report.page.runs import Run

_LOSSES = ("micro_f1", "macro_f1", "macro_f1_supported", "subset_accuracy", "mcc")


def show_quality(run: Run, anchor: str) -> Section:
    """Losses against labels, and calibration; empty where the corpus has none."""
    policies = list(dict.fromkeys(name for backend in run.backends for name in backend.node.at("losses").items()))
    losses = [_losses(run, policy, f"{anchor}-losses-{place}") for place, policy in enumerate(policies)]
    figures = (*losses, *_calibration(run, anchor))
    sentence = (
        "A loss is the metric of the reference less that of the backend on the same labelled rows: below 0 is a gain."
    )
    return Section(f"{anchor}-quality", "Quality against labels", (sentence,) if losses else (), figures)


def _losses(run: Run, policy: str, anchor: str) -> Figure:
    rows: list[tuple[Cell, ...]] = []
    drawn = []
    for metric in _LOSSES:
        for backend in run.backends:
            loss = backend.node.at("losses", policy, metric)
            value, low, high = (loss.number(name) for name in ("loss", "low", "high"))
            if value is None:
                continue
            interval = f"[{_loss(low)}, {_loss(high)}]"
            sides = short(loss.number("reference")), short(loss.number("backend"))
            rows.append((metric, backend.name, *sides, _loss(value), interval, short(loss.number("detectable"))))
            name = f"{metric}, {backend.name}"
            drawn.append({"name": name, "group": backend.name, "value": value, "low": low, "high": high})
    columns = ("metric", "backend", "reference", "this backend", "loss", "90% interval", "detectable loss")
    return Figure(
        anchor,
        f"Losses, decisions {policy}",
        Table(f"Losses of quality, decisions {policy}", columns, tuple(rows), frozenset({0, 1})),
        "Every loss of quality with its 90% interval around zero, by metric and backend.",
        partial(draw_forest, drawn, "loss of quality (below 0 is a gain)", (), "+.3f") if drawn else None,
    )


def _loss(value: float | None) -> str:
    return "?" if value is None else f"{value:+.4f}"


def _calibration(run: Run, anchor: str) -> Iterator[Figure]:
    sides = [("reference", run.reference), *((backend.name, backend.node) for backend in run.backends)]
    measured = [(name, node.at("calibration")) for name, node in sides if node.at("calibration", "curve")]
    if not measured:
        return
    drawn = [
        {"group": name, "probability": probability, "share": share}
        for name, node in measured
        for part in node.at("curve").entries()
        if (probability := part.number("mean_probability")) is not None
        and (share := part.number("share_true")) is not None
    ]
    bins = list(measured[0][1].at("curve").entries())
    columns = ("probability", "decisions", *(name for name, _ in measured))
    rows = tuple(
        (
            f"{short(part.number('low'))} to {short(part.number('high'))}",
            f"{part.count('decisions'):,}",
            *(_share_true(node, place) for _, node in measured),
        )
        for place, part in enumerate(bins)
    )
    scores = "; ".join(
        f"{name}: Brier {short(node.number('brier'))}, error {short(node.number('expected_calibration_error'))}"
        for name, node in measured
    )
    yield Figure(
        f"{anchor}-calibration",
        "Reliability of probabilities",
        Table(
            f"Share of true labels by probability; decisions are counted of {measured[0][0]}",
            columns,
            rows,
            more=f"{scores}.",
        ),
        "The share of true labels among decisions of similar probability; on the dashed diagonal both are the same.",
        partial(draw_calibration, drawn) if drawn else None,
    )


def _share_true(node: Node, place: int) -> str:
    parts = list(node.at("curve").entries())
    share = parts[place].number("share_true") if place < len(parts) else None
    return "-" if share is None else f"{share:.1%}"


def show_speed(run: Run, anchor: str) -> Section:
    """Slowdowns since the baseline, throughput, and size against both."""
    figures = (*_gate(run, anchor), *_throughput(run, anchor), *_tradeoff(run, anchor))
    notes = tuple(f"{note.rstrip('.')}." for note in run.node.at("gate", "notes").texts())
    return Section(f"{anchor}-speed", "Speed and size", notes, figures, brief=bool(run.cells))


def _gate(run: Run, anchor: str) -> Iterator[Figure]:
    if not run.cells:
        return
    columns = ("cell", "verdict", "slowdown", "interval", "rounds", "why")
    rows = tuple(
        (
            cell.name,
            gate_badge(cell.verdict),
            percent(cell.slowdown),
            f"[{percent(cell.low, '?')}, {percent(cell.high, '?')}]" if cell.slowdown is not None else "-",
            str(cell.rounds or "-"),
            cell.reason,
        )
        for cell in run.cells
    )
    drawn = [
        {"name": cell.name, "group": cell.backend, "value": cell.slowdown, "low": cell.low, "high": cell.high}
        for cell in run.cells
        if cell.slowdown is not None
    ]
    detect, tolerance = (run.node.number("gate", "rule", name) for name in ("detect", "tolerance"))
    marks = [{"x": limit} for limit in (tolerance, detect) if limit]
    yield Figure(
        f"{anchor}-gate",
        "Slowdowns since the baseline",
        Table(
            f"Verdicts of the speed gate, which finds slowdowns of {(detect or 0):.0%} and tolerates {(tolerance or 0):.0%}",
            columns,
            rows,
            frozenset({0, 1, 5}),
        ),
        "The slowdown of every cell with its interval. The solid line is the baseline; the dashed lines are the slowdown that is "
        "acceptable and the one that the gate has to find.",
        partial(draw_forest, drawn, "slowdown (below 0 is faster)", marks, "+.0%") if drawn else None,
    )


def _throughput(run: Run, anchor: str) -> Iterator[Figure]:
    rows: list[tuple[Cell, ...]] = []
    for backend in run.backends:
        for corpus, plans in backend.node.at("throughput").items().items():
            for plan, cell in plans.items().items():
                ratio = backend.node.at("ratios", corpus, plan)
                range_ = f"[{short(ratio.number('low'))}, {short(ratio.number('high'))}]" if ratio else "-"
                speed = cell.number("texts_per_second")
                margin = cell.number("relative_margin")
                texts = "-" if speed is None else f"{speed:,.0f}"
                within = "-" if margin is None else f"±{margin:.0%}"
                rows.append((backend.name, corpus, plan, texts, within, short(ratio.number("median")), range_))
    columns = ("backend", "corpus", "batch plan", "texts per second", "95% interval", "x torch", "smallest and largest")
    table = Table("Throughput, and speed relative to torch side by side", columns, tuple(rows), frozenset({0, 1, 2}))
    if rows:
        yield Figure(f"{anchor}-throughput", "Throughput", table)


def _tradeoff(run: Run, anchor: str) -> Iterator[Figure]:
    found = [
        (backend.name, size, drift, best_ratio(backend))
        for backend in run.backends
        if (size := backend.node.number("about", "size_bytes")) is not None
        and (drift := backend.drift("mean")) is not None
    ]
    if not found:
        return
    fast = all(ratio is not None for *_, ratio in found)
    points = {name: (size, drift, -(ratio or 0.0) if fast else 0.0) for name, size, drift, ratio in found}
    front = {name for name, own in points.items() if not any(_beats(other, own) for other in points.values())}
    drawn = [
        {
            "backend": name,
            "megabytes": size / 1e6,
            "drift": drift,
            "speed": -slowness if fast else None,
            "front": "on the front" if name in front else "beaten by another",
        }
        for name, (size, drift, slowness) in points.items()
    ]
    rows = tuple(
        (name, megabytes(size), short(-slowness) if fast else "-", short(drift), "yes" if name in front else "no")
        for name, (size, drift, slowness) in points.items()
    )
    columns = ("backend", "MB", "x torch", "drift", "on the Pareto front")
    yield Figure(
        f"{anchor}-tradeoff",
        "Size, speed and drift" if fast else "Size and drift",
        Table("Backends that no other one beats in size, speed and drift at once are on the front", columns, rows),
        "Backends by size of their files, speed relative to torch and mean drift; a diamond is on the Pareto front.",
        partial(draw_tradeoff, drawn),
    )


def _beats(other: tuple[float, ...], own: tuple[float, ...]) -> bool:
    return other != own and all(theirs <= mine for theirs, mine in zip(other, own, strict=True))
