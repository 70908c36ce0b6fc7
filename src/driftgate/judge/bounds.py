"""Bounds: limits with a reason, by precision class or backend name. A missing bound fails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from driftgate.errors import BoundsError


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


@dataclass(frozen=True, slots=True)
class Violation:
    """A value outside its bound."""

    backend: str
    bound: Bound
    value: float

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


def check(bounds: Bounds, backend: str, keys: tuple[str, ...], values: Mapping[str, float]) -> list[Violation]:
    """Every value that breaks its bound, in the order given.

    Args:
        keys: where to look, first match first: backend name, class on a device, class.
        values: measured values by metric name.

    Raises:
        BoundsError: a metric without a bound.
    """
    found = [(find_bound(bounds, keys, metric), value) for metric, value in values.items()]
    return [Violation(backend, bound, value) for bound, value in found if not bound.holds(value)]


def policy_metric(metric: str, policy: str) -> str:
    """What bounds call a metric under a decision policy: `flip_rate_at_0_5`."""
    return f"{metric}_{policy.replace(' ', '_').replace('.', '_')}"
