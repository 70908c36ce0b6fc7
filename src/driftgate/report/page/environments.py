"""What differs between two environments, field by field, in words."""

from collections.abc import Mapping

from driftgate.report.page.node import Node
from driftgate.report.page.runs import Run

_FIELDS = ("python", "platform", "cpu", "cores", "usable_cores")
_LISTS = ("instruction_sets", "providers")


def environment_rows(environment: Node) -> dict[str, str]:
    """The fields of an environment and the versions in it, as text by name."""
    rows = {name.replace("_", " "): _show(environment.at(name)) for name in _FIELDS}
    rows |= {name.replace("_", " "): ", ".join(environment.at(name).texts()) for name in _LISTS}
    return rows | {name: _show(node) for name, node in environment.at("versions").items().items()}


def list_changes(then: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """The names that differ, each with what it was and what it is: "none" where there is nothing."""
    rows = ((name, then.get(name) or "none", now.get(name) or "none") for name in dict.fromkeys([*then, *now]))
    return [row for row in rows if row[1] != row[2]]


def differences(before: Node, after: Node) -> list[tuple[str, str, str]]:
    """The changes from one environment to another; none where either of them is unknown."""
    return list_changes(environment_rows(before), environment_rows(after)) if before and after else []


def baseline_differences(run: Run) -> list[tuple[str, str, str]]:
    """The changes since the speed gate's baseline; none where there was none."""
    return differences(run.node.at("gate", "baseline", "environment"), run.node.at("environment"))


def baseline_changes(run: Run) -> list[str]:
    """What is another than in the baseline, in words."""
    told = [f"{name}: {then}, now {now}" for name, then, now in baseline_differences(run)]
    said = [change for backend in run.backends for change in backend.node.at("movement", "changes").texts()]
    return list(dict.fromkeys([*told, *said]))


def _show(node: Node) -> str:
    return "" if node.value is None else str(node.value)
