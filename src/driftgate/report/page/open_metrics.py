"""What runs measured, in the text format of OpenMetrics: GitLab shows in a merge request which of its numbers changed."""

import re
from collections.abc import Iterator, Sequence

from driftgate.report.page.runs import Backend, Run

_DIGITS = 2
"""Significant digits: numbers of two runs of one model differ a little, and a change of that size is none to be shown."""
_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_NO_NAME = re.compile(r"[^a-zA-Z0-9_]")


def render_metrics(runs: Sequence[Run]) -> str:
    """A line for each metric that was held to a bound, and for the size of each artifact, rounded to two significant digits."""
    lines = sorted(line for run in runs for backend in run.backends for line in _list_samples(run, backend))
    return "\n".join([*lines, "# EOF"]) + "\n"


def _list_samples(run: Run, backend: Backend) -> Iterator[str]:
    named = {"encoder": run.encoder, "backend": backend.name}
    for node in backend.node.at("verdicts").entries():
        value = node.number("value")
        if value is not None:
            yield _sample(node.text("metric"), {**named, "policy": node.text("policy")}, value)
    if (size := backend.node.number("about", "size_bytes")) is not None:
        yield _sample("size_bytes", named, size)


def _sample(metric: str, labels: dict[str, str], value: float) -> str:
    listed = ",".join(f'{name}="{text.translate(_ESCAPED)}"' for name, text in labels.items() if text)
    return f"driftgate_{_NO_NAME.sub('_', metric)}{{{listed}}} {float(f'{value:.{_DIGITS}g}'):g}"
