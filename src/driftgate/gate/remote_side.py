"""What the gate times: both sides of its cells, in this process or each in another.

A side in another process gets a new one for every load, so that no side keeps the luck of a process for longer than a round.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, overload
from uuid import uuid4

from driftgate.backends import BackendSpec, Runtime
from driftgate.errors import ArtifactError, WorkerError
from driftgate.gate.pairs import Load
from driftgate.gate.samples import Batches
from driftgate.gate.worker import PROTOCOL, write_batches
from driftgate.measure.remote import Worker, start_worker
from driftgate.pipeline import Built, open_built
from driftgate.run.device import RunSettings

MODULE = "driftgate.gate.worker"


class RemoteCalls(Sequence[Callable[[], object]]):
    """A cell's calls in a worker's session; a slice of them is made at one request."""

    def __init__(self, worker: Worker, cell: str, count: int) -> None:
        self._worker, self._cell, self._numbers = worker, cell, range(count)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, at: int) -> Callable[[], object]: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Callable[[], object]]: ...
    def __getitem__(self, at: int | slice) -> Callable[[], object] | Sequence[Callable[[], object]]:
        asked = self._numbers[at]
        start, stop = (asked, asked + 1) if isinstance(asked, int) else (asked.start, asked.stop)
        request = {"do": "run", "cell": self._cell, "start": start, "stop": stop}

        def call() -> object:
            return self._worker.ask(request)

        return call if isinstance(at, int) else [call]


def describe_worker(python: str) -> dict[str, str]:
    """What is installed where `python` runs.

    Raises:
        WorkerError: it cannot be started, its environment lacks driftgate or ONNX Runtime, or its driftgate does not speak this
            one's protocol.
    """
    asker = f"--gate-baseline-python {python}"
    with start_worker(python, asker, module=MODULE) as worker:
        try:
            found = worker.ask({"do": "describe"})
        except WorkerError as error:
            if "No module named 'driftgate.gate" in str(error) or f"No module named {MODULE}" in str(error):
                raise _other_protocol(asker, "driftgate", "none") from error
            raise
    software: dict[str, str] = found.get("software", found)
    if found.get("protocol") != PROTOCOL:
        raise _other_protocol(asker, f"driftgate {software.get('driftgate', '')}".strip(), found.get("protocol", 1))
    return software


def _other_protocol(asker: str, name: str, found: object) -> WorkerError:
    return WorkerError(
        f"{asker}: expected a driftgate whose workers speak protocol {PROTOCOL} of the speed gate, found an older or a newer one "
        f"({name}, protocol {found}); install driftgate {version('driftgate')} there"
    )


def load_remote(built: Built, settings: RunSettings, batches: Batches, *, python: str, name: str, folder: Path) -> Load:
    """Open the artifact in a new process of `python`, ended with the load.

    Args:
        batches: of each cell, by cell id. `name`: of the worker, for messages. `folder`: for the batches on their way.

    Raises:
        ArtifactError: the backend has none. The load raises WorkerError where the process cannot be started, or fails.
    """
    if built.artifact is None:
        raise ArtifactError(f"backend {built.spec.name}: a worker loads an artifact, found none")
    path = folder / f"{uuid4().hex}.npz"
    write_batches(path, batches)
    encoder = built.encoder
    request = {
        "do": "load",
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
        "cores": settings.cores,
        "batches": str(path),
    }

    @contextmanager
    def load() -> Iterator[Mapping[str, RemoteCalls]]:
        with start_worker(python, name, module=MODULE) as worker:
            worker.ask(request)
            yield {cell: RemoteCalls(worker, cell, len(of_cell)) for cell, of_cell in batches.items()}

    return load


OpenSide = Callable[[Built, RunSettings, Batches], Load]
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
            partial(load_remote, python=baseline_python, name="the baseline's worker", folder=Path(folder)),
            partial(load_remote, python=sys.executable, name="this run's worker", folder=Path(folder)),
        )


def load_here(built: Built, settings: RunSettings, batches: Batches) -> Load:
    """Open the artifact in a fresh session of this process."""

    @contextmanager
    def load() -> Iterator[Mapping[str, Sequence[Any]]]:
        backend = open_built(built, settings)
        yield {cell: [backend.prepare(batch) for batch in of_cell] for cell, of_cell in batches.items()}

    return load
