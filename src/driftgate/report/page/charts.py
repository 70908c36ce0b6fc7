"""The charts of a report, as Altair makes them. Every one is static, and its numbers stand in the table below it."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from driftgate.report.page.drawing import COLOURS, GRID, INK, SERIES, SHAPES, WIDTH

Row = dict[str, Any]
_ROW_HEIGHT = 19
_LEAST_HEIGHT = 60
_SQUARE = 340
_ROOM = 1.3
"""Of the axis of sizes, beyond the largest: for its name."""
_FLOOR = 1e-9
"""Drift below this is drawn here: a logarithm has no zero."""
_LEAST_SHARE, _MOST_SHARE = 1e-4, 1e3
"""Shares of a bound are drawn between these."""


def draw_bounds(rows: Sequence[Row]) -> Any:
    """How much of each bound is used, with its interval; `rows` have metric, used, low, high, verdict and kind."""
    import altair as alt

    kept = [
        {**row, **{name: _clip(row[name], _LEAST_SHARE, _MOST_SHARE) for name in ("used", "low", "high")}}
        for row in rows
    ]
    most = max([10.0, *(row["high"] for row in kept)])
    scale = alt.Scale(type="log", domain=[_LEAST_SHARE, most])
    x = alt.X(
        "used:Q",
        scale=scale,
        axis=_powers(alt, "share of the bound that is used (1 is the bound)", (_LEAST_SHARE, most), "~g"),
    )
    y = alt.Y("metric:N", sort=None, title=None)
    words = list(dict.fromkeys((row["verdict"], row["kind"]) for row in kept))
    domain = [word for word, _ in words]
    colour = alt.Color(
        "verdict:N",
        scale=alt.Scale(domain=domain, range=[COLOURS[kind] for _, kind in words]),
        legend=alt.Legend(title=None, orient="top"),
    )
    shape = alt.Shape("verdict:N", scale=alt.Scale(domain=domain, range=[SHAPES[kind] for _, kind in words]))
    base = alt.Chart(alt.Data(values=kept), width=WIDTH, height=height_of(len(kept)))
    bound = alt.Chart(alt.Data(values=[{"used": 1}])).mark_rule(strokeDash=[4, 3], stroke=INK).encode(x=x)
    interval = base.mark_rule(strokeWidth=2).encode(y=y, x=alt.X("low:Q", scale=scale), x2="high:Q", color=colour)
    points = base.mark_point(filled=True, size=70, opacity=1).encode(y=y, x=x, color=colour, shape=shape)
    return bound + interval + points


def draw_forest(rows: Sequence[Row], title: str, marks: Sequence[Row], form: str) -> Any:
    """Values with intervals around zero; `rows` have name, group, value, low and high, `marks` x and what: limits to look at."""
    import altair as alt

    y = alt.Y("name:N", sort=None, title=None)
    x = alt.X("value:Q", title=title, axis=alt.Axis(format=form, grid=True))
    colour, shape = _series(alt, rows)
    base = alt.Chart(alt.Data(values=list(rows)), width=WIDTH, height=height_of(len({row["name"] for row in rows})))
    interval = base.mark_rule(strokeWidth=2).encode(y=y, x=alt.X("low:Q", title=title), x2="high:Q", color=colour)
    points = base.mark_point(filled=True, size=70, opacity=1).encode(y=y, x=x, color=colour, shape=shape)
    zero = alt.Chart(alt.Data(values=[{"value": 0}])).mark_rule(stroke=INK).encode(x=x)
    limits = [
        alt.Chart(alt.Data(values=[mark])).mark_rule(strokeDash=[4, 3], stroke=INK).encode(x=alt.X("x:Q", title=title))
        for mark in marks
    ]
    return alt.layer(zero, *limits, interval, points)


def draw_distribution(rows: Sequence[Row]) -> Any:
    """The share of texts that drift no more than so much; `rows` have group, drift and share."""
    import altair as alt

    kept = [{**row, "drift": max(row["drift"], _FLOOR)} for row in rows]
    colour, _ = _series(alt, rows)
    return (
        alt.Chart(alt.Data(values=kept), width=WIDTH, height=260)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=alt.X(
                "drift:Q",
                scale=alt.Scale(type="log", nice=False),
                axis=_powers(alt, "largest probability difference of a text", (row["drift"] for row in kept)),
            ),
            y=alt.Y("share:Q", title="share of texts", axis=alt.Axis(format=".0%"), scale=alt.Scale(domain=[0, 1])),
            color=colour,
            strokeDash=alt.StrokeDash("group:N", legend=None),
        )
    )


def draw_heatmap(rows: Sequence[Row]) -> Any:
    """Drift of labels and backends; `rows` have label, backend and drift."""
    import altair as alt

    kept = [{**row, "drift": max(row["drift"], _FLOOR)} for row in rows]
    backends = len({row["backend"] for row in rows})
    return (
        alt.Chart(alt.Data(values=kept), width=min(WIDTH, 110 * backends), height=height_of(len(rows) // backends))
        .mark_rect(stroke=GRID)
        .encode(
            x=alt.X("backend:N", sort=None, title=None, axis=alt.Axis(orient="top", labelAngle=-25, labelAlign="left")),
            y=alt.Y("label:N", sort=None, title=None),
            color=alt.Color(
                "drift:Q",
                scale=alt.Scale(type="log", scheme="viridis", reverse=True),
                legend=alt.Legend(title="mean drift", format=".0e"),
            ),
        )
    )


def draw_tradeoff(rows: Sequence[Row], speed: str, drift: str) -> Any:
    """Size, speed and drift of backends; `rows` have backend, megabytes, speed, drift and front.

    Args:
        speed: the title of its axis; "" where no speed was measured, and drift takes its place.
    """
    import altair as alt

    kept = [{**row, "drift": max(row["drift"] or 0, _FLOOR)} for row in rows]
    most = max(row["megabytes"] for row in kept) or 1.0
    if speed:
        y = alt.Y("speed:Q", title=speed, scale=alt.Scale(zero=True))
    else:
        y = alt.Y("drift:Q", scale=alt.Scale(type="log"), axis=_powers(alt, drift, (row["drift"] for row in kept)))
    x = alt.X("megabytes:Q", title="size of the files in MB", scale=alt.Scale(domain=[0, _ROOM * most], nice=False))
    base = alt.Chart(alt.Data(values=kept), width=WIDTH, height=280)
    points = base.mark_point(filled=True, size=130, opacity=1).encode(
        x=x,
        y=y,
        shape=alt.Shape(
            "front:N",
            scale=alt.Scale(domain=["on the front", "beaten by another"], range=["diamond", "circle"]),
            legend=alt.Legend(title=None, orient="top", symbolFillColor=INK, symbolStrokeColor=INK),
        ),
        color=alt.Color(
            "drift:Q",
            scale=alt.Scale(type="log", scheme="viridis", reverse=True),
            legend=alt.Legend(title=drift.split(",", maxsplit=1)[0], format=".0e"),
        ),
    )
    names = base.mark_text(align="left", dx=9, dy=-7, limit=180).encode(x=x, y=y, text="backend:N")
    return points + names


def draw_slices(rows: Sequence[Row]) -> Any:
    """Drift of parts of the corpus; `rows` have name, group and drift."""
    import altair as alt

    kept = [{**row, "drift": max(row["drift"], _FLOOR)} for row in rows]
    colour, shape = _series(alt, rows)
    return (
        alt.Chart(alt.Data(values=kept), width=WIDTH, height=height_of(len({row["name"] for row in rows})))
        .mark_point(filled=True, size=60, opacity=1)
        .encode(
            y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(grid=True)),
            x=alt.X(
                "drift:Q",
                scale=alt.Scale(type="log"),
                axis=_powers(alt, "mean drift of the slice", (row["drift"] for row in kept)),
            ),
            color=colour,
            shape=shape,
        )
    )


def draw_calibration(rows: Sequence[Row]) -> Any:
    """Shares of true labels by probability; `rows` have group, probability and share."""
    import altair as alt

    colour, shape = _series(alt, rows)
    unit = alt.Scale(domain=[0, 1])
    x = alt.X("probability:Q", title="mean probability of the bin", scale=unit, axis=alt.Axis(format=".0%"))
    y = alt.Y("share:Q", title="share of true labels", scale=unit, axis=alt.Axis(format=".0%"))
    ends = [{"probability": 0, "share": 0}, {"probability": 1, "share": 1}]
    exact = alt.Chart(alt.Data(values=ends)).mark_line(strokeDash=[4, 3], stroke=INK, strokeWidth=1).encode(x=x, y=y)
    base = alt.Chart(alt.Data(values=list(rows)), width=_SQUARE, height=_SQUARE)
    lines = base.mark_line(strokeWidth=1.5).encode(x=x, y=y, color=colour)
    points = base.mark_point(filled=True, size=45, opacity=1).encode(x=x, y=y, color=colour, shape=shape)
    return exact + lines + points


def draw_history(rows: Sequence[Row], changes: Sequence[Row], title: str) -> Any:
    """A metric over accepted runs; `rows` have run, group and value, `changes` run: where a library changed."""
    import altair as alt

    kept = [{**row, "value": max(row["value"], _FLOOR)} for row in rows]
    colour, shape = _series(alt, rows)
    order = list(dict.fromkeys(row["run"] for row in rows))
    x = alt.X("run:O", sort=order, title="accepted run", axis=alt.Axis(labelAngle=-40, labelOverlap=True))
    y = alt.Y("value:Q", scale=alt.Scale(type="log"), axis=_powers(alt, title, (row["value"] for row in kept)))
    base = alt.Chart(alt.Data(values=kept), width=WIDTH, height=240)
    marks = alt.Chart(alt.Data(values=list(changes))).mark_rule(strokeDash=[4, 3], stroke=INK).encode(x=x)
    lines = base.mark_line(strokeWidth=1.5).encode(x=x, y=y, color=colour)
    points = base.mark_point(filled=True, size=55, opacity=1).encode(x=x, y=y, color=colour, shape=shape)
    return alt.layer(*([marks] if changes else []), lines, points)


def _series(alt: Any, rows: Sequence[Row]) -> tuple[Any, Any]:
    """Colour and shape of a group: no meaning is in the colour alone."""
    names = list(dict.fromkeys(row["group"] for row in rows))
    colours = [SERIES[place % len(SERIES)] for place in range(len(names))]
    shapes = list(SHAPES.values())
    legend = alt.Legend(title=None, orient="top", columns=3)
    colour = alt.Color("group:N", sort=None, scale=alt.Scale(domain=names, range=colours), legend=legend)
    chosen = [shapes[place % len(shapes)] for place in range(len(names))]
    return colour, alt.Shape("group:N", sort=None, scale=alt.Scale(domain=names, range=chosen), legend=legend)


def _powers(alt: Any, title: str, values: Iterable[float], form: str = "~e") -> Any:
    """A logarithmic axis with a tick at every power of ten; Vega would draw nine lines for each of them."""
    known = list(values)
    first, last = (math.floor(math.log10(max(limit, _FLOOR))) for limit in (min(known), max(known)))
    return alt.Axis(title=title, format=form, values=[10.0**power for power in range(first, last + 2)], grid=True)


def height_of(rows: int) -> int:
    """Of a chart with so many rows, in pixels."""
    return max(_LEAST_HEIGHT, _ROW_HEIGHT * rows)


def _clip(value: float | None, least: float, most: float) -> float:
    return most if value is None else min(max(value, least), most)
