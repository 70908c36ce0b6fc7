"""Bounds: limits with a reason, by precision class or backend name. A missing bound fails.

A metric is held to its bound by its confidence limits. PASS: the upper limit, one-sided at 95%, is within the bound. FAIL: the
lower limit is beyond it, at a level divided over all metrics that the run gates (`accuracy_verdicts`). NOT SHOWN: neither.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from pathlib import Path

from driftgate.errors import BoundsError
from driftgate.judge.confidence.levels import Limits, rows_needed
from driftgate.judge.metric_types import policy_metric


@dataclass(frozen=True, slots=True)
class Bound:
    """One limit. Exactly one of `at_most` and `at_least` is given; the limit itself is allowed.

    Args:
        key: the class or backend it is for. `metric`: what it limits.
        reason: why this number. `set_on`: when. `file`: where it stands; None for a bound that was not read from a file.
    """

    key: str
    metric: str
    limit: float
    at_most: bool
    reason: str
    set_on: date
    file: Path | None = field(default=None, compare=False)

    def holds(self, value: float) -> bool:
        """Whether `value` keeps the bound; NaN never does."""
        return value <= self.limit if self.at_most else value >= self.limit

    def describe(self, limits: Limits) -> str:
        """The comparison with the whole rule: value, what is known of it, bound, where it is set, why."""
        rule = "at most" if self.at_most else "at least"
        found, limit = f"{limits.value:.6g}", f"{self.limit:.6g}"
        if found == limit:  # "0.01, expected at most 0.01" would help nobody
            found, limit = str(limits.value), str(self.limit)
        return (
            f"{self.metric} = {found}{_describe_limits(limits)}, expected {rule} {limit} "
            f"(bound [{self.key}.{self.metric}], set {self.set_on}: {self.reason})"
        )


def _describe_limits(limits: Limits) -> str:
    if not limits.high_level:
        return ""
    return (
        f" [at least {limits.low:.3g} with {100 * (1 - limits.low_level):.6g}% confidence, "
        f"at most {limits.high:.3g} with {100 * (1 - limits.high_level):.6g}%]"
    )


class Outcome(StrEnum):
    """What is said of a metric, of a backend and of a run."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    NOT_SHOWN = "not-shown"


@dataclass(frozen=True, slots=True)
class MetricVerdict:
    """A metric of a backend and its bound.

    Args:
        metric: its name in the registry, or in a suite of one's own. `policy`: the decision policy, "" where none plays a part.
        limits: its value, with confidence limits where rows are a sample.
        rows_needed: where not shown, how many rows would show the same value to be within its bound, to two digits; None where no
            number of rows would, and for the other verdicts.
    """

    backend: str
    metric: str
    policy: str
    limits: Limits
    bound: Bound
    verdict: Outcome
    rows_needed: int | None = None

    @property
    def value(self) -> float:
        """As measured on these rows."""
        return self.limits.value

    @property
    def limit(self) -> float:
        """Of the bound."""
        return self.bound.limit

    def __str__(self) -> str:
        return f"{self.backend}: {self.bound.describe(self.limits)}"


Bounds = Sequence[Mapping[tuple[str, str], Bound]]
"""Bounds by key and metric, of one file after the other: what the first file says of a metric goes before the others."""


def find_bound(bounds: Bounds, keys: tuple[str, ...], metric: str) -> Bound:
    """The bound of `metric` in the first file that has one, under the first of `keys` that has one there.

    Raises:
        BoundsError: none has; what is measured but not bounded is not gated, so that fails.
    """
    for file in bounds:
        for key in keys:
            if (key, metric) in file:
                return file[key, metric]
    raise BoundsError(
        f"no bound for {metric!r} under {' or '.join(keys)}; add [{keys[-1]}.{metric}] with a limit and a reason"
    )


def hold_to_bound(
    bounds: Bounds, backend: str, keys: tuple[str, ...], metric: str, limits: Limits, policy: str = ""
) -> MetricVerdict:
    """Hold a metric to its bound; NaN never passes, and as a limit it fails.

    Args:
        keys: where to look, first match first: backend name, class on a device, class.

    Raises:
        BoundsError: a metric without a bound.
    """
    bound = find_bound(bounds, keys, policy_metric(metric, policy))
    best, worst = (limits.low, limits.high) if bound.at_most else (limits.high, limits.low)
    if not bound.holds(best):
        return MetricVerdict(backend, metric, policy, limits, bound, Outcome.FAIL)
    if bound.holds(worst):
        return MetricVerdict(backend, metric, policy, limits, bound, Outcome.PASS)
    return MetricVerdict(backend, metric, policy, limits, bound, Outcome.NOT_SHOWN, rows_needed(limits, bound.limit))
