"""Three verdicts on a metric and its bound, and what a backend's verdicts come to.

PASS: the upper limit, one-sided at 95%, is within the bound. FAIL: the lower limit is beyond it, at a level divided over all
metrics that the run gates (Bonferroni): a build that is within all its bounds fails in at most 1% of runs, however many rows,
labels or backends there are. NOT SHOWN: neither; more rows would tell.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from driftgate.judge.confidence import SHOW_LEVEL, Levels, Limits, rows_needed

ALPHA = 0.01
"""Runs in which a build that is within all its bounds may fail."""

PASSED, BROKEN, UNSHOWN = 0, 1, 7
"""Exit codes."""


class AccuracyVerdict(StrEnum):
    """What can be said of a value and its bound."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    NOT_SHOWN = "not-shown"


class NotShown(StrEnum):
    """What a run does about bounds that are not shown to be kept."""

    DRIFT = "drift"
    """Drift has to be shown, flips and quality need not."""
    FAIL = "fail"
    """Everything has to be shown."""
    WARN = "warn"
    """Nothing has to be: it is only said."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A metric held to its bound.

    Args:
        metric: its name. `policy`: the decision policy, such as "at 0.5"; "" where thresholds play no part.
        value, low, high: in the metric's unit; see `Limits`. `low_level`, `high_level`: how often each limit may be wrong.
        limit: the bound: the largest value that is allowed.
        rows_needed: where not shown, how many rows would show the same value to be within its bound, to two digits; None where no
            number of rows would, and for the other verdicts.
    """

    metric: str
    policy: str
    value: float
    low: float
    high: float
    low_level: float
    high_level: float
    limit: float
    verdict: AccuracyVerdict
    rows_needed: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the verdicts of a backend, or of all backends of a run, come to.

    Args:
        exit_code: 0 passed, 1 a bound is broken, 7 not shown.
        not_shown: every verdict of that kind, whether it decides or not.
    """

    verdict: AccuracyVerdict
    exit_code: int
    not_shown: tuple[Judged, ...]


def levels_for(gated: int, alpha: float = ALPHA) -> Levels:
    """Levels of a run's limits.

    Args:
        gated: how many limits the run holds to a bound, over all metrics, decision policies and backends.

    Raises:
        ValueError: fewer than one.
    """
    if gated < 1:
        raise ValueError(f"expected at least one gated metric, found {gated}")
    return Levels(low=alpha / gated, high=SHOW_LEVEL)


def judge_limits(metric: str, policy: str, limits: Limits, limit: float) -> Judged:
    """Hold a metric to its bound, which is itself allowed; NaN passes nothing and fails nothing.

    Raises:
        ValueError: the bound is NaN.
    """
    if limit != limit:  # noqa: PLR0124 - NaN
        raise ValueError(f"{metric}: expected a number as its bound, found NaN")
    if limits.low > limit:
        verdict = AccuracyVerdict.FAIL
    elif limits.high <= limit:
        verdict = AccuracyVerdict.PASS
    else:
        verdict = AccuracyVerdict.NOT_SHOWN
    return Judged(
        metric=metric,
        policy=policy,
        value=limits.value,
        low=limits.low,
        high=limits.high,
        low_level=limits.low_level,
        high_level=limits.high_level,
        limit=limit,
        verdict=verdict,
        rows_needed=rows_needed(limits, limit) if verdict is AccuracyVerdict.NOT_SHOWN else None,
    )


def combine(judged: Iterable[Judged], drift: Collection[str], not_shown: NotShown = NotShown.DRIFT) -> Outcome:
    """What the verdicts on one backend come to.

    Args:
        drift: names of the metrics that decide by themselves, since they need few rows and no labels.

    A backend without a verdict on drift has not shown it: nothing passes because nothing was judged.
    """
    found = tuple(judged)
    unshown = tuple(one for one in found if one.verdict is AccuracyVerdict.NOT_SHOWN)
    if any(one.verdict is AccuracyVerdict.FAIL for one in found):
        return Outcome(AccuracyVerdict.FAIL, BROKEN, unshown)
    if not any(one.metric in drift for one in found):
        return Outcome(AccuracyVerdict.NOT_SHOWN, UNSHOWN, unshown)
    if any(not_shown is NotShown.FAIL or one.metric in drift for one in unshown):
        return Outcome(AccuracyVerdict.NOT_SHOWN, PASSED if not_shown is NotShown.WARN else UNSHOWN, unshown)
    return Outcome(AccuracyVerdict.PASS, PASSED, unshown)


def combine_backends(outcomes: Iterable[Outcome]) -> Outcome:
    """What the backends of a run come to: a broken bound goes before what is not shown, and that before a pass."""
    found = tuple(outcomes)
    unshown = tuple(one for outcome in found for one in outcome.not_shown)
    worst = next(
        (
            outcome
            for verdict in (AccuracyVerdict.FAIL, AccuracyVerdict.NOT_SHOWN, AccuracyVerdict.PASS)
            for outcome in sorted(found, key=lambda outcome: -outcome.exit_code)
            if outcome.verdict is verdict
        ),
        Outcome(AccuracyVerdict.NOT_SHOWN, UNSHOWN, ()),
    )
    return Outcome(worst.verdict, worst.exit_code, unshown)
