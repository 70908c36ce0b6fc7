"""The lock of graphs: the facts of each backend's graph in one file, a fact a line, whose change a reviewer sees."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from driftgate.edges.spelling import option
from driftgate.errors import BaselineError
from driftgate.files import parse_json, write_whole
from driftgate.onnx_graph.graph_facts import GraphFacts

SCHEMA = 1

Fact = str | int | float | None


@dataclass(frozen=True, slots=True)
class GraphLock:
    """What graphs were when someone last looked at them.

    Args:
        device: that they were built for, "cpu" or "cuda": recipes may differ.
        encoder: `name` and `sha256` of the encoder that they were built from.
        versions: of the libraries that built them.
        backends: facts of each backend's graph by dotted name, as `flatten` gives them.
    """

    device: str
    encoder: Mapping[str, str]
    versions: Mapping[str, str]
    backends: Mapping[str, Mapping[str, Fact]] = field(default_factory=dict)

    def with_backend(self, backend: str, facts: GraphFacts) -> "GraphLock":
        """The lock with these facts of one backend."""
        return replace(self, backends={**self.backends, backend: flatten(facts)})

    def list_changes(self, backend: str, facts: GraphFacts) -> list[str]:
        """Every fact of a locked backend that is another now: "operators.Softmax: 6 -> 5"."""
        return _list_changes(self.backends[backend], flatten(facts))

    def list_causes(self, now: "GraphLock") -> list[str]:
        """What differs beside the graphs and can change them: device, encoder, versions of libraries."""
        then, here = ({"device": lock.device, "encoder": _who(lock.encoder), **lock.versions} for lock in (self, now))
        return [change.replace(":", "", 1) for change in _list_changes(then, here)]


def _who(encoder: Mapping[str, str]) -> str:
    return f"{encoder['name']} (sha256 {encoder['sha256'][:12]})"


def flatten(facts: GraphFacts) -> dict[str, Fact]:
    """Facts as one table: nested names joined by dots, several values by commas."""
    return dict(_flatten(asdict(facts)))


def _flatten(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Fact]]:
    flat: list[tuple[str, Fact]] = []
    for name, value in table.items():
        if isinstance(value, Mapping):
            flat += _flatten(value, f"{prefix}{name}.")
        elif isinstance(value, tuple):
            flat.append((f"{prefix}{name}", ", ".join(map(str, value)) or "none"))
        else:
            flat.append((f"{prefix}{name}", value))
    return flat


def _list_changes(then: Mapping[str, Fact], now: Mapping[str, Fact]) -> list[str]:
    return [
        f"{name}: {then.get(name, 'absent')} -> {now.get(name, 'absent')}"
        for name in sorted({*then, *now})
        if (name in then, then.get(name)) != (name in now, now.get(name))
    ]


def read_graph_lock(path: Path) -> GraphLock | None:
    """The lock in `path`, or None where there is none yet.

    Raises:
        BaselineError: a file that is damaged, or no lock.
    """
    if not path.exists():
        return None
    try:
        return _parse(parse_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaselineError(
            f"{path}: not a readable graph lock ({type(error).__name__}: {error}); restore it from version control, or "
            f"remove it and write it again with {option('graph_lock_update', True)}"
        ) from error


def _parse(content: Any) -> GraphLock:
    if content["schema"] != SCHEMA:
        raise ValueError(f"expected schema {SCHEMA}, found {content['schema']!r}")
    lock = GraphLock(content["device"], content["encoder"], content["versions"], content["backends"])
    _ = _who(lock.encoder)
    for table in ({"device": lock.device}, lock.encoder, lock.versions, *lock.backends.values()):
        for name, value in table.items():
            if not isinstance(value, Fact):
                raise TypeError(f"expected a number, a text or null for {name!r}, found {type(value).__name__}")
    return lock


def write_graph_lock(path: Path, lock: GraphLock) -> None:
    """Write `lock` to `path`, sorted, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps({"schema": SCHEMA, **asdict(lock)}, indent=2, sort_keys=True) + "\n")
