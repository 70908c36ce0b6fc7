"""Bounds: limits with a reason, in TOML, by precision class or backend name. A missing bound fails."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from driftgate.errors import BoundsError

_FIELDS = {"at_most", "at_least", "reason", "set_on"}


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


def load_bounds(path: Path) -> dict[tuple[str, str], Bound]:
    """Read a bounds file: tables `[KEY.METRIC]` with `at_most` or `at_least`, `reason`, `set_on`.

    Raises:
        BoundsError: no file, not TOML, an entry without limit, reason or date, or with a field nobody reads.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BoundsError(
            f"bounds file {path}: {str(error.strerror).lower()}; copy the suite's bounds.toml and change it"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BoundsError(f"bounds file {path}: not valid TOML ({error})") from error
    bounds = {}
    for key, metrics in content.items():
        if not isinstance(metrics, dict):
            raise BoundsError(f"bounds file {path}: expected tables [class.metric], found a value {key!r} at the top")
        for metric, entry in metrics.items():
            bounds[key, metric] = _read_entry(path, key, metric, entry)
    return bounds


def _read_entry(path: Path, key: str, metric: str, entry: object) -> Bound:
    where = f"bounds file {path}, [{key}.{metric}]"
    if not isinstance(entry, dict):
        raise BoundsError(f"{where}: expected a table with at_most or at_least, reason and set_on")
    unknown = sorted(set(entry) - _FIELDS)
    if unknown:
        raise BoundsError(f"{where}: unknown fields {', '.join(unknown)}; expected {', '.join(sorted(_FIELDS))}")
    limits = [name for name in ("at_most", "at_least") if name in entry]
    if len(limits) != 1:
        raise BoundsError(f"{where}: expected exactly one of at_most and at_least, found {limits or 'neither'}")
    limit = entry[limits[0]]
    if isinstance(limit, bool) or not isinstance(limit, int | float) or limit != limit:  # noqa: PLR0124 - NaN
        raise BoundsError(f"{where}: {limits[0]} should be a number, found {limit!r}")
    if not str(entry.get("reason", "")).strip() or not isinstance(entry.get("set_on"), date):
        raise BoundsError(f"{where}: every bound needs a reason and a date: set_on = 2026-01-31")
    return Bound(key, metric, float(limit), limits[0] == "at_most", str(entry["reason"]), entry["set_on"])


def find_bound(bounds: Mapping[tuple[str, str], Bound], keys: tuple[str, ...], metric: str) -> Bound:
    """The bound of `metric` under the first of `keys` that has one.

    Raises:
        BoundsError: none has; what is measured but not bounded is not gated, so that fails.
    """
    for key in keys:
        if (key, metric) in bounds:
            return bounds[key, metric]
    raise BoundsError(
        f"no bound for {metric!r} under {' or '.join(keys)}; add [{keys[-1]}.{metric}] with a limit and a reason"
    )


def check(
    bounds: Mapping[tuple[str, str], Bound], backend: str, keys: tuple[str, ...], values: Mapping[str, float]
) -> list[Violation]:
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
