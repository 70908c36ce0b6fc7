"""The schedule of pairs, on a clock that only moves when work is done."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise

import numpy as np
import pytest

from driftgate.gate.decisions import Round
from driftgate.gate.pairs import Contest, Load, Pair, controls_of, rounds_of, time_pairs
from driftgate.gate.schedule import PAIRS_A_ROUND, Units, cut_units

MS = 1_000_000
Judge = Callable[[Round], dict[str, float]]


@dataclass
class Bench:
    """A machine on which calls take the time they say; keeps every load and every call."""

    now: int = 0
    loads: list[str] = field(default_factory=list)
    calls: list[tuple[str, str, int]] = field(default_factory=list)

    def clock(self) -> int:
        return self.now

    def load(self, name: str, milliseconds: float, cells: Sequence[str] = ("b1", "b8"), batches: int = 6) -> Load:
        @contextmanager
        def open_() -> Iterator[dict[str, list[Callable[[], None]]]]:
            self.loads.append(name)
            yield {cell: [self._call(name, cell, index, milliseconds) for index in range(batches)] for cell in cells}

        return open_

    def _call(self, name: str, cell: str, index: int, milliseconds: float) -> Callable[[], None]:
        def call() -> None:
            self.now += round(milliseconds * MS)
            self.calls.append((name, cell, index))

        return call

    def contest(self, backend: str = "x", candidate_ms: float = 10.0, batches: int = 6) -> Contest:
        cells = dict.fromkeys(("b1", "b8"), cut_units([10 * MS] * batches))
        sides = (self.load(name, took, batches=batches) for name, took in (("A", 10.0), ("B", candidate_ms)))
        return Contest(backend, *sides, cells, "b1")

    def dear_contest(self) -> Contest:
        """One cell, whose call takes 0.8 seconds."""
        sides = (self.load(name, 800, ["y32"], 1) for name in "CD")
        return Contest("y", *sides, {"y32": Units((slice(0, 1),))}, "y32")


def until(rounds: int, **rounds_left: float) -> Judge:
    """Every cell is undecided until there are so many rounds, and expected to take so many more: one unless it is named."""
    numbers = count(1)
    return lambda ratios: dict.fromkeys(ratios, 1.0) | rounds_left if next(numbers) < rounds else {}


def ratios_of(cell: str, pairs: Sequence[Pair]) -> list[float]:
    return [ratios[cell] for ratios in rounds_of(pairs) if cell in ratios]


def test_every_round_loads_both_sides_and_both_of_the_control_anew() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest()], until(3), budget_seconds=1e9, clock=bench.clock)
    assert Counter(bench.loads) == {"A": 9, "B": 3}
    counted = Counter((pair.round, pair.cell, pair.is_control) for pair in timing.pairs)
    cells = [("b1", False), ("b8", False), ("b1", True)]
    assert counted == {(number, *cell): PAIRS_A_ROUND for number in range(3) for cell in cells}
    assert not timing.out_of_time


def test_a_slower_candidate_shows_and_the_control_does_not() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest(candidate_ms=12.0)], until(4), budget_seconds=1e9, clock=bench.clock)
    assert ratios_of("b8", timing.pairs) == pytest.approx([math.log(1.2)] * 4)
    assert controls_of(timing.pairs) == {"x": [0.0] * 4}


def test_which_side_goes_first_is_a_fair_coin() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest()], until(40), budget_seconds=1e9, clock=bench.clock)
    first = sum(pair.candidate_first for pair in timing.pairs)
    assert len(timing.pairs) == 240
    assert abs(first - 120) < 4 * math.sqrt(240) / 2


def test_the_order_is_that_of_the_seed() -> None:
    def order(seed: int) -> tuple[Pair, ...]:
        bench = Bench()
        contest = bench.contest()
        return time_pairs([contest], until(3), budget_seconds=1e9, seed=seed, clock=bench.clock).pairs

    assert order(1) == order(1) != order(2)


def test_a_penalty_on_the_second_place_does_not_favour_a_side() -> None:
    """Whatever runs second takes 5% longer: fixed order would call it a slowdown in every pair."""
    bench = Bench()
    turn = 0

    @contextmanager
    def load() -> Iterator[dict[str, list[Callable[[], None]]]]:
        def call() -> None:
            nonlocal turn
            turn += 1
            bench.now += round(30 * MS * (1.05 if turn % 2 == 0 else 1))

        yield {"b1": [call]}

    contest = Contest("x", load, load, {"b1": Units((slice(0, 1),))}, "b1")
    timing = time_pairs([contest], until(30), budget_seconds=1e9, clock=bench.clock)
    assert ratios_of("b1", timing.pairs) == pytest.approx([0.0] * 30), "each side is second in half of the pairs"


def test_nothing_but_timed_turns_is_called_and_pairs_of_a_cell_are_in_a_row() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest(batches=2)], until(3), budget_seconds=1e9, clock=bench.clock)
    calls_of_a_turn = 2
    assert len(bench.calls) == 2 * calls_of_a_turn * len(timing.pairs)
    cells = [cell for _, cell, _ in bench.calls]
    changes = sum(then != now for then, now in pairwise(cells))
    assert changes <= 3 * 3, "a round has two cells and the control's"


def test_short_calls_are_timed_together_and_long_ones_alone() -> None:
    for milliseconds, expected_ns in ((1, 20 * MS), (10, 20 * MS), (50, 50 * MS)):
        bench = Bench()
        load = bench.load("A", milliseconds, cells=["b1"], batches=40)
        contest = Contest("x", load, load, {"b1": cut_units([milliseconds * MS] * 40)}, "b1")
        timing = time_pairs([contest], until(1), budget_seconds=1e9, clock=bench.clock)
        assert {pair.baseline_ns for pair in timing.pairs} == {expected_ns}


def test_a_short_rest_belongs_to_the_last_unit_and_few_calls_are_one() -> None:
    assert cut_units([9 * MS] * 7).slices == (slice(0, 3), slice(3, 7))
    assert cut_units([MS] * 5).slices == (slice(0, 5),)


def test_all_work_of_a_cell_gets_its_turn() -> None:
    bench = Bench()
    time_pairs([bench.contest(batches=12)], until(12), budget_seconds=1e9, clock=bench.clock)
    assert {index for name, cell, index in bench.calls if (name, cell) == ("B", "b8")} == set(range(12))


def test_a_decided_cell_is_not_timed_again_and_the_control_goes_on() -> None:
    bench = Bench()
    numbers = count(1)
    judge = lambda ratios: {"b8": 1.0} if next(numbers) < 5 else {}  # noqa: E731
    timing = time_pairs([bench.contest()], judge, budget_seconds=1e9, clock=bench.clock)
    assert [len(ratios_of(cell, timing.pairs)) for cell in ("b1", "b8")] == [1, 5]
    assert len(controls_of(timing.pairs)["x"]) == 5
    assert not timing.out_of_time


def test_a_decided_backend_is_not_loaded_again() -> None:
    bench = Bench()
    numbers = count(1)
    judge = lambda ratios: {"b1": 1.0} if next(numbers) < 5 else {}  # noqa: E731
    time_pairs([bench.contest(), bench.dear_contest()], judge, budget_seconds=1e9, clock=bench.clock)
    assert bench.loads.count("D") == 1
    assert bench.loads.count("B") == 5
    assert bench.loads.count("C") == 3


def test_no_round_is_begun_that_the_budget_does_not_cover() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest()], until(10_000), budget_seconds=20, clock=bench.clock)
    assert timing.out_of_time
    assert timing.seconds <= 20
    assert timing.seconds + min(timing.seconds_a_round.values()) > 20


def test_cells_too_dear_for_the_budget_are_given_up_and_the_others_go_on() -> None:
    bench = Bench()
    contests = [bench.contest(), bench.dear_contest()]
    judge = until(10, b1=9.0, b8=9.0, y32=9.0)
    timing = time_pairs(contests, judge, budget_seconds=30, clock=bench.clock)
    assert len(ratios_of("y32", timing.pairs)) == 1
    assert timing.seconds_a_round["y32"] > 10 * timing.seconds_a_round["b1"]
    assert len(ratios_of("b1", timing.pairs)) == len(ratios_of("b8", timing.pairs)) == 10
    assert timing.seconds <= 30


def test_cells_given_up_come_back_while_time_is_left() -> None:
    bench = Bench()
    rounds: list[Round] = []

    def judge(ratios: Round) -> dict[str, float]:
        """The cheap cells are decided sooner than it looked."""
        rounds.append(ratios)
        return {"b1": 40.0, "b8": 40.0, "y32": 5.0} if len(rounds) < 4 else {"y32": 5.0}

    timing = time_pairs([bench.contest(), bench.dear_contest()], judge, budget_seconds=40, clock=bench.clock)
    timed = ["y32" in ratios for ratios in rounds]
    assert timed[:5] == [True, False, False, False, True]
    assert sum(timed) >= 3
    assert timing.out_of_time, "it stays undecided"


def test_time_is_not_left_unused_where_it_is_too_short_for_a_verdict() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest()], until(10_000, b1=1000.0, b8=2000.0), budget_seconds=10, clock=bench.clock)
    assert len(ratios_of("b1", timing.pairs)) > 5
    assert len(ratios_of("b8", timing.pairs)) == 1


def test_a_cell_that_nothing_will_decide_does_not_take_the_time_of_others() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest()], until(20, b1=math.inf), budget_seconds=1e9, clock=bench.clock)
    assert [len(ratios_of(cell, timing.pairs)) for cell in ("b1", "b8")] == [1, 20]


def test_a_clock_that_stands_still_gives_no_ratio_rather_than_a_good_one() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest()], until(2), budget_seconds=1, clock=lambda: 0)
    assert np.isnan(ratios_of("b1", timing.pairs)).all()
