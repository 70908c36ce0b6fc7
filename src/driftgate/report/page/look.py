"""Colours and shapes, of badges and charts alike. `page.css` says how each colour looks in the dark."""

from driftgate.report.page.content import Kind

INK, GRID = "#1f2328", "#d8dee4"
"""Of lines and words, and of what is behind them; the page replaces the first by the colour of its text."""

COLOURS = {
    Kind.PASS: "#1a7f37",
    Kind.FAIL: "#cf222e",
    Kind.UNKNOWN: "#9a6700",
    Kind.UNMEASURABLE: "#8250df",
    Kind.CHANGED: "#0969da",
    Kind.NEUTRAL: "#59636e",
}
SHAPES = {
    Kind.PASS: "circle",
    Kind.FAIL: "cross",
    Kind.UNKNOWN: "diamond",
    Kind.UNMEASURABLE: "triangle-up",
    Kind.CHANGED: "square",
    Kind.NEUTRAL: "triangle-down",
}
SERIES = ("#0072b2", "#d55e00", "#009e73", "#b8559a", "#946c00", "#3d7ea6", "#7a4fd0", "#6b6b6b")
"""Of backends: after Okabe and Ito, whose colours most colour-blind readers can tell apart, dark enough on white."""
WIDTH = 540
"""Of what is between the axes, in pixels."""

CONFIG = {
    "background": None,
    "font": "Arial, Helvetica, sans-serif",
    "padding": {"left": 45, "top": 5, "right": 25, "bottom": 5},  # whoever has none of these fonts may have a wider one
    "view": {"stroke": None},
    "axis": {
        "labelColor": INK,
        "titleColor": INK,
        "domainColor": INK,
        "tickColor": INK,
        "gridColor": GRID,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 260,
    },
    "legend": {
        "labelColor": INK,
        "titleColor": INK,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "labelLimit": 260,
        "symbolStrokeWidth": 2,
    },
    "text": {"fill": INK, "fontSize": 12},
}
