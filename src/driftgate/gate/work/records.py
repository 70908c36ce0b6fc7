"""Counted work of a cell, how it changed, and how people see it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf, isfinite
from typing import Any

REPORTED = 0.01
"""The relative change above which added work is reported, whatever may fail the run."""


class WorkVerdict(StrEnum):
    """What is said of a cell's work, beside the verdict on its time."""

    WITHIN = "WITHIN"
    """No more than the baseline's, but for what the limit allows."""
    ADDED = "ADDED WORK"
    """More multiply-adds, or more bytes, than the limit allows."""
    NOT_COUNTED = "NOT COUNTED"
    """A side could not be counted, or not all of it in the same way on both."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a cell's batches ask of the machine, each answered once.

    Args:
        multiply_adds: of all products of matrices, attention and convolutions included.
        bytes_moved: that nodes read and write, weights and what lies between nodes included. What a node keeps to itself, such
            as the shares of a fused attention, is not in it.
        nodes: that answer a batch, by operator; the most of any batch.
        uncounted: those of `nodes` that there is no formula for. Their work is in neither sum.
    """

    multiply_adds: int
    bytes_moved: int
    nodes: Mapping[str, int]
    uncounted: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """All numbers, operators by name."""
        return {
            "multiply_adds": self.multiply_adds,
            "bytes_moved": self.bytes_moved,
            "nodes": dict(sorted(self.nodes.items())),
            "uncounted": dict(sorted(self.uncounted.items())),
        }


@dataclass(frozen=True, slots=True)
class WorkChange:
    """One cell's work on both sides. Changes are relative: 0.1 is 10% more than the baseline's.

    Args:
        baseline, candidate: None where that side could not be counted.
        reason: why both cannot be compared, "" where they can.
    """

    baseline: Work | None
    candidate: Work | None
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.reason and None in (self.baseline, self.candidate):
            raise ValueError("a side that was not counted: expected the reason")

    @property
    def multiply_adds(self) -> float:
        """The change of multiply-adds; infinity where the baseline has none."""
        return self._change("multiply_adds")

    @property
    def bytes_moved(self) -> float:
        """The change of bytes moved."""
        return self._change("bytes_moved")

    @property
    def largest(self) -> float:
        """The larger of both changes."""
        return max(self.multiply_adds, self.bytes_moved)

    @property
    def nodes(self) -> dict[str, int]:
        """How many nodes more the candidate has, negative for fewer, of each operator whose number changed."""
        if self.baseline is None or self.candidate is None:
            return {}
        then, now = self.baseline.nodes, self.candidate.nodes
        changes = {operator: now.get(operator, 0) - then.get(operator, 0) for operator in {*then, *now}}
        return {operator: change for operator, change in sorted(changes.items()) if change}

    def judge(self, limit: float) -> WorkVerdict:
        """The verdict where a relative change of `limit` is allowed."""
        if self.reason:
            return WorkVerdict.NOT_COUNTED
        return WorkVerdict.WITHIN if self.largest <= limit else WorkVerdict.ADDED

    def to_json(self) -> dict[str, Any]:
        """All numbers; a change from nothing, which has no size, is null."""
        compared = not self.reason
        return {
            "verdict": str(self.judge(REPORTED)),
            "reason": self.reason,
            "multiply_adds_change": _finite(self.multiply_adds) if compared else None,
            "bytes_moved_change": _finite(self.bytes_moved) if compared else None,
            "nodes_change": self.nodes,
            "baseline": self.baseline.to_json() if self.baseline else None,
            "candidate": self.candidate.to_json() if self.candidate else None,
        }

    def _change(self, quantity: str) -> float:
        then, now = getattr(self.baseline, quantity), getattr(self.candidate, quantity)
        if then == now:
            return 0.0
        return float((now - then) / then) if then else inf


def compare_sides(baseline: Work, candidate: Work) -> WorkChange:
    """The change between two counts.

    Nodes without a formula must be the same on both sides: their work is unknown, and sums that leave out different nodes
    cannot be compared.
    """
    reason = ""
    if dict(baseline.uncounted) != dict(candidate.uncounted):
        sides = (describe_nodes(side.uncounted) or "none" for side in (baseline, candidate))
        reason = "operators without a formula differ: baseline {}, now {}".format(*sides)
    return WorkChange(baseline, candidate, reason)


def describe_nodes(nodes: Mapping[str, int], sign: str = "") -> str:
    """Operators with their numbers, as in "6 Einsum, 1 Unique"; with the sign "+" as in "+6 Einsum, -1 Unique"."""
    return ", ".join(f"{number:{sign},} {operator}" for operator, number in sorted(nodes.items()))


def _finite(change: float) -> float | None:
    return change if isfinite(change) else None


_LINE = "\n"  # what ONNX Runtime says has lines of its own; the failed test has them


def show_work(change: WorkChange | None) -> str:
    """The column: the larger change of both quantities; "-" where there was nothing to count, "?" where it could not be."""
    if change is None:
        return "-"
    return "?" if change.reason else f"{change.largest:+.1%}"


def explain_added(cell: str, change: WorkChange, limit: float) -> str:
    """Added work in one sentence, for a failed test."""
    return f"{cell}: {WorkVerdict.ADDED}, {_describe(change)}; --gate-work allows {100 * limit:g}%"


def list_work(work: Mapping[str, WorkChange], backends: Mapping[str, str], limit: float | None) -> list[str]:
    """Sentences for below the table, for each backend.

    Args:
        work: by cell id. `backends`: the backend of each cell. `limit`: the change that the run allows, None for any.
    """
    reported = REPORTED if limit is None else min(limit, REPORTED)
    notes = []
    for backend in dict.fromkeys(backends[cell] for cell in work):
        own = {cell: change for cell, change in work.items() if backends[cell] == backend}
        for reason in dict.fromkeys(change.reason for change in own.values() if change.reason):
            cells = [cell for cell, change in own.items() if change.reason == reason]
            notes.append(
                f"{backend}: work {WorkVerdict.NOT_COUNTED} in {', '.join(cells)}: {reason.partition(_LINE)[0]}"
            )
        notes.extend(_compared({cell: change for cell, change in own.items() if not change.reason}, backend, reported))
    return notes


def _compared(work: Mapping[str, WorkChange], backend: str, limit: float) -> list[str]:
    if not work:
        return []
    notes = []
    worst = max(work, key=lambda cell: work[cell].largest)
    added = [cell for cell, change in work.items() if change.judge(limit) is WorkVerdict.ADDED]
    if added:
        notes.append(f"{backend}: {WorkVerdict.ADDED} in {', '.join(added)}; most in {worst}: {_describe(work[worst])}")
    elif nodes := work[worst].nodes:
        most = f"{work[worst].largest:+.1%} at most"
        notes.append(f"{backend}: the nodes differ from the baseline's ({describe_nodes(nodes, '+')}), work {most}")
    uncounted: Counter[str] = Counter()
    for change in work.values():
        uncounted |= Counter(change.candidate.uncounted if change.candidate else {})
    if uncounted:
        said = describe_nodes(uncounted)
        notes.append(f"{backend}: no formula for {said}, as many on both sides: neither count includes their work")
    return notes


def _describe(change: WorkChange) -> str:
    parts = []
    for name, quantity in (("multiply-adds", "multiply_adds"), ("bytes moved", "bytes_moved")):
        share, then, now = (getattr(of, quantity) for of in (change, change.baseline, change.candidate))
        parts.append(f"{name} {share:+.1%} ({then:,} to {now:,})")
    if change.nodes:
        parts.append(f"nodes {describe_nodes(change.nodes, '+')}")
    return ", ".join(parts)
