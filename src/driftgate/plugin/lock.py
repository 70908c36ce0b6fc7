"""Holding graphs to a lock file: compare, or write it anew, and say what a reviewer needs."""

from dataclasses import dataclass
from pathlib import Path

from driftgate.builder.build import library_versions
from driftgate.errors import BaselineError
from driftgate.inputs.encoder import Encoder
from driftgate.onnx_graph.graph_facts import GraphFacts
from driftgate.onnx_graph.graph_lock import GraphLock, read_graph_lock, write_graph_lock


@dataclass(slots=True)
class HeldLock:
    """The lock file of a run.

    Args:
        lock: its content. `now`: this run's device, encoder and library versions, no graphs.
        update: write instead of comparing.
    """

    path: Path
    lock: GraphLock
    now: GraphLock
    update: bool

    @classmethod
    def open(cls, path: Path, encoder: Encoder, device: str, *, update: bool) -> "HeldLock":
        """The lock in `path`; an empty one where it is to be written for the first time.

        Raises:
            BaselineError: no file there and not `update`; or one that cannot be read.
        """
        now = GraphLock(device, {"name": encoder.name, "sha256": encoder.sha256}, library_versions())
        lock = read_graph_lock(path)
        if lock is None and not update:
            raise BaselineError(
                f"{path}: expected a graph lock, found no file; write it with --graph-lock-update, read it and commit it"
            )
        return cls(path, lock or now, now, update)

    def __contains__(self, backend: str) -> bool:
        return backend in self.lock.backends

    @property
    def of_another_device(self) -> bool:
        """Whether the lock is of graphs that were built for another device, with other recipes."""
        return self.lock.device != self.now.device

    @property
    def causes(self) -> list[str]:
        """What is not as it was when the lock was written, beside the graphs."""
        return self.lock.list_causes(self.now)

    def write(self, backend: str, facts: GraphFacts) -> str:
        """Put the backend's facts into the file; what was done, for the failure that follows.

        Backends not in this run stay, unless encoder or versions are others: then nobody knows what they would be now.
        """
        dropped = sorted(set(self.lock.backends) - {backend}) if self.causes else []
        before = self.lock.list_changes(backend, facts) if backend in self else ["not in the lock before"]
        self.lock = (self.now if self.causes else self.lock).with_backend(backend, facts)
        write_graph_lock(self.path, self.lock)
        lines = [
            f"{backend}: {self.path} was written; read the change, commit it, and run without --graph-lock-update:",
            *(f"  {change}" for change in before or ["no fact of the graph changed"]),
        ]
        if dropped:
            lines.append(
                f"removed from it, because they were built from other things: {', '.join(dropped)}; those in this run follow"
            )
        return "\n".join(lines)

    def describe_break(self, backend: str, facts: GraphFacts) -> str:
        """Why the backend's graph is not the locked one, fact by fact; "" where it is."""
        if backend not in self:
            return f"{backend}: not in the lock {self.path}; take it in with --graph-lock-update, and commit the file"
        changes = self.lock.list_changes(backend, facts)
        if not changes:
            return ""
        return "\n".join(
            [
                f"{backend}: {len(changes)} fact(s) of its graph are not those of {self.path}:",
                *(f"  {change}" for change in changes),
                f"what else changed: {', '.join(self.causes) or 'nothing; the encoder and the libraries are the same'}",
                "if the change is intended, run again with --graph-lock-update and commit the file",
            ]
        )
