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
from dataclasses import dataclass, field

import numpy as np

from driftgate.gate.units import PAIRS_A_ROUND, Calls, Clock, Units, cut_units, time_calls

MAX_ROUNDS = 200

Load = Callable[[], Mapping[str, Calls]]
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
        seconds: the run took. `seconds_a_round`: by cell, a round of it took, its backend's loads and control included.
        out_of_time: cells were given up because there was no time for more rounds of them.
    """

    pairs: tuple[Pair, ...]
    seconds: float
    seconds_a_round: Mapping[str, float]
    out_of_time: bool


def time_pairs(
    contests: Sequence[Contest],
    undecided: Callable[[Sequence[Pair]], Collection[str]],
    *,
    budget_seconds: float,
    milestones: Sequence[int] = (1,),
    seed: int = 0,
    clock: Clock = time.perf_counter_ns,
) -> Timing:
    """Time rounds of all contests until no cell is undecided, or another round would exceed the budget.

    Args:
        undecided: asked after each round, with all pairs so far, for the ids of cells to time further.
        milestones: rounds in which each verdict can be reached at the earliest, rising. Cells, the dearest first, for which the
            budget does not suffice up to the next one, are given up as soon as that shows, and do not come back: so that the
            others reach it.
    """
    generator = np.random.default_rng(seed)
    started = clock()
    pairs: list[Pair] = []
    units: dict[tuple[str, str], Units] = {}
    bill = _Bill({cell: contest.backend for contest in contests for cell in contest.cells})
    wanted, left_out = set(bill.backends), False
    for number in range(MAX_ROUNDS):
        if number:
            left_ns = budget_seconds * 1e9 - (clock() - started)
            ahead = next((rounds for rounds in milestones if rounds > number), number + 1) - number
            affordable = bill.affordable(wanted, ahead, left_ns)
            if (
                not affordable and number >= milestones[0]
            ):  # no slowdown will be shown, but an equal cell may still pass
                affordable = bill.affordable(wanted, 1, left_ns)
            wanted, left_out = affordable, left_out or affordable != wanted
        if not wanted:
            break
        for index in generator.permutation(len(contests)).tolist():
            contest = contests[index]
            cells = [cell for cell in contest.cells if cell in wanted]
            if cells:
                pairs += _time_round(contest, cells, number, units, bill, generator, clock)
        wanted &= set(undecided(pairs))
    took = (clock() - started) / 1e9
    return Timing(tuple(pairs), took, bill.seconds_a_round(), out_of_time=left_out or bool(wanted))


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


@dataclass(slots=True)
class _Bill:
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

    def affordable(self, wanted: Collection[str], rounds: int, left_ns: float) -> set[str]:
        """The cells, cheapest first, of which so many rounds take no longer than what is left."""
        chosen: set[str] = set()
        loaded: set[str] = set()
        spent = 0
        for cell in sorted(wanted, key=self.cells_ns.__getitem__):
            backend = self.backends[cell]
            more = self.cells_ns[cell] + (0 if backend in loaded else self.fixed_ns[backend])
            if (spent + more) * rounds <= left_ns:
                chosen.add(cell)
                loaded.add(backend)
                spent += more
        return chosen


def _time_round(
    contest: Contest,
    cells: Sequence[str],
    number: int,
    units: dict[tuple[str, str], Units],
    bill: _Bill,
    generator: np.random.Generator,
    clock: Clock,
) -> list[Pair]:
    """Load both sides and the control anew, in random order, and time every cell's pairs, in random order too."""
    started = clock()
    loads = {"baseline": contest.baseline, "candidate": contest.candidate, "control": contest.baseline}
    sides = {side: loads[side]() for side in generator.permutation(list(loads)).tolist()}
    fixed_ns, cells_ns = clock() - started, dict.fromkeys(cells, 0)
    pairs = []
    with _no_collection():
        tasks = [*((cell, "candidate") for cell in cells), (contest.control, "control")]
        drawn = {}
        for cell, side in tasks:
            key = contest.backend, cell
            if key not in units:  # on the side loaded first: which one it is was drawn by lot
                units[key] = cut_units(next(iter(sides.values()))[cell], clock)
            drawn[cell, side] = units[key].draw(generator)
        turns = [(index, task) for index in range(PAIRS_A_ROUND) for task in generator.permutation(len(tasks)).tolist()]
        for index, task in turns:
            cell, side = tasks[task]
            if index >= len(drawn[cell, side]):
                continue
            part = drawn[cell, side][index]
            primes = units[contest.backend, cell].primes(first=part not in drawn[cell, side][:index])
            began, times = clock(), {}
            order = ("baseline", side) if generator.random() < 0.5 else (side, "baseline")
            for name in order:
                times[name] = time_calls(sides[name][cell][part], clock, primes=primes)
            is_control = side == "control"
            pairs.append(
                Pair(contest.backend, cell, number, times["baseline"], times[side], order[0] == side, is_control)
            )
            if is_control:
                fixed_ns += clock() - began
            else:
                cells_ns[cell] += clock() - began
    bill.fixed_ns[contest.backend] = fixed_ns
    bill.cells_ns |= cells_ns
    return pairs


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
