"""Properties of a test in JUnit's XML (`pytest --junit-xml`): the numbers behind its verdict."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from driftgate.judge.bounds import MetricVerdict

if TYPE_CHECKING:
    from driftgate.gate.verdicts import CellVerdict


def list_properties(verdict: MetricVerdict) -> Iterator[tuple[str, str]]:
    """Name and value of each property, as `onnx-int8 row_flip_rate at 0.5 value`; a limit that is infinite is `inf`."""
    of = " ".join(part for part in (verdict.backend, verdict.metric, verdict.policy) if part)
    limits, bound = verdict.limits, verdict.bound
    rule = "at most" if bound.at_most else "at least"
    numbers = {"value": limits.value, "low": limits.low, "high": limits.high, rule: bound.limit}
    yield from ((f"{of} {name}", repr(float(number))) for name, number in numbers.items())
    yield f"{of} verdict", str(verdict.verdict)


def list_cell_properties(verdict: "CellVerdict") -> Iterator[tuple[str, str]]:
    """The same of a cell of the speed gate, as `onnx-int8-b8 slowdown`: relative, 0.1 is 10% slower; only what was timed."""
    for name in ("slowdown", "low", "high"):
        number = getattr(verdict, name)
        if number is not None:
            yield f"{verdict.cell} {name}", repr(float(number))
    yield f"{verdict.cell} verdict", str(verdict.verdict)
