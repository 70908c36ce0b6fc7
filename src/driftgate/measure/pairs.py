"""Time two versions of the same cells side by side: pairs in random order, over several fresh loads of both.

A stored time does not carry from one minute to the next, let alone between machines; the ratio of two times taken
milliseconds apart does. What could favour one side is drawn by lot: which is loaded first, which cell is next, which side
of a pair goes first (commit against itself, in fixed order, differs by a quarter elsewhere).
"""

import gc
import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

PAIRS_A_ROUND = 4
UNIT_NS = 20_000_000
"""What is timed at once takes about 20 ms where a cell's calls are shorter: long against the clock, short against drift."""
LONG_UNIT_NS = 100_000_000
LONG_PAIRS_A_ROUND = 2
"""A round's time is mostly that of the cells with the longest calls, which vary less."""
MAX_ROUNDS = 200

Clock = Callable[[], int]
"""Nanoseconds since some moment; never runs backwards."""
Load = Callable[[], Mapping[str, Sequence[Callable[[], object]]]]
"""Opens a fresh session and prepares every cell: its calls, one a batch, by cell id."""


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """Two versions of one backend's cells.

    Args:
        baseline, candidate: the i-th call of a cell does the same work on both sides.
        cells: ids of the cells to time.
        control: one of the baseline's cells; a second load of the baseline is timed on it beside the first.
    """

    backend: str
    baseline: Load
    candidate: Load
    cells: tuple[str, ...]
    control: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Both times of the same work, in nanoseconds.

    Args:
        round: of fresh loads, counted from 0.
        is_control: the candidate was a second load of the baseline.
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
        seconds: the run took. `seconds_a_round`: its first round, with every cell, took.
        out_of_time: cells were left undecided because there was no time for another round.
    """

    pairs: tuple[Pair, ...]
    seconds: float
    seconds_a_round: float
    out_of_time: bool


def time_pairs(
    contests: Sequence[Contest],
    undecided: Callable[[Sequence[Pair]], Collection[str]],
    *,
    budget_seconds: float,
    least_rounds: int = 1,
    seed: int = 0,
    clock: Clock = time.perf_counter_ns,
) -> Timing:
    """Time rounds of all contests until no cell is undecided, or another round would exceed the budget.

    Args:
        undecided: asked after each round, with all pairs so far, for the ids of cells to time further.
        least_rounds: no cell can be decided in fewer; where the first round shows that the budget does not suffice for
            them, the run ends there.
    """
    generator = np.random.default_rng(seed)
    started = clock()
    pairs: list[Pair] = []
    units: dict[tuple[str, str], _Units] = {}
    wanted = {cell for contest in contests for cell in contest.cells}
    round_ns = first_round_ns = 0
    for number in range(MAX_ROUNDS):
        left_ns = budget_seconds * 1e9 - (clock() - started)
        if not wanted or round_ns * max(1, least_rounds - number) > left_ns:
            break
        round_started = clock()
        for index in generator.permutation(len(contests)).tolist():
            contest = contests[index]
            cells = [cell for cell in contest.cells if cell in wanted]
            if cells:
                pairs += _time_round(contest, cells, number, units, generator, clock)
        round_ns = clock() - round_started
        first_round_ns = first_round_ns or round_ns
        wanted &= set(undecided(pairs))
    return Timing(tuple(pairs), (clock() - started) / 1e9, first_round_ns / 1e9, out_of_time=bool(wanted))


def log_ratios(pairs: Iterable[Pair]) -> tuple[dict[str, dict[str, list[float]]], dict[str, list[float]]]:
    """The median log ratio of every round: by backend and cell, and of the control by backend."""
    grouped: defaultdict[tuple[str, str, bool], defaultdict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for pair in pairs:
        grouped[pair.backend, pair.cell, pair.is_control][pair.round].append(pair.log_ratio)
    cells: defaultdict[str, dict[str, list[float]]] = defaultdict(dict)
    controls: dict[str, list[float]] = {}
    for (backend, cell, is_control), rounds in grouped.items():
        medians = [float(np.median(ratios)) for ratios in rounds.values()]
        if is_control:
            controls[backend] = medians
        else:
            cells[backend][cell] = medians
    return dict(cells), controls


@dataclass(frozen=True, slots=True)
class _Units:
    """How a cell's calls are timed: these slices of them at once, and so many pairs a round."""

    slices: tuple[slice, ...]
    is_long: bool

    @property
    def pairs(self) -> int:
        return LONG_PAIRS_A_ROUND if self.is_long else PAIRS_A_ROUND

    def draw(self, generator: np.random.Generator) -> list[slice]:
        """One for each pair of a round, each as often as any other, give or take one."""
        turns = [generator.permutation(len(self.slices)) for _ in range(-(-self.pairs // len(self.slices)))]
        return [self.slices[index] for index in np.concatenate(turns).tolist()[: self.pairs]]


def _time_round(
    contest: Contest,
    cells: Sequence[str],
    number: int,
    units: dict[tuple[str, str], _Units],
    generator: np.random.Generator,
    clock: Clock,
) -> list[Pair]:
    """Load both sides and the control anew, in random order, and time every cell's pairs, in random order too."""
    loads = {"baseline": contest.baseline, "candidate": contest.candidate, "control": contest.baseline}
    sides = {side: loads[side]() for side in generator.permutation(list(loads)).tolist()}
    pairs = []
    with _no_collection():
        tasks = [*((cell, "candidate") for cell in cells), (contest.control, "control")]
        drawn = {}
        for cell, side in tasks:
            key = contest.backend, cell
            if key not in units:  # all sides, so that none is ahead; what the one loaded first says
                units[key], *_ = [_cut_units(calls[cell], clock) for calls in sides.values()]
            drawn[cell, side] = units[key].draw(generator)
        turns = [(index, task) for index in range(PAIRS_A_ROUND) for task in generator.permutation(len(tasks)).tolist()]
        for index, task in turns:
            cell, side = tasks[task]
            if index >= len(drawn[cell, side]):
                continue
            part = drawn[cell, side][index]
            # A long unit outlasts what the other side left behind; a fresh session still has to find memory for its shapes.
            primes = not units[contest.backend, cell].is_long or part not in drawn[cell, side][:index]
            times = {}
            order = ("baseline", side) if generator.random() < 0.5 else (side, "baseline")
            for name in order:
                times[name] = _time(sides[name][cell][part], clock, primes=primes)
            is_control = side == "control"
            pairs.append(
                Pair(contest.backend, cell, number, times["baseline"], times[side], order[0] == side, is_control)
            )
    return pairs


def _cut_units(calls: Sequence[Callable[[], object]], clock: Clock) -> _Units:
    """Consecutive calls of at least `UNIT_NS` together, as far as there are enough."""
    _run(calls)
    slices, start, spent, total = [], 0, 0, 0
    for index, call in enumerate(calls):
        took = _time([call], clock, primes=False)
        spent, total = spent + took, total + took
        if spent >= UNIT_NS:
            slices.append(slice(start, index + 1))
            start, spent = index + 1, 0
    if slices:
        slices[-1] = slice(slices[-1].start, len(calls))  # a short rest belongs to the last
    else:
        slices = [slice(0, len(calls))]
    return _Units(tuple(slices), is_long=total / len(slices) >= LONG_UNIT_NS)


def _time(calls: Sequence[Callable[[], object]], clock: Clock, *, primes: bool) -> int:
    """Nanoseconds of the calls; where it primes, after an untimed turn of the same, which brings their data back into the
    caches from where the other side drove it. A further turn before a load's first pair made no ratio steadier.
    """
    if primes:
        _run(calls)
    started = clock()
    _run(calls)
    return clock() - started


def _run(calls: Sequence[Callable[[], object]]) -> None:
    for call in calls:
        call()


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
