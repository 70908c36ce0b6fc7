"""The charts of a report, as Altair makes them. Every one is static, and its numbers stand in the table below it.

Altair is an extra and slow to import: whoever draws a chart hands it in, last.
"""

import math
from collections.abc import Collection, Sequence
from typing import Any

from driftgate.report.page.content import Kind
from driftgate.report.page.drawing import GRID, INK, SERIES, WIDTH

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


def draw_bounds(rows: Sequence[Row], alt: Any) -> Any:
    """How much of each bound is used, with its interval; `rows` have metric, used, low, high, verdict and kind."""
    kept = [{**row, **{name: _clip(row[name]) for name in ("used", "low", "high")}} for row in rows]
    most = max([10.0, *(row["high"] for row in kept)])
    scale = alt.Scale(type="log", domain=[_LEAST_SHARE, most])
    title = "share of the bound that is used (1 is the bound)"
    x = alt.X("used:Q", scale=scale, axis=_powers(title, (_LEAST_SHARE, most), alt, "~g"))
    y = alt.Y("metric:N", sort=None, title=None)
    words = list(dict.fromkeys((row["verdict"], row["kind"]) for row in kept))
    domain = [word for word, _ in words]
    colour = alt.Color(
        "verdict:N",
        scale=alt.Scale(domain=domain, range=[kind.colour for _, kind in words]),
        legend=alt.Legend(title=None, orient="top"),
    )
    shape = alt.Shape("verdict:N", scale=alt.Scale(domain=domain, range=[kind.shape for _, kind in words]))
    base = alt.Chart(alt.Data(values=kept), width=WIDTH, height=height_of(len(kept)))
    bound = alt.Chart(alt.Data(values=[{"used": 1}])).mark_rule(strokeDash=[4, 3], stroke=INK).encode(x=x)
    interval = base.mark_rule(strokeWidth=2).encode(y=y, x=alt.X("low:Q", scale=scale), x2="high:Q", color=colour)
    points = base.mark_point(filled=True, size=70, opacity=1).encode(y=y, x=x, color=colour, shape=shape)
    return bound + interval + points


def draw_forest(rows: Sequence[Row], title: str, marks: Sequence[Row], form: str, alt: Any) -> Any:
    """Values with intervals around zero; `rows` have name, group, value, low and high, `marks` x: limits to look at.

    Where an interval has no end there, low or high is None, and it is drawn up to the value.
    """
    kept = [{**row, **{end: row["value"] if row[end] is None else row[end] for end in ("low", "high")}} for row in rows]
    y = alt.Y("name:N", sort=None, title=None)
    x = alt.X("value:Q", title=title, axis=alt.Axis(format=form, grid=True))
    colour, shape = _series(rows, alt)
    base = alt.Chart(alt.Data(values=kept), width=WIDTH, height=height_of(len({row["name"] for row in rows})))
    interval = base.mark_rule(strokeWidth=2).encode(y=y, x=alt.X("low:Q", title=title), x2="high:Q", color=colour)
    points = base.mark_point(filled=True, size=70, opacity=1).encode(y=y, x=x, color=colour, shape=shape)
    zero = alt.Chart(alt.Data(values=[{"value": 0}])).mark_rule(stroke=INK).encode(x=x)
    limits = [
        alt.Chart(alt.Data(values=[mark])).mark_rule(strokeDash=[4, 3], stroke=INK).encode(x=alt.X("x:Q", title=title))
        for mark in marks
    ]
    return alt.layer(zero, *limits, interval, points)


def draw_distribution(rows: Sequence[Row], alt: Any) -> Any:
    """The share of texts that drift no more than so much; `rows` have group, drift and share."""
    kept = _raise_to_floor(rows, "drift")
    colour, _ = _series(rows, alt)
    title = "largest probability difference of a text"
    return (
        alt.Chart(alt.Data(values=kept), width=WIDTH, height=260)
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            x=_logarithmic(alt.X, "drift", title, kept, alt, nice=False),
            y=alt.Y("share:Q", title="share of texts", axis=alt.Axis(format=".0%"), scale=alt.Scale(domain=[0, 1])),
            color=colour,
            strokeDash=alt.StrokeDash("group:N", legend=None),
        )
    )


def draw_heatmap(rows: Sequence[Row], alt: Any) -> Any:
    """Drift of labels and backends; `rows` have label, backend and drift."""
    kept = _raise_to_floor(rows, "drift")
    backends = len({row["backend"] for row in rows})
    return (
        alt.Chart(alt.Data(values=kept), width=min(WIDTH, 110 * backends), height=height_of(len(rows) // backends))
        .mark_rect(stroke=GRID)
        .encode(
            x=alt.X("backend:N", sort=None, title=None, axis=alt.Axis(orient="top", labelAngle=-25, labelAlign="left")),
            y=alt.Y("label:N", sort=None, title=None),
            color=_drift_colour(alt),
        )
    )


def draw_tradeoff(rows: Sequence[Row], alt: Any) -> Any:
    """Size, speed and drift of backends; `rows` have backend, megabytes, speed, drift and front.

    Where no speed was measured it is None in all rows, and drift takes the place of its axis.
    """
    kept = _raise_to_floor(rows, "drift")
    most = max(row["megabytes"] for row in kept) or 1.0
    if rows[0]["speed"] is not None:
        y = alt.Y("speed:Q", title="speed relative to torch", scale=alt.Scale(zero=True))
    else:
        y = _logarithmic(alt.Y, "drift", "mean drift, largest of a text", kept, alt)
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
        color=_drift_colour(alt),
    )
    names = base.mark_text(align="left", dx=9, dy=-7, limit=180).encode(x=x, y=y, text="backend:N")
    return points + names


def draw_slices(rows: Sequence[Row], alt: Any) -> Any:
    """Drift of parts of the corpus; `rows` have name, group and drift."""
    kept = _raise_to_floor(rows, "drift")
    colour, shape = _series(rows, alt)
    return (
        alt.Chart(alt.Data(values=kept), width=WIDTH, height=height_of(len({row["name"] for row in rows})))
        .mark_point(filled=True, size=60, opacity=1)
        .encode(
            y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(grid=True)),
            x=_logarithmic(alt.X, "drift", "mean drift of the slice", kept, alt),
            color=colour,
            shape=shape,
        )
    )


