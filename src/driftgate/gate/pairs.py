"""Time two versions of the same cells side by side: pairs in random order, over several fresh loads of both.

A stored time does not carry from one minute to the next, let alone between machines; the ratio of two times taken
milliseconds apart does. A match loads two sides, which get the same loads, turns and predecessors by construction
(`schedule`; commit against itself, in fixed order, differs by a quarter elsewhere). The control is a match of its own, of two
loads that nothing else uses: a baseline's session that served both was called more often than the candidate's, and was
faster for it in 65% of rounds.
"""

import gc
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from driftgate.gate.decisions import Round
from driftgate.gate.schedule import Bill, Calls, Clock, Units, plan_pairs, time_calls, toss

MAX_ROUNDS = 200

Load = Callable[[], AbstractContextManager[Mapping[str, Calls]]]
"""Opens a fresh session, closed at exit, and prepares every cell: its calls, one a batch, by cell id."""


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """Two versions of one backend's cells.

    Args:
        baseline, candidate: the i-th call of a cell does the same work on both sides.
        cells: how the calls of each are timed, by cell id.
        control: one of the baseline's cells, on which two further loads of the baseline are timed against each other.
    """

    backend: str
    baseline: Load
    candidate: Load
    cells: Mapping[str, Units]
    control: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Both times of the same work, in nanoseconds.

    Args:
        round: of fresh loads, counted from 0.
        is_control: both sides were loads of the baseline.
    """

    backend: str
    cell: str
    round: int
    baseline_ns: int
    candidate_ns: int
    candidate_first: bool
    is_control: bool

    @property
    def log_ratio(self) -> float:
        """log(candidate time / baseline time); NaN where a time is not positive."""
        if min(self.baseline_ns, self.candidate_ns) <= 0:
            return math.nan
        return math.log(self.candidate_ns / self.baseline_ns)


@dataclass(frozen=True, slots=True)
class Timing:
    """All pairs of a run.

    Args:
        seconds: the run took. `seconds_a_round`: by cell, a round of it took, its backend's loads and control included.
        out_of_time: there was no time to decide every cell.
    """

    pairs: tuple[Pair, ...]
    seconds: float
    seconds_a_round: Mapping[str, float]
    out_of_time: bool


def time_pairs(
    contests: Sequence[Contest],
    judge: Callable[[Round], Mapping[str, float]],
    *,
    budget_seconds: float,
    seed: int = 0,
    clock: Clock = time.perf_counter_ns,
) -> Timing:
    """Time rounds of all contests until no cell is undecided, or another round would exceed the budget.

    Args:
        judge: told the log ratios of each round; answers how many more rounds each undecided cell is expected to take. Where
            that is more than the budget covers, the cells that cost least to decide go on; the others come back as soon as
            there is time for them.
    """
    generator = np.random.default_rng(seed)
    started = clock()
    pairs: list[Pair] = []
    bill = Bill({cell: contest.backend for contest in contests for cell in contest.cells})
    rounds_left: Mapping[str, float] = dict.fromkeys(bill.backends, 1.0)
    for number in range(MAX_ROUNDS):
        left_ns = budget_seconds * 1e9 - (clock() - started)
        wanted = bill.choose(rounds_left, left_ns) if number else set(rounds_left)
        if not wanted:
            break
        timed: list[Pair] = []
        for index in generator.permutation(len(contests)).tolist():
            contest = contests[index]
            cells = {cell: units for cell, units in contest.cells.items() if cell in wanted}
            if cells:
                timed += _time_round(contest, cells, number, bill, generator, clock)
        pairs += timed
        rounds_left = judge(rounds_of(timed)[-1])
    took = (clock() - started) / 1e9
    return Timing(tuple(pairs), took, bill.seconds_a_round(), out_of_time=bool(rounds_left))


def rounds_of(pairs: Iterable[Pair]) -> list[Round]:
    """Of every round, in order, the median log ratio of each cell that was timed in it."""
    return list(_medians(pair for pair in pairs if not pair.is_control).values())


def controls_of(pairs: Iterable[Pair]) -> dict[str, list[float]]:
    """The median log ratio of the control of every round, by backend."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    controls = [pair for pair in pairs if pair.is_control]
    backends = {pair.cell: pair.backend for pair in controls}
    for ratios in _medians(controls).values():
        for cell, ratio in ratios.items():
            found[backends[cell]].append(ratio)
    return dict(found)


def _medians(pairs: Iterable[Pair]) -> dict[int, dict[str, float]]:
    """By round and cell."""
    grouped: defaultdict[int, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for pair in pairs:
        grouped[pair.round][pair.cell].append(pair.log_ratio)
    return {
        number: {cell: float(np.median(ratios)) for cell, ratios in cells.items()} for number, cells in grouped.items()
    }


def _time_round(
    contest: Contest,
    cells: Mapping[str, Units],
    number: int,
    bill: Bill,
    generator: np.random.Generator,
    clock: Clock,
) -> list[Pair]:
    """A match of both sides, and one of the baseline with itself on the control's cell, in random order."""
    pairs: list[Pair] = []
    fixed_ns = 0
    for is_control in generator.permutation([False, True]).tolist():
        chosen = {contest.control: contest.cells[contest.control]} if is_control else cells
        timed, loads_ns, cells_ns = _time_match(contest, chosen, number, generator, clock, is_control=is_control)
        pairs += timed
        fixed_ns += loads_ns
        if is_control:
            fixed_ns += sum(cells_ns.values())
        else:
            bill.cells_ns |= cells_ns
    bill.fixed_ns[contest.backend] = fixed_ns
    return pairs


def _time_match(
    contest: Contest,
    cells: Mapping[str, Units],
    number: int,
    generator: np.random.Generator,
    clock: Clock,
    *,
    is_control: bool,
) -> tuple[list[Pair], int, dict[str, int]]:
    """Load both sides anew and time every cell's pairs.

    Sides are told apart only by `names`, which the random draw decides: all else is the same whichever sits where.

    Returns:
        the pairs, and nanoseconds that the loads and each cell took.
    """
    loads = {"baseline": contest.baseline, "candidate": contest.baseline if is_control else contest.candidate}
    names = ("candidate", "baseline") if toss(generator) else ("baseline", "candidate")
    pairs, cells_ns, started = [], dict.fromkeys(cells, 0), clock()
    with ExitStack() as stack:
        seats = [stack.enter_context(loads[name]()) for name in names]
        loads_ns = clock() - started
        stack.enter_context(_no_collection())
        for planned in plan_pairs(cells, generator):
            began, cell = clock(), planned.cell
            order = (planned.first, 1 - planned.first)
            times = {names[seat]: time_calls(seats[seat][cell][planned.part], clock) for seat in order}
            first = names[planned.first] == "candidate"
            pairs.append(Pair(contest.backend, cell, number, times["baseline"], times["candidate"], first, is_control))
            cells_ns[cell] += clock() - began
    return pairs, loads_ns, cells_ns


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep Python's garbage collector from running inside one side's time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
