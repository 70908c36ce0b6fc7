"""The charts of where drift comes from: modules, and stages one after the other."""

from collections.abc import Sequence
from typing import Any

from driftgate.report.page.charts import Row, height_of
from driftgate.report.page.content import Kind
from driftgate.report.page.drawing import GRID, WIDTH

_FIRST = "embeddings"
"""Comes before the layers; whatever else has no number comes after them."""


def draw_modules(rows: Sequence[Row], alt: Any) -> Any:
    """What share of the drift each module makes; `rows` have place, kind and share."""
    places, kinds = (list(dict.fromkeys(row[name] for row in rows)) for name in ("place", "kind"))
    numbers = {place: [int(part) for part in place.split() if part.isdigit()] for place in places}
    order = sorted(places, key=lambda place: (place != _FIRST, not numbers[place], numbers[place], place))
    return (
        alt.Chart(alt.Data(values=list(rows)), width=110 * len(kinds), height=height_of(len(places)))
        .mark_rect(stroke=GRID)
        .encode(
            x=alt.X("kind:N", sort=sorted(kinds), title=None, axis=alt.Axis(orient="top", labelAngle=0)),
            y=alt.Y("place:N", sort=order, title=None),
            color=alt.Color(
                "share:Q",
                scale=alt.Scale(scheme="viridis", reverse=True, domainMin=0),
                legend=alt.Legend(title="share of the drift", format=".0%"),
            ),
        )
    )


def draw_waterfall(rows: Sequence[Row], title: str, alt: Any) -> Any:
    """What each stage adds to drift; `rows` have stage, before, after and way."""
    return (
        alt.Chart(alt.Data(values=list(rows)), width=WIDTH, height=height_of(len(rows)))
        .mark_bar(height=12)
        .encode(
            y=alt.Y("stage:N", sort=None, title=None),
            x=alt.X("before:Q", title=title, axis=alt.Axis(format=".0e")),
            x2="after:Q",
            color=alt.Color(
                "way:N",
                scale=alt.Scale(domain=["more", "less"], range=[Kind.CHANGED.colour, Kind.PASS.colour]),
                legend=alt.Legend(title="drift gets", orient="top"),
            ),
        )
    )
