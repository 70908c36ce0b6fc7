"""The order of one match: planned for two seats, before a random draw says which side takes which.

Seats may differ in whatever they like: one is loaded first, one follows the other in more turns. The side that takes a seat is
drawn at random, even odds, when everything else is planned: for equal sides the sign of the match's log ratio is that draw,
given all else that happened: the theorem of `sequential` needs no more. Pairs are balanced besides, which costs nothing and
keeps a penalty on the second turn out of the median.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

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


@dataclass(frozen=True, slots=True)
class PlannedPair:
    """A turn of each seat, on the same work.

    Args:
        part: of the cell's calls. `first`: the seat whose turn is first, 0 for the one that is loaded first, 1 for the other.
    """

    cell: str
    part: slice
    first: int


def plan_pairs(cells: Mapping[str, Units], generator: np.random.Generator) -> list[PlannedPair]:
    """The pairs of one match: cells in random order, each cell's pairs in a row, either seat first in half of them, in random
    order; of an odd number, chance gives one seat one more.

    In a row, because a turn right after one of the same cell finds the caches as that left them, and no ratio was steadier for
    turns of other cells, or untimed ones, in between.

    Args:
        cells: how the calls of each are timed, by cell id.
    """
    names, planned = list(cells), []
    for index in generator.permutation(len(names)).tolist():
        parts = cells[names[index]].draw(generator)
        extra = int(generator.integers(2))
        firsts = [(place + extra) % 2 for place in generator.permutation(len(parts)).tolist()]
        planned += [PlannedPair(names[index], part, first) for part, first in zip(parts, firsts, strict=True)]
    return planned


def toss(generator: np.random.Generator) -> bool:
    """Whether the candidate takes the first seat."""
    return bool(generator.integers(2))


@dataclass(slots=True)
class Bill:
    """What the last round of each cell cost, in nanoseconds, and for each backend its loads and its control.

    Args:
        backends: by cell id.
    """

    backends: Mapping[str, str]
    cells_ns: dict[str, int] = field(default_factory=dict)
    fixed_ns: dict[str, int] = field(default_factory=dict)

    def seconds_a_round(self) -> dict[str, float]:
        """Of each cell alone."""
        return {cell: (took_ns + self.fixed_ns[self.backends[cell]]) / 1e9 for cell, took_ns in self.cells_ns.items()}

    def choose(self, rounds_left: Mapping[str, float], left_ns: float) -> set[str]:
        """The cells to time in the next round: as many as can be expected to be decided in what is left, those that cost least
        to decide first. Where that is none, the first of which one more round fits: it may be lucky.

        Args:
            rounds_left: expected to decide each cell that is wanted, at least 1.
        """
        chosen: set[str] = set()
        loads: dict[str, float] = {}
        spent = 0.0
        by_cost = sorted(rounds_left, key=lambda cell: rounds_left[cell] * self.cells_ns[cell])
        for cell in by_cost:
            backend, rounds = self.backends[cell], rounds_left[cell]
            more_loads = max(0.0, rounds - loads.get(backend, 0.0))
            more = rounds * self.cells_ns[cell] + more_loads * self.fixed_ns[backend]
            if spent + more <= left_ns:
                chosen.add(cell)
                loads[backend] = loads.get(backend, 0.0) + more_loads
                spent += more
        if chosen:
            return chosen
        fitting = (c for c in by_cost if self.cells_ns[c] + self.fixed_ns[self.backends[c]] <= left_ns)
        return set(islice(fitting, 1))