def draw_calibration(rows: Sequence[Row], alt: Any) -> Any:
    """Shares of true labels by probability; `rows` have group, probability and share."""
    colour, shape = _series(rows, alt)
    unit = alt.Scale(domain=[0, 1])
    x = alt.X("probability:Q", title="mean probability of the bin", scale=unit, axis=alt.Axis(format=".0%"))
    y = alt.Y("share:Q", title="share of true labels", scale=unit, axis=alt.Axis(format=".0%"))
    ends = [{"probability": 0, "share": 0}, {"probability": 1, "share": 1}]
    exact = alt.Chart(alt.Data(values=ends)).mark_line(strokeDash=[4, 3], stroke=INK, strokeWidth=1).encode(x=x, y=y)
    base = alt.Chart(alt.Data(values=list(rows)), width=_SQUARE, height=_SQUARE)
    lines = base.mark_line(strokeWidth=1.5).encode(x=x, y=y, color=colour)
    points = base.mark_point(filled=True, size=45, opacity=1).encode(x=x, y=y, color=colour, shape=shape)
    return exact + lines + points


def draw_history(rows: Sequence[Row], changes: Sequence[Row], title: str, alt: Any) -> Any:
    """A metric over accepted runs; `rows` have run, group and value, `changes` run: where a library changed."""
    kept = _raise_to_floor(rows, "value")
    colour, shape = _series(rows, alt)
    order = list(dict.fromkeys(row["run"] for row in rows))
    x = alt.X("run:O", sort=order, title="accepted run", axis=alt.Axis(labelAngle=-40, labelOverlap=True))
    y = _logarithmic(alt.Y, "value", title, kept, alt)
    base = alt.Chart(alt.Data(values=kept), width=WIDTH, height=240)
    marks = alt.Chart(alt.Data(values=list(changes))).mark_rule(strokeDash=[4, 3], stroke=INK).encode(x=x)
    lines = base.mark_line(strokeWidth=1.5).encode(x=x, y=y, color=colour)
    points = base.mark_point(filled=True, size=55, opacity=1).encode(x=x, y=y, color=colour, shape=shape)
    return alt.layer(*([marks] if changes else []), lines, points)


def _series(rows: Sequence[Row], alt: Any) -> tuple[Any, Any]:
    """Colour and shape of a group: no meaning is in the colour alone."""
    names = list(dict.fromkeys(row["group"] for row in rows))
    legend = alt.Legend(title=None, orient="top", columns=3)
    # Vega begins with the first again where there are more names.
    colours = alt.Scale(domain=names, range=list(SERIES))
    shapes = alt.Scale(domain=names, range=[kind.shape for kind in Kind])
    colour = alt.Color("group:N", sort=None, scale=colours, legend=legend)
    return colour, alt.Shape("group:N", sort=None, scale=shapes, legend=legend)


def _drift_colour(alt: Any) -> Any:
    """The darker, the more drift."""
    scale = alt.Scale(type="log", scheme="viridis", reverse=True)
    return alt.Color("drift:Q", scale=scale, legend=alt.Legend(title="mean drift", format=".0e"))


def _raise_to_floor(rows: Sequence[Row], name: str) -> list[Row]:
    return [{**row, name: max(row[name], _FLOOR)} for row in rows]


def _logarithmic(channel: Any, name: str, title: str, rows: Sequence[Row], alt: Any, **scale: Any) -> Any:
    """An axis of what rows call `name`."""
    axis = _powers(title, [row[name] for row in rows], alt)
    return channel(f"{name}:Q", scale=alt.Scale(type="log", **scale), axis=axis)


def _powers(title: str, values: Collection[float], alt: Any, form: str = "~e") -> Any:
    """A logarithmic axis with a tick at every power of ten; Vega would draw nine lines for each of them."""
    first, last = (math.floor(math.log10(limit)) for limit in (min(values), max(values)))
    return alt.Axis(title=title, format=form, values=[10.0**power for power in range(first, last + 2)], grid=True)


def height_of(rows: int) -> int:
    """Of a chart with so many rows, in pixels."""
    return max(_LEAST_HEIGHT, _ROW_HEIGHT * rows)


def _clip(share: float | None) -> float:
    return _MOST_SHARE if share is None else min(max(share, _LEAST_SHARE), _MOST_SHARE)
