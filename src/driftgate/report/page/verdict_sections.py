"""The sections on verdicts: what is broken, each backend at a glance, and each of its bounds."""

from collections import Counter
from collections.abc import Iterator
from functools import partial

from driftgate.report.page.answers import best_ratio, sameness
from driftgate.report.page.charts import draw_bounds
from driftgate.report.page.content import FAIL, Cell, Figure, Section, Table, gate_badge, outcome_badge
from driftgate.report.page.numbers import count_of, interval, megabytes, percent, short
from driftgate.report.page.runs import Backend, Held, Run

_BEYOND = 10
_GRAVITY = {"fail": 0, "not-shown": 1}


def list_failures(run: Run, anchor: str) -> Section:
    """Every bound that is broken, every slower cell, and what else the run says is wrong; empty where nothing is."""
    rows: list[tuple[Cell, ...]] = [
        (FAIL, backend.name, held.metric, short(held.value), interval(held.low, held.high), _limit(held), _used(held))
        for backend in run.backends
        for held in sorted(backend.broken(), key=lambda one: -(one.used or 0))
    ]
    rows += [
        (
            gate_badge(cell.verdict),
            cell.backend,
            cell.name,
            percent(cell.slowdown),
            interval(cell.low, cell.high, percent),
            "",
            "",
        )
        for cell in run.cells
        if cell.slower
    ]
    columns = ("verdict", "backend", "metric or cell", "value", "interval", "bound", "of bound")
    table = Table("Everything that failed", columns, tuple(rows), frozenset({0, 1, 2}))
    sentences = [
        f"{backend.name}: {count_of(backend.failed_checks, 'check')} of {backend.checks} failed."
        for backend in run.backends
        if backend.failed_checks and not any(cell.backend == backend.name for cell in run.cells)
    ]
    sentences += [f"{backend.name}: {line}" for backend in run.backends for line in _findings(backend)]
    figures = (Figure(f"{anchor}-failures-table", "Broken bounds", table),) if rows else ()
    return Section(f"{anchor}-failures", "Failures", tuple(sentences), figures, brief=True)


def _findings(backend: Backend) -> Iterator[str]:
    for finding in backend.node.at("graph", "findings").entries():
        yield f"{finding.text('found')}; {finding.text('advice')}"
    for line in backend.node.at("graph", "lock").texts():
        yield f"its graph is not the locked one: {line}"
    for difference in backend.node.at("shipped", "differences").entries():
        yield (
            f"what ships with it differs: {difference.text('what')} is {difference.at('found').value}, "
            f"expected {difference.at('expected').value}"
        )


def list_backends(run: Run, anchor: str) -> Section:
    """One line a backend."""
    columns = ("backend", "verdict", "same model", "MB", "drift", "largest", "flips", "macro-F1", "x torch")
    rows = tuple(_line(run, backend) for backend in run.backends)
    table = Table("Every backend at a glance", columns, rows, frozenset({0, 1, 2}))
    what = "score difference, in the spread of the scores," if run.gives_scores else "largest probability difference"
    sentences = [f"Drift is the mean over texts of the {what} from the reference, which is the encoder in torch."]
    sentences += [f"{backend.name} was skipped: {backend.skipped}." for backend in run.backends if backend.skipped]
    figures = (Figure(f"{anchor}-backends-table", "Backends at a glance", table),)
    return Section(f"{anchor}-backends", "Backends", tuple(sentences), figures, brief=True)


def _line(run: Run, backend: Backend) -> tuple[Cell, ...]:
    node = backend.node
    flips = next(iter(node.at("flips").items().values()), None)
    quality = next(iter(node.at("quality").items().values()), None)
    return (
        backend.name,
        sameness(run, backend) if backend.skipped else outcome_badge(backend.verdict),
        sameness(run, backend),
        megabytes(node.number("about", "size_bytes")),
        short(backend.drift("mean")),
        short(backend.drift("max")),
        f"{flips.count('total')}/{flips.count('decisions')}" if flips else "-",
        short(quality.number("macro_f1")) if quality else "-",
        short(best_ratio(backend)),
    )


def list_bounds(run: Run, anchor: str) -> Section:
    """Each metric that was held to a bound: value, interval, bound and distance, on one axis for each backend."""
    figures = tuple(
        _bounds_figure(backend, f"{anchor}-bounds-{place}")
        for place, backend in enumerate(run.backends)
        if backend.held
    )
    sentence = (
        "Every value is shown as a share of its bound, so that all of them stand on one axis: up to 1 the bound is kept. The "
        "line through a point is its confidence interval. PASS means that the whole interval is within the bound, FAIL that it "
        "is beyond it, and NOT SHOWN that the rows are too few to tell."
    )
    return Section(f"{anchor}-bounds", "Bounds", (sentence,) if figures else (), figures)


def _bounds_figure(backend: Backend, anchor: str) -> Figure:
    held = sorted(backend.held, key=lambda one: (_GRAVITY.get(one.verdict, 2), -(one.used or 0)))
    columns = ("metric", "verdict", "value", "interval", "bound", "of bound", "rows needed")
    rows = tuple(
        (
            one.metric,
            outcome_badge(one.verdict),
            short(one.value),
            interval(one.low, one.high),
            _limit(one),
            _used(one),
            f"{one.rows_needed:,}" if one.rows_needed else "-",
        )
        for one in held
    )
    drawn = [
        {
            "metric": one.metric,
            "used": one.used,
            "low": used if (used := one.share(one.low)) is not None else one.used,
            "high": one.share(one.high),
            "verdict": str(outcome_badge(one.verdict)),
            "kind": outcome_badge(one.verdict).kind,
        }
        for one in held
        if one.used is not None
    ]
    counted = ", ".join(f"{count} {word}" for word, count in Counter(row["verdict"] for row in drawn).items())
    return Figure(
        anchor,
        f"Bounds of {backend.name}",
        Table(f"Bounds of {backend.name}", columns, rows, frozenset({0, 1})),
        f"Each metric of {backend.name} as a share of its bound, on a logarithmic axis: {counted}.",
        partial(draw_bounds, drawn) if drawn else None,
    )


def _limit(held: Held) -> str:
    return f"{'≤' if held.at_most else '≥'} {short(held.limit)}" if held.limit is not None else "none"


def _used(held: Held) -> str:
    if held.used is None:
        return "-"
    return f"{held.used:,.0f} x" if held.used >= _BEYOND else f"{held.used:.2g} x"
