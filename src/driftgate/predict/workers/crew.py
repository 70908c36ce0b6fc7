"""The workers of a job, as the job sees them: windows go out, answers come back in order, and who dies is replaced."""

import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from threading import Condition, Lock, Thread

import numpy as np

from driftgate.arrays import Logits
from driftgate.errors import WorkerError
from driftgate.predict.answerer import AnsweredWindow
from driftgate.predict.reading.rows import Window
from driftgate.predict.workers.frames import receive, send
from driftgate.predict.workers.started_host import DEATHS_BEFORE_GIVING_UP, Host, Opening, raised

_POLL_SECONDS = 0.1
_JOIN_SECONDS = 10.0


class Crew:
    """`workers` processes that answer windows.

    Args:
        told: called with the number of each worker's process when it is there.
    """

    def __init__(self, opening: Opening, workers: int, told: Callable[[int], None] = lambda process: None) -> None:  # noqa: ARG005
        self._opening, self._workers, self._told = opening, workers, told
        self._host = Host(opening)
        self._connections: dict[int, socket.socket] = {}
        self._reading = Lock()
        self._changed = Condition()
        self._answers: dict[int, AnsweredWindow] = {}
        self._sha256 = ""
        self._issued = self._taken = 0
        self._ended = self._stopped = False
        self._error: BaseException | None = None

    @property
    def sha256(self) -> str:
        """Of the files that answer, as the first worker says once it has loaded them.

        Raises:
            DriftgateError: the model does not load. WorkerError: processes cannot be started.
        """
        self._connection(0)
        return self._sha256

    def answer(self, windows: Iterator[Window]) -> Generator[AnsweredWindow]:
        """The windows with their logits, in order.

        Raises:
            WorkerError: the same window ended three workers. DriftgateError: what a worker met.
        """
        threads = [Thread(target=self._serve, args=(slot, windows), daemon=True) for slot in range(self._workers)]
        for thread in threads:
            thread.start()
        try:
            while True:
                window = self._next()
                if window is None:
                    return
                yield window
        finally:
            self._stop()
            for thread in threads:
                thread.join(_JOIN_SECONDS)

    def close(self) -> None:
        """End every process."""
        self._stop()
        self._host.close()

    def _next(self) -> AnsweredWindow | None:
        with self._changed:
            while True:
                if self._taken in self._answers:
                    window = self._answers.pop(self._taken)
                    self._taken += 1
                    self._changed.notify_all()
                    return window
                if self._error is not None:
                    raise self._error
                if self._ended and self._taken == self._issued:
                    return None
                self._changed.wait(_POLL_SECONDS)

    def _serve(self, slot: int, windows: Iterator[Window]) -> None:
        try:
            while True:
                given = self._give_out(windows)
                if given is None:
                    return
                place, window = given
                answered = self._ask(slot, window)
                with self._changed:
                    self._answers[place] = answered
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - raised where the answers are taken
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _give_out(self, windows: Iterator[Window]) -> tuple[int, Window] | None:
        """The next window and its place; None where there is none, or nobody wants it."""
        with self._reading:
            with self._changed:
                while self._issued - self._taken > 2 * self._workers and not self._over:
                    self._changed.wait(_POLL_SECONDS)
                if self._over:
                    return None
            window = next(windows, None)
            with self._changed:
                if window is None:
                    self._ended = True
                    self._changed.notify_all()
                    return None
                self._issued += 1
                return self._issued - 1, window

    @property
    def _over(self) -> bool:
        return self._stopped or self._ended or self._error is not None

    def _ask(self, slot: int, window: Window) -> AnsweredWindow:
        numbers = tuple(row.number for row in window.rows)
        asked = {"numbers": numbers, "texts": [row.text for row in window.rows]}
        for _ in range(DEATHS_BEFORE_GIVING_UP):
            connection = self._connection(slot)
            try:
                send(connection, asked)
                said, content = receive(connection)
            except (OSError, EOFError):
                connection.close()
                self._connections.pop(slot, None)
                if self._stopped:
                    raise
                continue
            if "error" in said:
                raise raised(said)
            logits = np.frombuffer(content, dtype="<f4").reshape(len(numbers), len(self._opening.encoder.labels))
            return AnsweredWindow(
                numbers,
                tuple(row.id for row in window.rows),
                Logits(logits.astype(np.float32)),
                window.rejected,
                said["tokens"],
                said["truncated"],
                window.position,
            )
        rows = f"rows {numbers[0]} to {numbers[-1]}" if numbers else "a window without texts"
        raise WorkerError(
            f"{rows} of the input, counted from 0, ended {DEATHS_BEFORE_GIVING_UP} worker processes one after the other; is "
            "there enough memory for them? What was done before is kept"
        )

    def _connection(self, slot: int) -> socket.socket:
        if slot not in self._connections:
            connection, hello = self._host.connect()
            with self._changed:
                if self._stopped:
                    connection.close()
                    raise EOFError("the job has ended")
                self._connections[slot] = connection
                self._sha256 = hello["sha256"]
            self._told(hello["process"])
        return self._connections[slot]

    def _stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for connection in list(self._connections.values()):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
