"""The process that loads a job's model once, and is copied for each worker, as the job sees it."""

import os
import socket
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

from driftgate import errors
from driftgate.edges.processes import start_python_with_socket
from driftgate.errors import DriftgateError, WorkerError
from driftgate.inputs.encoder import Encoder
from driftgate.predict.workers.frames import encode_encoder, receive, send
from driftgate.predict.workers.host import FORK
from driftgate.run.device import thread_variables

DEATHS_BEFORE_GIVING_UP = 3
"""Of workers that load the model, or are asked about the same window."""
_HOST = "driftgate.predict.workers.host"


@dataclass(frozen=True, slots=True)
class Opening:
    """What every worker opens.

    Args:
        opener: the function that opens the model, as "module:name".
        threads: of each worker.
    """

    encoder: Encoder
    backend: str
    opener: str
    threads: int
    token_budget: int


class Host:
    """The process that loads the model and is copied for each worker."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._lock = Lock()
        self._start()

    def connect(self) -> tuple[socket.socket, dict[str, Any]]:
        """A new worker: the socket to it, and what it says of itself.

        Raises:
            DriftgateError: the model does not load.
            WorkerError: processes cannot be started.
        """
        for _ in range(DEATHS_BEFORE_GIVING_UP):
            connection = self._fork()
            if connection is None:
                continue
            try:
                hello, _ = receive(connection)
            except EOFError:
                connection.close()
                continue
            if "error" in hello:
                connection.close()
                raise raised(hello)
            return connection, hello
        raise WorkerError(
            f"a worker process ended {DEATHS_BEFORE_GIVING_UP} times before it had loaded the model; is there enough memory? "
            "Use fewer workers"
        )

    def _fork(self) -> socket.socket | None:
        """A socket to a new copy of the host; None, and a new host, where the host itself was killed."""
        mine, theirs = socket.socketpair()
        with self._lock, theirs:
            try:
                self._await_ready()
                socket.send_fds(self._control, [FORK], [theirs.fileno()])
            except (OSError, EOFError):
                mine.close()
                self._stop()
                self._start()
                return None
            except BaseException:
                mine.close()
                raise
        return mine

    def close(self) -> None:
        """End the process; workers end when their sockets are closed."""
        with self._lock:
            self._stop()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        environment = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",  # a process of several threads cannot be copied
            **thread_variables(self._opening.threads),
        }
        self._process = start_python_with_socket(_HOST, "workers", theirs.fileno(), environment)
        theirs.close()
        self._ready = False
        send(self._control, {**asdict(self._opening), "encoder": encode_encoder(self._opening.encoder)})

    def _await_ready(self) -> None:
        if self._ready:
            return
        said, _ = receive(self._control)
        if "error" in said:
            raise raised(said)
        self._ready = True

    def _stop(self) -> None:
        self._control.close()
        self._process.kill()
        self._process.wait()


def raised(said: dict[str, Any]) -> Exception:
    """The error that a worker met, as one of ours where it was one."""
    kind = getattr(errors, said["error"], None) if said["own"] else None
    if isinstance(kind, type) and issubclass(kind, DriftgateError):
        return kind(said["message"])
    return WorkerError(f"a worker process failed: {said['error']}: {said['message']}")
