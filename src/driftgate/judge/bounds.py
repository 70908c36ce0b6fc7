"""Bounds: limits with a reason, by precision class or backend name. A missing bound fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from driftgate.errors import BoundsError
from driftgate.judge.metric_types import policy_metric


@dataclass(frozen=True, slots=True)
class Bound:
    """One limit. Exactly one of `at_most` and `at_least` is given; the limit itself is allowed.

    Args:
        key: the class or backend it is for. `metric`: what it limits.
        reason: why this number. `set_on`: when.
    """

    key: str
    metric: str
    limit: float
    at_most: bool
    reason: str
    set_on: date

    def holds(self, value: float) -> bool:
        """Whether `value` keeps the bound; NaN never does."""
        return value <= self.limit if self.at_most else value >= self.limit

    def describe(self, value: float) -> str:
        """The failed comparison, with the whole rule: bound, value, where it is set, why."""
        rule = "at most" if self.at_most else "at least"
        found, limit = f"{value:.6g}", f"{self.limit:.6g}"
        if found == limit:  # "0.01, expected at most 0.01" would help nobody
            found, limit = str(value), str(self.limit)
        return (
            f"{self.metric} = {found}, expected {rule} {limit} "
            f"(bound [{self.key}.{self.metric}], set {self.set_on}: {self.reason})"
        )


class Outcome(StrEnum):
    """What is said of a metric."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class MetricVerdict:
    """A metric of a backend beside its bound.

    Args:
        metric: its name in the registry, or in a suite of one's own. `policy`: the decision policy, "" where none plays a part.
        low, high: confidence limits of the value; None where none are known.
    """

    backend: str
    metric: str
    policy: str
    value: float
    low: float | None
    high: float | None
    bound: Bound
    verdict: Outcome

    @property
    def limit(self) -> float:
        return self.bound.limit

    def __str__(self) -> str:
        return f"{self.backend}: {self.bound.describe(self.value)}"


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
    bounds: Bounds, backend: str, keys: tuple[str, ...], metric: str, value: float, policy: str = ""
) -> MetricVerdict:
    """Hold a value to its bound; NaN never passes.

    Args:
        keys: where to look, first match first: backend name, class on a device, class.

    Raises:
        BoundsError: a metric without a bound.
    """
    bound = find_bound(bounds, keys, policy_metric(metric, policy))
    outcome = Outcome.PASS if bound.holds(value) else Outcome.FAIL
    return MetricVerdict(backend, metric, policy, value, None, None, bound, outcome)
