"""Time calls of fixed shapes in alternating rounds, so that a slow minute of the machine hits every cell alike."""

import time
import timeit
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

ROUNDS = 5
WARM_UP_CALLS = 3
"""Untimed, at every visit: they bring a cell's data back into the caches and let other threads go to sleep."""


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """What is timed under one name.

    Args:
        settle: called before every visit, untimed: puts settings in force that other cells of this process change.
        call: what is timed, one call at a time.
    """

    name: str
    settle: Callable[[], object]
    call: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Visit:
    """Calls timed one after the other: seconds of each, and when the first began."""

    cell: str
    started: datetime
    seconds: tuple[float, ...]


def split_calls(calls: int, rounds: int = ROUNDS) -> list[int]:
    """Timed calls of each round, as even as can be; fewer rounds where there are fewer calls."""
    rounds = min(rounds, calls)
    return [calls // rounds + (number < calls % rounds) for number in range(rounds)]


def visit_cells(
    cells: Sequence[Cell],
    calls: int,
    *,
    seed: int = 0,
    timer: Callable[[], float] = time.perf_counter,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[Visit]:
    """Visit every cell once a round, in an order drawn again each time, until each has been timed `calls` times.

    A generator: whoever stops early keeps what was measured so far. Python collects no garbage while a call is timed.

    Args:
        timer: seconds since some moment; never runs backwards.
    """
    generator = np.random.default_rng(seed)
    for calls_now in split_calls(calls):
        for index in generator.permutation(len(cells)).tolist():
            cell = cells[index]
            cell.settle()
            for _ in range(WARM_UP_CALLS):
                cell.call()
            started = now()
            yield Visit(cell.name, started, tuple(timeit.repeat(cell.call, timer=timer, number=1, repeat=calls_now)))
