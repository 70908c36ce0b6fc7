"""What the gate times: cells with an artifact, and both sides of them, in this process or each in a worker of its own Python."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from driftgate.backends import BackendSpec, Runtime
from driftgate.gate.pairs import Load
from driftgate.gate.remote_side import load_remote
from driftgate.inputs.batches import make_batches
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.measure.workload import CellSpec, prepare_workload
from driftgate.pipeline import Built, open_built
from driftgate.run.device import RunSettings


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """On what terms both sides answer: the rows of every cell, threads and device."""

    tokens: TokenizedTexts
    settings: RunSettings


OpenSide = Callable[[Built, Sequence[CellSpec], Terms], Load]
"""Gives the function that loads an artifact anew and prepares the cells."""


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
            partial(_load_there, python=baseline_python, name="the baseline's worker", folder=Path(folder)),
            partial(_load_there, python=sys.executable, name="this run's worker", folder=Path(folder)),
        )


def load_here(built: Built, cells: Sequence[CellSpec], terms: Terms) -> Load:
    """Open the artifact in a fresh session of this process."""

    @contextmanager
    def load() -> Iterator[Mapping[str, Sequence[Any]]]:
        backend = open_built(built, terms.settings)
        yield {cell.id: prepare_workload(backend, terms.tokens, cell.plan).prepared for cell in cells}

    return load


def _load_there(built: Built, cells: Sequence[CellSpec], terms: Terms, *, python: str, name: str, folder: Path) -> Load:
    batches = {cell.id: list(make_batches(terms.tokens, cell.plan)) for cell in cells}
    return load_remote(built, batches, terms.settings, python=python, name=name, folder=folder)
