"""The workers of a job, as the job sees them: windows go out, answers come back in order, and who dies is replaced."""

import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from threading import Condition, Lock, Thread
from typing import Any

from driftgate.errors import WorkerError
from driftgate.predict.answerer import AnsweredWindow
from driftgate.predict.reading.rows import Window
from driftgate.predict.workers.frames import receive, send
from driftgate.predict.workers.started_host import DEATHS_BEFORE_GIVING_UP, Host, Opening, raised
from driftgate.predict.workers.window_shares import PartialAnswer, Share, deal

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
        self._partial: dict[int, PartialAnswer] = {}
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
        """The windows with their logits, in order. May be called again once it has ended; closed early, it ends every worker.

        Raises:
            WorkerError: the same window ended three workers. DriftgateError: what a worker met.
        """
        self._issued = self._taken = 0
        self._ended = False
        shares = deal(windows, self._workers)
        threads = [Thread(target=self._serve, args=(slot, shares), daemon=True) for slot in range(self._workers)]
        for thread in threads:
            thread.start()
        try:
            while True:
                window = self._next()
                if window is None:
                    return
                yield window
        except BaseException:
            self._stop()
            raise
        finally:
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

    def _serve(self, slot: int, shares: Iterator[Share]) -> None:
        try:
            while True:
                share = self._give_out(shares)
                if share is None:
                    return
                said, content = self._ask(slot, share)
                with self._changed:
                    answered = self._partial[share.place].add(said, content)
                    if answered is not None:
                        del self._partial[share.place]
                        self._answers[share.place] = answered
                        self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 - raised where the answers are taken
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _give_out(self, shares: Iterator[Share]) -> Share | None:
        """What is to be answered next; None where there is nothing, or nobody wants it."""
        with self._reading:
            with self._changed:
                while self._issued - self._taken > 2 * self._workers and not self._over:
                    self._changed.wait(_POLL_SECONDS)
                if self._over:
                    return None
            share = next(shares, None)
            with self._changed:
                if share is None:
                    self._ended = True
                    self._changed.notify_all()
                    return None
                if share.number == 0:
                    self._issued += 1
                    labels = len(self._opening.encoder.labels)
                    self._partial[share.place] = PartialAnswer(share.window, share.of, labels)
                return share

    @property
    def _over(self) -> bool:
        return self._stopped or self._ended or self._error is not None

    def _ask(self, slot: int, share: Share) -> tuple[dict[str, Any], bytes]:
        rows = share.window.rows
        numbers = [row.number for row in rows]
        asked = {"numbers": numbers, "texts": [row.text for row in rows], "share": share.number, "of": share.of}
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
            return said, content
        where = f"rows {numbers[0]} to {numbers[-1]}" if numbers else "a window without texts"
        raise WorkerError(
            f"{where} of the input, counted from 0, ended {DEATHS_BEFORE_GIVING_UP} worker processes one after the other; is "
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
