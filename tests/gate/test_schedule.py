"""Exchangeable sides: swapping them changes nothing in the law of the schedule."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftgate.gate import pairs
from driftgate.gate.pairs import Contest, Load, time_pairs
from driftgate.gate.schedule import PAIRS_A_ROUND, Units, cut_units, plan_pairs, toss

MS = 1_000_000
# From many calls a unit to one.
CALL_MS = st.sampled_from([3, 20, 60, 150, 1500])
CELLS = st.dictionaries(st.sampled_from(["b1", "b8", "b32"]), st.tuples(CALL_MS, st.integers(1, 9)), min_size=1)
SEEDS = st.integers(0, 2**32 - 1)


@dataclass
class Trace:
    """A machine on which both sides take the same time; keeps what each of them is asked, in order.

    Args:
        cells: by id, milliseconds of a call, and how many calls there are.
    """

    cells: dict[str, tuple[int, int]]
    now: int = 0
    events: list[tuple[str, ...]] = field(default_factory=list)

    def clock(self) -> int:
        self.events.append(("clock",))
        return self.now

    def load(self, side: str) -> Load:
        @contextmanager
        def open_() -> Iterator[dict[str, list[Callable[[], None]]]]:
            self.events.append(("load", side))
            yield {
                cell: [self._call(side, cell, str(index)) for index in range(n)] for cell, (_, n) in self.cells.items()
            }
            self.events.append(("close", side))

        return open_

    def _call(self, side: str, cell: str, index: str) -> Callable[[], None]:
        def call() -> None:
            self.events.append(("call", side, cell, index))
            self.now += self.cells[cell][0] * MS

        return call

    def run(self, seed: int, rounds: int) -> list[tuple[str, ...]]:
        """Every event; of the control's loads too, which are `baseline` both."""
        cells = tuple(self.cells)
        units = {cell: cut_units([milliseconds * MS] * calls) for cell, (milliseconds, calls) in self.cells.items()}
        contest = Contest("x", self.load("baseline"), self.load("candidate"), units, next(iter(cells)))
        numbers = count(1)
        wanted = dict.fromkeys(cells, 1.0)
        time_pairs(
            [contest],
            lambda ratios: wanted if next(numbers) < rounds else {},
            budget_seconds=math.inf,
            seed=seed,
            clock=self.clock,
        )
        return self.events


def matches_of(events: list[tuple[str, ...]]) -> list[list[tuple[str, ...]]]:
    """The events of each match of candidate and baseline, from its first load to its last close."""
    found: list[list[tuple[str, ...]]] = []
    opened = 0
    for event in events:
        if event[0] == "load" and not opened:
            found.append([])
        opened += {"load": 1, "close": -1}.get(event[0], 0)
        if opened or event[0] == "close":
            found[-1].append(event)
    return [match for match in found if ("load", "candidate") in match]


def swapped(events: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    names = {"baseline": "candidate", "candidate": "baseline"}
    return [tuple(names.get(word, word) for word in event) for event in events]


@settings(deadline=None)
@given(cells=CELLS, seed=SEEDS)
def test_the_other_side_of_the_coin_is_the_same_round_with_sides_swapped(
    cells: dict[str, tuple[int, int]], seed: int
) -> None:
    """Loads, turns and what comes before each: all of the law, for nothing else is drawn."""
    found = matches_of(Trace(cells).run(seed, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "toss", lambda generator: not toss(generator))
        mirrored = matches_of(Trace(cells).run(seed, 3))
    assert len(found) == len(mirrored) == 3
    assert mirrored == [swapped(match) for match in found]


@settings(deadline=None)
@given(cells=CELLS, seed=SEEDS)
def test_both_sides_are_loaded_and_called_as_often_in_every_round(cells: dict[str, tuple[int, int]], seed: int) -> None:
    for match in matches_of(Trace(cells).run(seed, 3)):
        counted = {
            side: Counter((event[0], *event[2:]) for event in match if side in event)
            for side in ("baseline", "candidate")
        }
        assert counted["baseline"] == counted["candidate"]
        assert counted["baseline"]["load",] == 1


@settings(deadline=None)
@given(cells=CELLS, seed=SEEDS)
def test_no_session_of_the_control_serves_a_gated_cell(cells: dict[str, tuple[int, int]], seed: int) -> None:
    events = Trace(cells).run(seed, 2)
    assert Counter(event for event in events if event[0] == "load") == {
        ("load", "baseline"): 6,
        ("load", "candidate"): 2,
    }
    opened: list[str] = []
    for event in events:
        if event[0] == "load":
            opened.append(event[1])
        elif event[0] == "close":
            opened.remove(event[1])
        assert len(opened) <= 2, "one match at a time"


@given(slices=st.integers(1, 6), cells=st.integers(1, 4), seed=SEEDS)
def test_either_seat_goes_first_in_half_of_the_pairs(slices: int, cells: int, seed: int) -> None:
    units = Units(tuple(slice(start, start + 1) for start in range(slices)))
    planned = plan_pairs({str(cell): units for cell in range(cells)}, np.random.default_rng(seed))
    for cell in range(cells):
        own = [pair for pair in planned if pair.cell == str(cell)]
        assert len(own) == PAIRS_A_ROUND
        assert abs(sum(pair.first for pair in own) - len(own) / 2) <= 0.5


def test_the_coin_is_fair_and_knows_nothing_of_the_plan() -> None:
    units = Units((slice(0, 1),))
    generator = np.random.default_rng(9)
    seated, firsts = [], []
    for _ in range(4000):
        seated.append(toss(generator))
        firsts.append(plan_pairs({"b1": units}, generator)[0].first)
    for tossed in (seated, firsts, [one == two for one, two in zip(seated, firsts, strict=True)]):
        assert abs(sum(tossed) - 2000) < 4 * math.sqrt(4000) / 2
