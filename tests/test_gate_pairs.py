"""The schedule of pairs, on a clock that only moves when work is done."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from driftgate.gate.pairs import Contest, Load, Pair, log_ratios, time_pairs
from driftgate.gate.units import LONG_PAIRS_A_ROUND, PAIRS_A_ROUND

MS = 1_000_000


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

    def contest(self, backend: str = "x", candidate_ms: float = 10.0, **how: int) -> Contest:
        return Contest(backend, self.load("A", 10.0, **how), self.load("B", candidate_ms, **how), ("b1", "b8"), "b1")


def until(rounds: int) -> Callable[[Sequence[Pair]], set[str]]:
    """Every cell is undecided until there are so many rounds."""
    return lambda pairs: {"b1", "b8"} if max(pair.round for pair in pairs) + 1 < rounds else set()


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
    cells, controls = log_ratios(timing.pairs)
    assert cells["x"]["b8"] == pytest.approx([math.log(1.2)] * 4)
    assert controls["x"] == [0.0] * 4


def test_which_side_goes_first_is_a_fair_coin() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest()], until(40), budget_seconds=1e9, clock=bench.clock)
    first = sum(pair.candidate_first for pair in timing.pairs)
    assert len(timing.pairs) == 480
    assert abs(first - 240) < 4 * math.sqrt(480) / 2


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
            second = turn > 2 and turn % 4 == 2  # after a turn each to see how long it is: prime, time, prime, time
            bench.now += round(30 * MS * (1.05 if second else 1))

        yield {"b1": [call]}

    contest = Contest("x", load, load, ("b1",), "b1")
    open_ = lambda pairs: {"b1"} if max(pair.round for pair in pairs) < 29 else set()  # noqa: E731
    cells, _ = log_ratios(time_pairs([contest], open_, budget_seconds=1e9, clock=bench.clock).pairs)
    assert cells["x"]["b1"] == pytest.approx([0.0] * 30), "each side is second in half of the pairs"


def test_each_timed_turn_comes_right_after_an_untimed_one_of_the_same_work() -> None:
    bench = Bench()
    stamps: list[int] = []

    def clock() -> int:
        stamps.append(len(bench.calls))
        return bench.now

    time_pairs([bench.contest(batches=1)], until(2), budget_seconds=1e9, clock=clock)
    turns = 2 * 3 * PAIRS_A_ROUND  # of both sides and of the control's, in the last round, which cuts no units
    last = bench.calls[-2 * turns :]
    assert last[0::2] == last[1::2]
    begun = len(bench.calls) - 2 * turns
    assert set(range(begun + 1, len(bench.calls) + 1)) <= set(stamps)  # the clock is read before and after each


def test_short_calls_are_timed_together_and_long_ones_alone() -> None:
    for milliseconds, expected_ns in ((1, 20 * MS), (10, 20 * MS), (50, 50 * MS)):
        bench = Bench()
        load = bench.load("A", milliseconds, cells=["b1"], batches=40)
        contest = Contest("x", load, load, ("b1",), "b1")
        timing = time_pairs([contest], lambda pairs: set(), budget_seconds=1e9, clock=bench.clock)
        assert {pair.baseline_ns for pair in timing.pairs} == {expected_ns}


def test_long_calls_are_paired_less_often_and_primed_once_a_load() -> None:
    bench = Bench()
    load = bench.load("A", 150, cells=["b32"], batches=1)
    contest = Contest("x", load, load, ("b32",), "b32")
    timing = time_pairs(
        [contest], lambda pairs: {"b32"} if pairs[-1].round < 1 else set(), budget_seconds=1e9, clock=bench.clock
    )
    counted = Counter((pair.round, pair.is_control) for pair in timing.pairs)
    assert set(counted.values()) == {LONG_PAIRS_A_ROUND}
    cutting, primed, timed = 2, 2 * 4, 2 * 4 * LONG_PAIRS_A_ROUND
    assert len(bench.calls) == cutting + primed + timed


def test_very_long_calls_are_timed_once_a_side_and_round() -> None:
    bench = Bench()
    load = bench.load("A", 1500, cells=["b32"], batches=1)
    contest = Contest("x", load, load, ("b32",), "b32")
    timing = time_pairs([contest], lambda pairs: set(), budget_seconds=1e9, clock=bench.clock)
    assert [pair.is_control for pair in timing.pairs].count(False) == 1
    assert len(bench.calls) == 2 + 2 * len(timing.pairs)


def test_all_work_of_a_cell_gets_its_turn() -> None:
    bench = Bench()
    time_pairs([bench.contest(batches=12)], until(12), budget_seconds=1e9, clock=bench.clock)
    assert {index for name, cell, index in bench.calls if (name, cell) == ("B", "b8")} == set(range(12))


def test_a_decided_cell_is_not_timed_again_and_the_control_goes_on() -> None:
    bench = Bench()
    open_ = lambda pairs: {"b8"} if max(pair.round for pair in pairs) < 4 else set()  # noqa: E731
    timing = time_pairs([bench.contest()], open_, budget_seconds=1e9, clock=bench.clock)
    cells, controls = log_ratios(timing.pairs)
    assert [len(cells["x"][cell]) for cell in ("b1", "b8")] == [1, 5]
    assert len(controls["x"]) == 5


def test_a_decided_backend_is_not_loaded_again() -> None:
    bench = Bench()
    other = Contest("y", bench.load("C", 10, ["y1"]), bench.load("D", 10, ["y1"]), ("y1",), "y1")
    open_ = lambda pairs: {"b1"} if max(pair.round for pair in pairs) < 4 else set()  # noqa: E731
    time_pairs([bench.contest(), other], open_, budget_seconds=1e9, clock=bench.clock)
    assert bench.loads.count("D") == 1
    assert bench.loads.count("B") == 5
    assert bench.loads.count("C") == 3


def test_no_round_is_begun_that_the_budget_does_not_cover() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest()], until(10_000), budget_seconds=20, clock=bench.clock)
    assert timing.out_of_time
    assert timing.seconds <= 20
    assert timing.seconds + sum(timing.seconds_a_round.values()) > 20


def test_a_budget_for_fewer_rounds_than_any_verdict_takes_ends_after_the_first() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest()], until(10_000), budget_seconds=2, milestones=(7,), clock=bench.clock)
    assert timing.out_of_time
    assert {pair.round for pair in timing.pairs} == {0}
    assert sum(timing.seconds_a_round.values()) * 7 > 2


def test_cells_too_dear_for_the_budget_are_given_up_and_the_others_go_on() -> None:
    bench = Bench()
    dear = Contest("y", bench.load("C", 800, ["y32"]), bench.load("D", 800, ["y32"]), ("y32",), "y32")
    open_ = lambda pairs: {"b1", "b8", "y32"} if max(pair.round for pair in pairs) < 9 else set()  # noqa: E731
    timing = time_pairs([bench.contest(), dear], open_, budget_seconds=60, milestones=(7,), clock=bench.clock)
    cells, _ = log_ratios(timing.pairs)
    assert len(cells["y"]["y32"]) == 1
    assert timing.seconds_a_round["y32"] > 10 * timing.seconds_a_round["b1"]
    assert len(cells["x"]["b1"]) == len(cells["x"]["b8"]) == 10
    assert timing.out_of_time
    assert timing.seconds <= 60


def test_cells_are_given_up_so_that_the_others_can_show_a_slowdown() -> None:
    """Eight rounds of both would be in time, and find nothing in either."""
    bench = Bench()
    dear = Contest("y", bench.load("C", 800, ["y32"]), bench.load("D", 800, ["y32"]), ("y32",), "y32")
    contests, every = [bench.contest(), dear], lambda pairs: {"b1", "b8", "y32"}
    both = time_pairs(contests, every, budget_seconds=120, milestones=(7,), clock=bench.clock)
    one = time_pairs(contests, every, budget_seconds=120, milestones=(7, 13), clock=bench.clock)
    assert 7 <= len(log_ratios(both.pairs)[0]["y"]["y32"]) < 13
    assert len(log_ratios(one.pairs)[0]["y"]["y32"]) == 7
    assert len(log_ratios(one.pairs)[0]["x"]["b1"]) >= 13


def test_where_no_slowdown_can_be_shown_in_time_cells_may_still_pass() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest()], until(10_000), budget_seconds=20, milestones=(7, 10_000), clock=bench.clock)
    assert len(log_ratios(timing.pairs)[0]["x"]["b1"]) >= 7


def test_a_clock_that_stands_still_gives_no_ratio_rather_than_a_good_one() -> None:
    bench = Bench()
    timing = time_pairs([bench.contest()], until(2), budget_seconds=1, clock=lambda: 0)
    cells, _ = log_ratios(timing.pairs)
    assert np.isnan(cells["x"]["b1"]).all()
