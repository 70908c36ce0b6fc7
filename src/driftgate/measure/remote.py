"""Both ends of a worker: a process of another Python that does what it is asked, in lines of JSON."""

import json
import os
import queue
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from driftgate.edges.processes import Process, TimeoutExpired, start_python
from driftgate.errors import DriftgateError, WorkerError, quote_lines

TIMEOUT_SECONDS = 120.0
CLOSE_SECONDS = 10.0
"""To end in good order; a worker that has something to remove takes a while."""


class Worker:
    """A running worker, called `name` in messages. `ask` waits for its answer; nothing is sent to two workers at once."""

    def __init__(self, process: Process, log: Path, name: str, timeout_seconds: float) -> None:
        assert process.stdin is not None  # noqa: S101 - asked for when it was started
        assert process.stdout is not None  # noqa: S101 - likewise
        self.name = name
        self._process, self._input, self._output = process, process.stdin, process.stdout
        self._log = log
        self._timeout_seconds = timeout_seconds
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        for line in self._output:
            self._answers.put(line)
        self._answers.put("")

    def ask(self, request: Mapping[str, Any], timeout_seconds: float | None = None) -> Any:
        """Send one request; what the worker found.

        Args:
            timeout_seconds: for this request; None for the worker's own.

        Raises:
            WorkerError: it died, failed, or did not answer in time (then it is ended).
        """
        patience = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        try:
            print(json.dumps(request), file=self._input, flush=True)
            line = self._answers.get(timeout=patience)
        except OSError:
            line = ""
        except queue.Empty:
            self._process.kill()
            raise self._ended(f"no answer to {request['do']!r} in {patience:.1f} s; it was ended") from None
        if not line:
            code = self._process.wait()
            why = " (killed, perhaps because memory ran out)" if code == -9 else ""  # noqa: PLR2004 - SIGKILL
            raise self._ended(f"it died at {request['do']!r}, exit code {code}{why}")
        answer = json.loads(line)
        if "error" in answer:
            raise WorkerError(f"{self.name}: {request['do']!r} failed:", *quote_lines(answer["error"]))
        return answer["found"]

    def kill(self) -> None:
        """End the process at once; whoever waits for its answer is told."""
        self._process.kill()

    def close(self) -> None:
        """Let the process end with its input, at once where it does not, and clear up after it."""
        with suppress(OSError):  # what was not sent cannot be sent any more
            self._input.close()
        try:
            self._process.wait(CLOSE_SECONDS)
        except TimeoutExpired:
            self.kill()
            self._process.wait()
        self._listener.join()
        self._output.close()

    def _ended(self, how: str) -> WorkerError:
        said = self._log.read_text(encoding="utf-8", errors="replace")[-1000:]
        return WorkerError(
            f"{self.name}: {how}{'; the last lines of its standard error:' if said.strip() else ''}",
            *quote_lines(said),
        )


@contextmanager
def start_worker(
    python: str | Path, name: str, *, module: str, timeout_seconds: float = TIMEOUT_SECONDS
) -> Iterator[Worker]:
    """A worker of the interpreter `python`, which runs `module`, ended at exit.

    Raises:
        WorkerError: see `start_python`.
    """
    # The same for every worker: hash order and idle OpenMP threads change times.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"}
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "stderr"
        with log.open("w", encoding="utf-8") as stderr:
            process = start_python(module, name, python=python, errors=stderr, environment=environment)
        worker = Worker(process, log, name, timeout_seconds)
        try:
            yield worker
        finally:
            worker.close()


def serve(
    answer: Callable[[Mapping[str, Any]], object],
    *,
    at_end: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests until standard input ends; then this process calls `at_end` and ends too, even in the midst of an answer.

    It ends with the parent, however that was ended: no worker outlives it. Between requests a worker waits without
    spinning, which would take a core from whoever is timed meanwhile.
    """
    # What a library prints goes to standard error: standard output carries the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    # Ctrl-C reaches every process of the terminal, and `timeout` ends a whole group. The parent decides what becomes of it,
    # and ends its workers.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    requests: queue.SimpleQueue[str] = queue.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(requests, at_end), daemon=True)
    listener.start()
    while True:
        try:
            found: dict[str, object] = {"found": answer(json.loads(requests.get()))}
        except DriftgateError as error:
            found = {"error": str(error)}
        except Exception:  # noqa: BLE001 - whatever it is, the parent reports it
            found = {"error": traceback.format_exc()[-2000:]}
        try:
            print(json.dumps(found), file=answers, flush=True)
        except BrokenPipeError:  # whoever asked is gone, and with them the input: the listener ends this process
            listener.join()


def _listen(requests: "queue.SimpleQueue[str]", at_end: Callable[[], None]) -> None:
    for line in sys.stdin:
        requests.put(line)
    try:
        at_end()
    finally:
        os._exit(0)
