"""Where each side is timed: both in this process, or each in a worker of its own Python."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from driftgate.errors import ArtifactError
from driftgate.gate.pairs import Load
from driftgate.gate.worker import write_batches
from driftgate.inputs.batches import make_batches
from driftgate.measure.remote import RemoteCalls, Worker, start_worker
from driftgate.pipeline import Built
from driftgate.plugin.cells import CellSpec, sample_tokens
from driftgate.plugin.gate_sides import load_side
from driftgate.plugin.session import DriftgateSession

OpenSide = Callable[[DriftgateSession, Built, Sequence[CellSpec]], Load]
"""Gives the function that loads an artifact anew and prepares the cells."""


@contextmanager
def open_sides(baseline_python: str) -> Iterator[tuple[OpenSide, OpenSide]]:
    """How the baseline's side is loaded, and the candidate's; workers are ended at exit.

    Args:
        baseline_python: interpreter whose environment runs the baseline's side; then the candidate runs in a worker too, of
            this interpreter. "" for both in this process.

    Raises:
        WorkerError: an interpreter cannot be started.
    """
    if not baseline_python:
        yield load_side, load_side
        return
    with (
        TemporaryDirectory() as folder,
        start_worker(baseline_python, "the baseline's worker") as baseline,
        start_worker(sys.executable, "this run's worker") as candidate,
    ):
        # The control is a second load of the baseline, held beside the first.
        yield partial(_load_remote, baseline, 2, Path(folder)), partial(_load_remote, candidate, 1, Path(folder))


def describe_worker(python: str) -> dict[str, str]:
    """What is installed where `python` runs.

    Raises:
        WorkerError: it cannot be started, or its environment lacks driftgate or ONNX Runtime.
    """
    with start_worker(python, f"--gate-baseline-python {python}") as worker:
        found: dict[str, str] = worker.ask({"do": "describe"})
        return found


def _load_remote(
    worker: Worker, keep: int, folder: Path, session: DriftgateSession, built: Built, cells: Sequence[CellSpec]
) -> Load:
    if built.artifact is None:
        raise ArtifactError(f"backend {built.spec.name}: a worker loads an artifact, found none")
    batches = {cell.id: list(make_batches(sample_tokens(session, cell.corpus), cell.plan)) for cell in cells}
    path = folder / f"{built.spec.name}.npz"
    write_batches(path, batches)
    encoder, settings = built.encoder, session.options.settings
    request = {
        "do": "load",
        "keep": keep,
        "encoder": {
            "source": str(encoder.path),
            "problem_type": encoder.problem_type,
            "allow_pickle": encoder.allow_pickle,
            "trust_remote_code": encoder.trust_remote_code,
        },
        "backend": built.spec.name,
        "precision": built.artifact.precision,
        "model": str(built.artifact.model.absolute()),
        "threads": settings.threads,
        "device": str(settings.device),
        "batches": str(path),
    }

    @contextmanager
    def load() -> Iterator[dict[str, RemoteCalls]]:
        number = worker.ask(request)
        yield {cell: RemoteCalls(worker, number, cell, 0, len(of_cell)) for cell, of_cell in batches.items()}

    return load
