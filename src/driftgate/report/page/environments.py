"""What differs between two environments, field by field, in words."""

from driftgate.report.page.node import Node
from driftgate.report.page.runs import Run

_FIELDS = ("python", "platform", "cpu", "cores", "usable_cores")
_LISTS = ("instruction_sets", "providers")


def environment_rows(environment: Node) -> dict[str, str]:
    """The fields of an environment and the versions in it, as text by name."""
    rows = {name.replace("_", " "): _show(environment.at(name)) for name in _FIELDS}
    rows |= {name.replace("_", " "): ", ".join(environment.at(name).texts()) for name in _LISTS}
    return rows | {name: _show(node) for name, node in environment.at("versions").items().items()}


def differences(before: Node, after: Node) -> dict[str, tuple[str, str]]:
    """The fields that differ, each with what it was and what it is; none where either side is unknown."""
    if not (before and after):
        return {}
    then, now = environment_rows(before), environment_rows(after)
    names = list(dict.fromkeys([*then, *now]))
    return {name: (then.get(name, ""), now.get(name, "")) for name in names if then.get(name, "") != now.get(name, "")}


def baseline_environment(run: Run) -> Node:
    """Of the speed gate's baseline; nothing where there was none."""
    return run.node.at("gate", "baseline", "environment")


def baseline_changes(run: Run) -> list[str]:
    """What is another than in the baseline, in words."""
    found = differences(baseline_environment(run), run.node.at("environment"))
    told = [f"{name}: {then or 'none'}, now {now or 'none'}" for name, (then, now) in found.items()]
    said = [change for backend in run.backends for change in backend.node.at("movement", "changes").texts()]
    return list(dict.fromkeys([*told, *said]))


def _show(node: Node) -> str:
    return "" if node.value is None else str(node.value)
