"""The order of one match: planned for two seats, before a coin says which side takes which.

Seats may differ in whatever they like: one is loaded first, one follows the other in more turns. The side that takes a seat is
drawn by a fair coin when everything else is planned, so that for equal sides the sign of the match's log ratio is that coin,
given all else that happened: the theorem of `sequential` needs no more. Pairs are balanced besides, which costs nothing and
keeps a penalty on the second turn out of the median.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from driftgate.gate.units import Units

Seat = int
"""0: loaded first. 1: loaded second."""


@dataclass(frozen=True, slots=True)
class PlannedPair:
    """A turn of each seat, on the same work.

    Args:
        part: of the cell's calls. `primes`: an untimed turn of the same goes before each.
        first: the seat whose turn is first.
    """

    cell: str
    part: slice
    primes: bool
    first: Seat

    @property
    def order(self) -> tuple[Seat, Seat]:
        return self.first, 1 - self.first


def plan_pairs(cells: Mapping[str, Units], generator: np.random.Generator) -> list[PlannedPair]:
    """The pairs of one match, cells in turn and in random order; either seat goes first in half of each cell's pairs.

    Args:
        cells: how the calls of each are timed, by cell id.
    """
    drawn = {cell: _plan_cell(cell, units, generator) for cell, units in cells.items()}
    most = max(map(len, drawn.values()), default=0)
    names = list(drawn)
    turns = [(names[place], index) for index in range(most) for place in generator.permutation(len(names)).tolist()]
    return [drawn[cell][index] for cell, index in turns if index < len(drawn[cell])]


def _plan_cell(cell: str, units: Units, generator: np.random.Generator) -> list[PlannedPair]:
    parts = units.draw(generator)
    return [
        PlannedPair(cell, part, units.primes(first=part not in parts[:index]), first)
        for index, (part, first) in enumerate(zip(parts, _half_each(len(parts), generator), strict=True))
    ]


def _half_each(pairs: int, generator: np.random.Generator) -> list[Seat]:
    """Both seats as often, in random order; of an odd number, chance gives one more."""
    extra = int(generator.integers(2))
    return [(place + extra) % 2 for place in generator.permutation(pairs).tolist()]


def toss(generator: np.random.Generator) -> bool:
    """Whether the candidate takes the first seat."""
    return bool(generator.integers(2))
