"""What is timed at once: a few calls, long against the clock and short against the machine's drift."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

PAIRS_A_ROUND = 2
"""More pairs of the same loads say less than the same time spent on fresh ones."""
UNIT_NS = 20_000_000
"""What is timed at once takes about 20 ms where a cell's calls are shorter: long against the clock, short against drift."""

Clock = Callable[[], int]
"""Nanoseconds since some moment; never runs backwards."""
Calls = Sequence[Callable[[], object]]
"""Of one cell, one a batch."""


@dataclass(frozen=True, slots=True)
class Units:
    """How a cell's calls are timed: these slices of them at once."""

    slices: tuple[slice, ...]

    def draw(self, generator: np.random.Generator) -> list[slice]:
        """One for each pair of a round, each as often as any other, give or take one."""
        turns = [generator.permutation(len(self.slices)) for _ in range(-(-PAIRS_A_ROUND // len(self.slices)))]
        return [self.slices[index] for index in np.concatenate(turns).tolist()[:PAIRS_A_ROUND]]


def cut_units(calls_ns: Sequence[float]) -> Units:
    """Consecutive calls of at least `UNIT_NS` together, as far as there are enough.

    Args:
        calls_ns: about how long each of a cell's calls takes.
    """
    slices, start, spent = [], 0, 0.0
    for index, took in enumerate(calls_ns):
        spent += took
        if spent >= UNIT_NS:
            slices.append(slice(start, index + 1))
            start, spent = index + 1, 0
    if slices:
        slices[-1] = slice(slices[-1].start, len(calls_ns))  # a short rest belongs to the last
    else:
        slices = [slice(0, len(calls_ns))]
    return Units(tuple(slices))


def time_calls(calls: Calls, clock: Clock) -> int:
    """Nanoseconds of the calls.

    No untimed turn goes before: one that is timed is worth more. Both sides' turns of a pair are the first of their load, or
    follow the other side's, alike.
    """
    started = clock()
    for call in calls:
        call()
    return clock() - started
