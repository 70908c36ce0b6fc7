"""What a worker is given: whole windows, and shares of the last ones, so that all workers are done at the same time."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from driftgate.arrays import Logits
from driftgate.predict.answerer import AnsweredWindow
from driftgate.predict.reading.rows import Window

_MOST_SHARES = 4
"""Of a window, unless workers would have nothing to do: each share tokenizes the whole window."""


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """Of the `of` shares of a window, the one that has every `of`-th batch, beginning with `number`, from 0.

    Args:
        place: of the window among all, from 0.
    """

    place: int
    window: Window
    number: int = 0
    of: int = 1


def deal(windows: Iterator[Window], workers: int) -> Iterator[Share]:
    """Windows in order: whole, and the last ones, of which there are as many as workers, in shares for all of them.

    A window that one worker answers at the end of a file lets the others wait for as long as it takes.
    """
    ahead = deque(islice(windows, workers + 1))
    place = 0
    while len(ahead) > workers:
        yield Share(place, ahead.popleft())
        place += 1
        ahead.extend(islice(windows, 1))
    of = max(min(workers, _MOST_SHARES), -(-workers // len(ahead))) if ahead else 1
    for window in ahead:
        yield from (Share(place, window, number, of) for number in range(of))
        place += 1


class PartialAnswer:
    """The answers of a window, until all of its shares are there."""

    def __init__(self, window: Window, shares: int, labels: int) -> None:
        self._window, self._left = window, shares
        self._logits = np.empty((len(window.rows), labels), dtype=np.float32)

    def add(self, said: dict[str, Any], content: bytes) -> AnsweredWindow | None:
        """What a worker said of one share; the whole window once that was the last one."""
        self._logits[said["rows"]] = np.frombuffer(content, dtype="<f4").reshape(-1, self._logits.shape[1])
        self._left -= 1
        if self._left:
            return None
        window = self._window
        return AnsweredWindow(
            tuple(row.number for row in window.rows),
            tuple(row.id for row in window.rows),
            Logits(self._logits),
            window.rejected,
            said["tokens"],
            said["truncated"],
            window.position,
        )
