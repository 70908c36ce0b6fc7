"""Where the drift of a backend comes from, as `driftgate explain` found: modules, and products made exact one after the other."""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from driftgate.explain.explanation import SCHEMA
from driftgate.report.page.charts import Row
from driftgate.report.page.content import Cell, Figure, Section, Table
from driftgate.report.page.node import Node
from driftgate.report.page.numbers import short
from driftgate.report.page.origin_charts import draw_modules, draw_waterfall
from driftgate.results.document import read_document

_LAYER = re.compile(r"(layer \d+) (.+)")


def read_explanation(path: Path) -> Node:
    """What `driftgate explain --out` wrote.

    Raises:
        ResultsError: no such file, one that is too large, not JSON, or of another schema.
    """
    content = read_document(path, "explanation", SCHEMA, "`driftgate explain --out`")
    return Node(content, f"explanation {path}")


def show_explanations(explanations: Sequence[Node], encoder_sha256: str, anchor: str) -> Section:
    """Those of the encoder with this digest; empty where there are none."""
    own = [found for found in explanations if found.text("encoder_sha256") == encoder_sha256]
    sentences = tuple(
        f"{found.text('backend')} on {found.count('rows'):,} rows of {found.text('corpus')}: {sentence}"
        for found in own
        for sentence in found.at("summary").texts()
    )
    figures: list[Figure] = []
    for number, found in enumerate(own, 1):
        begin = f"{anchor}-explanation-{number}"
        figures += [_modules(found, f"{begin}-modules"), *_together(found, f"{begin}-products")]
    return Section(f"{anchor}-explanation", "Where the drift comes from", sentences, tuple(figures))


def _modules(found: Node, anchor: str) -> Figure:
    rows: list[tuple[Cell, ...]] = []
    drawn: list[Row] = []
    for module in found.at("modules").entries():
        name, share = module.text("name"), module.number("share") or 0.0
        part = _LAYER.fullmatch(name)
        place, kind = part.groups() if part else (name, "whole")
        drawn.append({"place": place, "kind": kind, "share": max(share, 0.0)})
        drifts = (module.number("restored", "drift"), module.number("alone", "drift"))
        numbers = (module.number("own_error"), module.number("inherited_error"), *drifts)
        rows.append((name, f"{share:.0%}", *map(short, numbers)))
    columns = ("module", "share", "own error", "inherited error", "drift, it alone exact", "drift, all others exact")
    backend = found.text("backend")
    table = Table(f"Modules of {backend}, the most harmful first", columns, tuple(rows))
    return Figure(
        anchor,
        f"Share of the drift of {backend} by module",
        table,
        "For each layer and kind of module, its share of the drift: of the sum of the squares of what each makes alone.",
        partial(draw_modules, drawn) if drawn else None,
    )


def _together(found: Node, anchor: str) -> Iterator[Figure]:
    rows: list[tuple[Cell, ...]] = []
    drawn: list[Row] = []
    before: float | None = None
    for step in found.at("together").entries():
        drift, removed = step.number("drift") or 0.0, step.number("removed") or 0.0
        product = (step.at("products").texts() or [""])[-1]
        if before is None:
            before = drift / (1 - removed) if removed < 1 else found.number("drift") or 0.0
        drawn.append({"stage": product, "before": before, "after": drift, "way": "more" if drift > before else "less"})
        rows.append((product, short(before), short(drift), f"{removed:.0%}"))
        before = drift
    if not rows:
        return
    backend = found.text("backend")
    columns = ("product", "drift before", "drift after", "removed so far")
    table = Table(f"Products of {backend} made exact, each in addition to those above it", columns, tuple(rows))
    title = f"Drift of {backend} as its worst products are made exact"
    description = "For each product, the mean drift before and after it is made exact as well."
    draw = partial(draw_waterfall, drawn, "mean drift, before and after the product is exact as well")
    yield Figure(anchor, title, table, description, draw)
