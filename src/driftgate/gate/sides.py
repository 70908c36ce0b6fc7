"""What the gate times: cells with an artifact, and both sides of them, in this process or each in a worker of its own Python."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from driftgate.backends import BackendSpec, Runtime
from driftgate.gate.pairs import Load
from driftgate.gate.remote_side import load_remote
from driftgate.gate.samples import Batches
from driftgate.pipeline import Built, open_built
from driftgate.run.device import RunSettings


class OpenSide(Protocol):
    """Gives the function that loads an artifact anew and prepares the cells."""

    def __call__(self, built: Built, batches: Batches, settings: RunSettings) -> Load: ...


def is_gateable(spec: BackendSpec) -> bool:
    """Whether a backend has an artifact that can be kept and timed again."""
    return spec.runtime is Runtime.ONNXRUNTIME and spec.open_with is None


@contextmanager
def open_sides(baseline_python: str) -> Iterator[tuple[OpenSide, OpenSide]]:
    """How the baseline's side is loaded, and the candidate's.

    Args:
        baseline_python: interpreter whose environment runs the baseline's side; then every load of either side is in a process
            of its own, the candidate's of this interpreter. "" for both in this process.
    """
    if not baseline_python:
        yield load_here, load_here
        return
    with TemporaryDirectory() as folder:
        yield (
            partial(load_remote, python=baseline_python, name="the baseline's worker", folder=Path(folder)),
            partial(load_remote, python=sys.executable, name="this run's worker", folder=Path(folder)),
        )


def load_here(built: Built, batches: Batches, settings: RunSettings) -> Load:
    """Open the artifact in a fresh session of this process."""

    @contextmanager
    def load() -> Iterator[Mapping[str, Sequence[Any]]]:
        backend = open_built(built, settings)
        yield {cell: [backend.prepare(batch) for batch in of_cell] for cell, of_cell in batches.items()}

    return load
