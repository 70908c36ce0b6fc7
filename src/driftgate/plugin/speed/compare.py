"""What pytest-benchmark's comparison lets pass in silence, for cells of ours: vanished, renamed or incomparable ones."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.files import parse_json

KEY = "driftgate"
"""Under which a saved run says what became of it."""
SCHEMA = 1
# Of the machine; another one's times say nothing about this one's.
_HARDWARE = (("system",), ("machine",), ("cpu", "arch"), ("cpu", "brand_raw"), ("cpu", "count"))
# Of a cell: other work, or the same on other terms.
_WORK = ("rows", "real_tokens", "padded_tokens", "threads", "provider")

Saved = Mapping[str, Any]
"""One benchmark of a saved run, or a whole run, as JSON has it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a run and the saved runs it was compared with have in common.

    Args:
        compared: how many cells are in both. `vanished`: ids of cells that only a saved run has.
        incomparable: a sentence for each cell that did other work then.
    """

    compared: int
    vanished: tuple[str, ...]
    incomparable: tuple[str, ...]


def cell_of(benchmark: Any) -> str | None:
    """The id of a cell of ours, from a benchmark of this run or of a saved one."""
    extra = benchmark.get("extra_info", {}) if isinstance(benchmark, Mapping) else benchmark.extra_info
    cell: str | None = extra.get("cell")
    return cell


def compare_cells(benchmarks: Iterable[Any], saved: Mapping[Any, dict[str, Saved]]) -> Comparison:
    """Match by cell id, so that a renamed or moved test keeps its history; `saved` learns the new names.

    Args:
        benchmarks: of this run. `saved`: for each saved run, its benchmarks by the full name of their test.
    """
    now = {cell: benchmark for benchmark in benchmarks if (cell := cell_of(benchmark))}
    matched, vanished, incomparable = set(), [], []
    for by_name in saved.values():
        then = {cell: benchmark for benchmark in by_name.values() if (cell := cell_of(benchmark))}
        vanished += [cell for cell in then if cell not in now]
        for cell in now.keys() & then.keys():
            matched.add(cell)
            by_name.setdefault(now[cell].fullname, then[cell])
            before, after = then[cell]["extra_info"], now[cell].extra_info
            changes = [
                f"{name} {before.get(name)} -> {after.get(name)}"
                for name in _WORK
                if before.get(name) != after.get(name)
            ]
            if changes:
                incomparable.append(f"{cell}: {', '.join(changes)}")
    return Comparison(len(matched), tuple(dict.fromkeys(vanished)), tuple(sorted(set(incomparable))))


def hardware_changes(now: Saved, then: Saved) -> list[str]:
    """Fields of pytest-benchmark's `machine_info` that make times incomparable, with both values."""
    values = [(".".join(path), _look_up(then, path), _look_up(now, path)) for path in _HARDWARE]
    return [f"{name} {before!r} -> {after!r}" for name, before, after in values if before != after]


def _look_up(content: Any, path: Sequence[str]) -> Any:
    for name in path:
        content = content.get(name) if isinstance(content, Mapping) else None
    return content


def newest_accepted(files: Iterable[Path]) -> Path | None:
    """The last of pytest-benchmark's files, in their order, that was not rejected; None where there is none."""
    for path in reversed(list(files)):
        try:
            document = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue  # pytest-benchmark warns of it
        if document.get(KEY, {}).get("status") != "rejected":
            return path
    return None
