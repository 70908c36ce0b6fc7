"""Counted work as people see it: a column of the gate's table, and sentences."""

from collections import Counter
from collections.abc import Mapping

from driftgate.gate.work.records import REPORTED, Work, WorkChange, WorkVerdict, describe_nodes

_LINE = "\n"  # what ONNX Runtime says has lines of its own; the failed test has them


def show_work(change: WorkChange | None) -> str:
    """The column: the larger change of both quantities; "-" where there was nothing to count, "?" where it could not be."""
    if change is None:
        return "-"
    return "?" if change.reason else f"{change.largest:+.1%}"


def explain_added(cell: str, change: WorkChange, limit: float) -> str:
    """Added work in one sentence, for a failed test."""
    return f"{cell}: {WorkVerdict.ADDED}, {_describe(change)}; --gate-work allows {100 * limit:g}%"


def explain_not_counted(cell: str, change: WorkChange) -> str:
    """The same of work that could not be compared."""
    return f"{cell}: work {WorkVerdict.NOT_COUNTED} ({change.reason})"


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
        notes.append(f"{backend}: other nodes than the baseline's ({describe_nodes(nodes, '+')}), work {most}")
    uncounted: Counter[str] = Counter()
    for change in work.values():
        uncounted |= Counter(change.candidate.uncounted if change.candidate else {})
    if uncounted:
        said = describe_nodes(uncounted)
        notes.append(f"{backend}: no formula for {said}, as many on both sides: their work is in neither count")
    return notes


def _describe(change: WorkChange) -> str:
    then, now = change.baseline, change.candidate
    parts = [
        f"multiply-adds {change.multiply_adds:+.1%} {_numbers(then, now, 'multiply_adds')}",
        f"bytes moved {change.bytes_moved:+.1%} {_numbers(then, now, 'bytes_moved')}",
    ]
    if change.nodes:
        parts.append(f"nodes {describe_nodes(change.nodes, '+')}")
    return ", ".join(parts)


def _numbers(then: Work | None, now: Work | None, quantity: str) -> str:
    return f"({getattr(then, quantity):,} to {getattr(now, quantity):,})"
