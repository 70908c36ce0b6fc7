"""What is timed at once: a few calls, long against the clock and short against the machine's drift."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

PAIRS_A_ROUND = 4
UNIT_NS = 20_000_000
"""What is timed at once takes about 20 ms where a cell's calls are shorter: long against the clock, short against drift."""
LONG_UNIT_NS = 100_000_000
VERY_LONG_UNIT_NS = 1_000_000_000
LONG_PAIRS_A_ROUND = 2
"""Else the largest batches would take nearly all of the time. Their calls vary less, too."""

Clock = Callable[[], int]
"""Nanoseconds since some moment; never runs backwards."""
Calls = Sequence[Callable[[], object]]
"""Of one cell, one a batch."""


@dataclass(frozen=True, slots=True)
class Units:
    """How a cell's calls are timed: these slices of them at once, which take about `unit_ns`."""

    slices: tuple[slice, ...]
    unit_ns: float

    @property
    def pairs(self) -> int:
        """In a round."""
        if self.unit_ns >= VERY_LONG_UNIT_NS:
            return 1
        return LONG_PAIRS_A_ROUND if self.unit_ns >= LONG_UNIT_NS else PAIRS_A_ROUND

    def primes(self, *, first: bool) -> bool:
        """Whether an untimed turn goes before.

        A long unit outlasts what the other side left in the caches; only its first turn of a fresh session, which finds
        memory for its shapes, is not timed. Of a very long one even that is small.
        """
        return self.unit_ns < (VERY_LONG_UNIT_NS if first else LONG_UNIT_NS)

    def draw(self, generator: np.random.Generator) -> list[slice]:
        """One for each pair of a round, each as often as any other, give or take one."""
        turns = [generator.permutation(len(self.slices)) for _ in range(-(-self.pairs // len(self.slices)))]
        return [self.slices[index] for index in np.concatenate(turns).tolist()[: self.pairs]]


def cut_units(sides: Sequence[Calls], clock: Clock) -> Units:
    """Consecutive calls of at least `UNIT_NS` together, as far as there are enough; of the mean over sides, which make each call
    once, in turn.
    """
    calls = list(zip(*sides, strict=True))
    slices, start, spent, total = [], 0, 0.0, 0.0
    for index, of_sides in enumerate(calls):
        took = sum(time_calls([call], clock, primes=False) for call in of_sides) / len(of_sides)
        spent, total = spent + took, total + took
        if spent >= UNIT_NS:
            slices.append(slice(start, index + 1))
            start, spent = index + 1, 0
    if slices:
        slices[-1] = slice(slices[-1].start, len(calls))  # a short rest belongs to the last
    else:
        slices = [slice(0, len(calls))]
    return Units(tuple(slices), total / len(slices))


def time_calls(calls: Calls, clock: Clock, *, primes: bool) -> int:
    """Nanoseconds of the calls; where it primes, after an untimed turn of the same, which brings their data back into the
    caches from where the other side drove it. A further turn before a load's first pair made no ratio steadier.
    """
    if primes:
        _run(calls)
    started = clock()
    _run(calls)
    return clock() - started


def _run(calls: Calls) -> None:
    for call in calls:
        call()
