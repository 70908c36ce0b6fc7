"""What is said of bounds that the rows of a corpus do not show to be kept, and how many rows would have been enough."""

import math
from collections.abc import Iterable, Mapping, Sequence

from driftgate.judge.accuracy_verdicts import NotShown, exit_code
from driftgate.judge.bounds import MetricVerdict, Outcome
from driftgate.judge.confidence.levels import DRIFT_ROWS, rows_enough
from driftgate.judge.metrics import METRICS
from driftgate.judge.parts import LABELS

_WORTH_SAYING = 0.5
"""Share of the rows: a run on more than that is short enough."""


def count_enough(verdicts: Iterable[MetricVerdict], rows: int) -> int | None:
    """Of `rows` rows of a corpus, how many would have shown every bound to be kept, about.

    Returns:
        None where a bound is not shown to be kept, nothing was inferred from rows, or it takes more than half of them.
    """
    found = list(verdicts)
    if any(verdict.verdict is not Outcome.PASS for verdict in found):
        return None
    enough = [rows_enough(verdict.limits, verdict.limit) for verdict in found if verdict.bound.at_most]
    needed = [number for number in enough if number is not None]
    most = max([*needed, DRIFT_ROWS])
    return most if needed and most <= _WORTH_SAYING * rows else None


def explain_unshown(verdict: MetricVerdict) -> str:
    """The verdict in words: value, upper limit, bound, and how many rows would show it."""
    limits, bound = verdict.limits, verdict.bound
    if math.isnan(limits.value):
        return f"{verdict.backend}: {bound.metric}: not shown, these rows have no value of it; {_needs(verdict)}"
    return (
        f"{verdict.backend}: {bound.metric} = {limits.value:.3g}, and with {1 - limits.high_level:.0%} confidence at most "
        f"{limits.high:.3g}, expected at most {bound.limit:.6g}: not shown; {_needs(verdict)}"
    )


def list_unshown(verdicts: Mapping[str, Sequence[MetricVerdict]], rows: int) -> list[str]:
    """A line for each backend that has bounds which are not shown: which they are, and how many rows they need."""
    lines = []
    for backend, found in verdicts.items():
        unshown = [verdict for verdict in found if verdict.verdict is Outcome.NOT_SHOWN]
        if unshown:
            named = "; ".join(f"{verdict.bound.metric} {_needs(verdict)}" for verdict in unshown)
            count = "1 bound" if len(unshown) == 1 else f"{len(unshown)} bounds"
            lines.append(f"{backend}: {count} not shown on {rows:,} rows: {named}")
    return lines


def describe_outcome(outcome: Outcome, not_shown: NotShown) -> str:
    """What bounds that are not shown do to a run."""
    if outcome is Outcome.FAIL:
        return "a bound is broken, whatever else is not shown"
    if outcome is Outcome.PASS:
        return "drift is shown to be within its bounds; flips and quality need not be shown"
    code = exit_code(outcome, not_shown)
    what = "a bound" if not_shown is NotShown.FAIL else "drift"
    return f"{what} is not shown to be kept: exit code {code}; give more rows"


def _needs(verdict: MetricVerdict) -> str:
    metric = METRICS.get(verdict.metric)
    labelled = metric is not None and metric.source is not None and metric.source.part.needs == LABELS
    if verdict.rows_needed is None and math.isnan(verdict.value):
        return "needs other rows"
    if verdict.rows_needed is None:
        return "needs a smaller value: at this one, no number of rows would show it"
    kind = "labelled " if labelled else "different " if metric is not None and metric.decides else ""
    return f"needs about {verdict.rows_needed:,} {kind}rows"
