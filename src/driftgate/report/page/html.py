"""A report as one HTML page: no scripts, no network, at most two million bytes."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from markupsafe import Markup

from driftgate.edges.escape import for_page
from driftgate.errors import OutputError
from driftgate.report.page.content import Badge, Report
from driftgate.report.page.drawing import EXTRA, can_draw, draw

MAX_BYTES = 2_000_000
_FOR_NOTES = 2_000
_FOLDER = Path(__file__).parent
_OPEN_ROWS = 14
"""A longer table below a chart is folded."""


def render_html(report: Report) -> str:
    """The page. Charts that would make it too large are left out, which it says.

    Raises:
        OutputError: its tables alone are too large.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, finalize=_show, trim_blocks=True, lstrip_blocks=True
    )
    environment.tests["badge"] = lambda value: isinstance(value, Badge)
    template = environment.from_string((_FOLDER / "page.html.jinja").read_text(encoding="utf-8"))
    style = Markup((_FOLDER / "page.css").read_text(encoding="utf-8"))  # noqa: S704 - ours

    def fill(charts: Mapping[str, Markup], notes: Sequence[str]) -> str:
        return template.render(
            report=report, notes=notes, style=style, charts=charts, version=version("driftgate"), open_rows=_OPEN_ROWS
        )

    left = MAX_BYTES - len(fill({}, ()).encode()) - _FOR_NOTES
    if left < 0:
        raise OutputError(
            f"it would have {MAX_BYTES - left:,} bytes without any chart, and may have {MAX_BYTES:,}; give fewer results"
        )
    return fill(*_draw_charts(report, left))


def _draw_charts(report: Report, left: int) -> tuple[dict[str, Markup], list[str]]:
    """The charts for which `left` bytes have room, by anchor, and what is to be said of the others."""
    sections = (*report.common, *(section for part in report.parts for section in part.sections))
    figures = [figure for section in sections for figure in section.figures if figure.draw]
    if figures and not can_draw():
        return {}, [f"Charts are left out, since the libraries that draw them are not installed: {EXTRA}."]
    made = draw(figures) if figures else {}
    kept: dict[str, Markup] = {}
    for anchor, chart in made.items():
        size = len(chart.encode())
        if size <= left:
            kept[anchor] = chart
            left -= size
    notes = []
    if large := len(made) - len(kept):
        notes.append(f"{large} charts are left out, so that the page stays below {MAX_BYTES:,} bytes.")
    if missing := len(figures) - len(made):
        notes.append(f"{missing} charts could not be drawn; their tables are there.")
    return kept, notes


def _show(value: Any) -> Any:
    """Whatever the page says in words is shown with what cannot be seen escaped; our own markup is left alone."""
    return value if isinstance(value, Markup) or not isinstance(value, str | Badge) else for_page(str(value))
