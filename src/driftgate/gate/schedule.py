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
        part: of the cell's calls. `first`: the seat whose turn is first.
    """

    cell: str
    part: slice
    first: Seat

    @property
    def order(self) -> tuple[Seat, Seat]:
        return self.first, 1 - self.first


def plan_pairs(cells: Mapping[str, Units], generator: np.random.Generator) -> list[PlannedPair]:
    """The pairs of one match: cells in random order, each cell's pairs in a row, either seat first in half of them.

    In a row, because a turn right after one of the same cell finds the caches as that left them, and no ratio was steadier for
    turns of other cells, or untimed ones, in between.

    Args:
        cells: how the calls of each are timed, by cell id.
    """
    names = list(cells)
    order = [names[place] for place in generator.permutation(len(names)).tolist()]
    return [
        PlannedPair(cell, part, first)
        for cell in order
        for part, first in _plan_cell(cells[cell].draw(generator), generator)
    ]


def _plan_cell(parts: list[slice], generator: np.random.Generator) -> list[tuple[slice, Seat]]:
    """Both seats first as often, in random order; of an odd number, chance gives one more."""
    extra = int(generator.integers(2))
    firsts = [(place + extra) % 2 for place in generator.permutation(len(parts)).tolist()]
    return list(zip(parts, firsts, strict=True))


def toss(generator: np.random.Generator) -> bool:
    """Whether the candidate takes the first seat."""
    return bool(generator.integers(2))
