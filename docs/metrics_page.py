"""The page of metrics, `docs/metrics.md`, from the registry of metrics. `reference_pages.py` writes it."""

from collections.abc import Iterable

from driftgate.judge.metric_types import Metric
from driftgate.judge.metrics import METRICS
from driftgate.results.markdown import Markdown, code, table

_HEAD = """# Metrics

<!-- Written by docs/reference_pages.py from src/driftgate/judge/metrics.py. -->

These are the numbers that driftgate holds to a bound or shows in its table of details (`pytest accuracy -v`).

A metric under a decision policy exists once for decisions at 0.5 and once for decisions at the encoder's own thresholds, with a
bound for each. Quality and calibration need a corpus with labels.
"""
_GATED = """
## Held to bounds

The bounds are in the `bounds.toml` of the suite, by precision class; [Bounds](bounds.md) says how a bound is looked up
and how to give your own. A metric with an interval is held to its bound by its confidence limits, and the verdict is
PASS, FAIL or NOT SHOWN. A metric without an interval describes the rows of this run only. If a metric that has to be shown to be
within its bound is not, the run ends with exit code 7.
"""
_SHOWN = """
## Shown only
"""


def render_metrics() -> str:
    """The page of metrics, as Markdown."""
    gated = [metric for metric in METRICS.values() if metric.gated]
    shown = [metric for metric in METRICS.values() if not metric.gated]
    return f"{_HEAD}{_GATED}\n{_gated_table(gated)}\n{_SHOWN}\n{_shown_table(shown)}\n"


def _gated_table(metrics: Iterable[Metric]) -> Markdown:
    rows = [
        (
            Markdown(", ").join(code(name) for name in metric.bound_names),
            metric.meaning,
            metric.unit.name,
            "at most" if metric.at_most else "at least",
            _interval(metric),
            metric.suite,
        )
        for metric in metrics
    ]
    headings = ("bound", "what it is", "unit", "limit", "interval", "suite")
    return table(headings, rows, headings[1:])


def _interval(metric: Metric) -> str:
    return f"{metric.interval or 'none'}{'; has to be shown' if metric.decides else ''}"


def _shown_table(metrics: Iterable[Metric]) -> Markdown:
    rows = [(metric.label, metric.meaning, metric.unit.name) for metric in metrics]
    return table(("row of the table", "what it is", "unit"), rows, ("what it is", "unit"))
