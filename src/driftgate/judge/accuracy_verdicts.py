"""How often a verdict may be wrong, and what the verdicts of a backend or of a run come to.

FAIL is said at a level that is divided over all limits that the run holds to a bound (Bonferroni): a build that is within all its
bounds fails in at most 1% of runs, however many rows, labels or backends there are. PASS needs no such division: every metric has
to pass (Berger 1982).
"""

from collections.abc import Iterable
from enum import StrEnum

from driftgate.judge.bounds import MetricVerdict, Outcome
from driftgate.judge.confidence.levels import SHOW_LEVEL, Levels
from driftgate.judge.metrics import BOUNDED, METRICS

ALPHA = 0.01
"""Runs in which a build that is within all its bounds may fail."""

PASSED, BROKEN, UNSHOWN = 0, 1, 7
"""Exit codes."""


class NotShown(StrEnum):
    """What a run does about bounds that are not shown to be kept."""

    DRIFT = "drift"
    """Drift has to be shown, flips and quality need not."""
    FAIL = "fail"
    """Everything has to be shown."""
    WARN = "warn"
    """Nothing has to be shown: what is not shown is only reported."""


def levels_of_run(backends: int) -> Levels:
    """Levels of every limit of a run that judges so many backends.

    All limits of the registry are counted, whether or not the corpus has labels or rows enough for them: a suite that measures
    only what a test asks for has to know the level before it knows that, and half as many would move it little.

    Raises:
        ValueError: no backends.
    """
    if backends < 1:
        raise ValueError(f"expected at least one backend, found {backends}")
    limits = sum(metric.interval is not None for metric in BOUNDED.values())
    return Levels(low=ALPHA / (limits * backends), high=SHOW_LEVEL)


def conclude(verdicts: Iterable[MetricVerdict], not_shown: NotShown = NotShown.DRIFT) -> Outcome:
    """What the verdicts on one backend come to; without any, nothing is shown.

    Args:
        not_shown: whether only what decides has to be shown, or everything. What is only warned of is still not shown.
    """
    found = tuple(verdicts)
    if any(one.verdict is Outcome.FAIL for one in found):
        return Outcome.FAIL
    unshown = [one for one in found if one.verdict is Outcome.NOT_SHOWN]
    if not found or any(not_shown is NotShown.FAIL or _decides(one) for one in unshown):
        return Outcome.NOT_SHOWN
    return Outcome.PASS


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """A broken bound goes before what is not shown, and that before a pass; of nothing at all, nothing is shown."""
    order = (Outcome.FAIL, Outcome.NOT_SHOWN, Outcome.PASS)
    return min(outcomes, key=order.index, default=Outcome.NOT_SHOWN)


def exit_code(outcome: Outcome, not_shown: NotShown = NotShown.DRIFT) -> int:
    """Of a run that came to `outcome`."""
    if outcome is Outcome.NOT_SHOWN:
        return PASSED if not_shown is NotShown.WARN else UNSHOWN
    return BROKEN if outcome is Outcome.FAIL else PASSED


def _decides(verdict: MetricVerdict) -> bool:
    metric = METRICS.get(verdict.metric)
    return metric is not None and metric.decides
