"""Charts as SVG that a page can hold, without scripts or network, described for who does not see them; and their colours."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from threading import Timer
from typing import Any

from markupsafe import Markup

from driftgate.edges.escape import for_page
from driftgate.edges.processes import Process, run_python
from driftgate.report.page.content import Figure

INK, GRID = "#1f2328", "#d8dee4"
"""Of lines and words, and of what is behind them; the page replaces the first by the colour of its text."""
SERIES = ("#0072b2", "#d55e00", "#009e73", "#b8559a", "#946c00", "#3d7ea6", "#7a4fd0", "#6b6b6b")
"""Of backends: after Okabe and Ito, whose colours most colour-blind readers can tell apart, dark enough on white."""
WIDTH = 540
"""Of what is between the axes, in pixels."""

_WORDS = {
    "labelColor": INK,
    "titleColor": INK,
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "labelLimit": 260,
}
CONFIG = {
    "background": None,
    "font": "Arial, Helvetica, sans-serif",
    "padding": {"left": 45, "top": 5, "right": 25, "bottom": 5},  # whoever has none of these fonts may have a wider one
    "view": {"stroke": None},
    "axis": {**_WORDS, "domainColor": INK, "tickColor": INK, "gridColor": GRID},
    "legend": {**_WORDS, "symbolStrokeWidth": 2},
    "text": {"fill": INK, "fontSize": 12},
}


EXTRA = 'pip install "driftgate[report]"'
_WORKER = "driftgate.report.page.chart_worker"
_ID = re.compile(r'(?<= id=")(?=\w)|(?<=url\(#)|(?<=href="#)')
_SIZE = re.compile(r'<svg[^>]* width="(\d+)" height="(\d+)"[^>]*>')
_SECONDS = 60.0
"""After which charts that are not drawn are given up."""


def can_draw() -> bool:
    """Whether the extra with the chart libraries is installed."""
    return all(find_spec(name) for name in ("altair", "vl_convert"))


def draw(figures: Sequence[Figure]) -> dict[str, Markup]:
    """The charts of figures as SVG elements, by anchor. One that cannot be drawn is left out."""
    import altair as alt

    with alt.data_transformers.enable("default", max_rows=None):  # the number of rows is ours, and small
        charts = [
            (figure, {**_reveal(figure.draw(alt).to_dict(validate=False)), "config": CONFIG})
            for figure in figures
            if figure.draw
        ]
    drawn: dict[str, Markup] = {}
    vega_lite = ".".join(str(alt.SCHEMA_VERSION).removeprefix("v").split(".")[:2])
    while charts:
        asked = {"vega_lite": vega_lite, "charts": [chart for _, chart in charts]}
        answers = _ask(json.dumps(asked))
        for (figure, _), svg in zip(charts, answers, strict=False):
            drawn[figure.anchor] = _to_element(svg, figure)
        charts = charts[len(answers) + 1 :]  # without the one that ended the process
    return drawn


def _reveal(value: Any) -> Any:
    """A chart for Vega-Lite whose names show what cannot be seen, which vl-convert could not draw."""
    if isinstance(value, dict):
        return {name: _reveal(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_reveal(inner) for inner in value]
    return for_page(value) if isinstance(value, str) else value


def _ask(text: str) -> list[str]:
    """What the worker drew until it ended, or was ended."""
    timers: list[Timer] = []

    def started(process: Process) -> None:
        timers.append(Timer(_SECONDS, process.kill))
        timers[0].start()

    try:
        lines = run_python(_WORKER, text=text, started=started).stdout.splitlines()
    finally:
        for timer in timers:
            timer.cancel()
    found = []
    with suppress(ValueError):  # the last line of a worker that was ended may be cut short
        for line in lines:
            found.append(str(json.loads(line)))  # noqa: PERF401 - those before it are kept
    return found


def _to_element(svg: str, figure: Figure) -> Markup:
    head = _SIZE.match(svg)
    if head is None:
        raise ValueError(f"{figure.title}: expected an SVG, found {svg[:80]!r}")
    body = _ID.sub(f"{figure.anchor}-", svg[head.end() :]).replace(f'"{INK}"', '"currentColor"')
    width, height = head.groups()
    title, description = f"{figure.anchor}-title", f"{figure.anchor}-description"
    begin = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="{} {}" width="{}" height="{}" '
        'viewBox="0 0 {} {}"><title id="{}">{}</title><desc id="{}">{}</desc>'
    )
    words = for_page(figure.title), for_page(figure.description or figure.title)
    filled = begin.format(title, description, width, height, width, height, title, words[0], description, words[1])
    return filled + Markup(body)  # noqa: S704 - Vega's own renderer escapes every text
