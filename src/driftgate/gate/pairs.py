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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np

from driftgate.gate.bill import Bill
from driftgate.gate.schedule import plan_pairs, toss
from driftgate.gate.units import Calls, Clock, Units, cut_units, time_calls

MAX_ROUNDS = 200

Load = Callable[[], AbstractContextManager[Mapping[str, Calls]]]
"""Opens a fresh session, closed at exit, and prepares every cell: its calls, one a batch, by cell id."""


@dataclass(frozen=True, slots=True, eq=False)
class Contest:
    """Two versions of one backend's cells.

    Args:
        baseline, candidate: the i-th call of a cell does the same work on both sides.
        cells: ids of the cells to time.
        control: one of the baseline's cells, on which two further loads of the baseline are timed beside each other.
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
    bill = Bill({cell: contest.backend for contest in contests for cell in contest.cells})
    wanted, left_out = set(bill.backends), False
    for number in range(MAX_ROUNDS):
        if number:
            left_ns = budget_seconds * 1e9 - (clock() - started)
            ahead = next((rounds for rounds in milestones if rounds > number), number + 1) - number
            affordable = bill.affordable(wanted, ahead, left_ns)
            # Where no slowdown will be shown any more, an equal cell may still pass.
            if not affordable and number >= milestones[0]:
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


def _time_round(
    contest: Contest,
    cells: Sequence[str],
    number: int,
    units: dict[tuple[str, str], Units],
    bill: Bill,
    generator: np.random.Generator,
    clock: Clock,
) -> list[Pair]:
    """A match of both sides, and one of the baseline with itself on the control's cell, in random order."""
    pairs: list[Pair] = []
    fixed_ns = 0
    for is_control in generator.permutation([False, True]).tolist():
        chosen = [contest.control] if is_control else cells
        match = _time_match(contest, chosen, number, units, generator, clock, is_control=is_control)
        pairs += match.pairs
        fixed_ns += match.loads_ns
        if is_control:
            fixed_ns += sum(match.cells_ns.values())
        else:
            bill.cells_ns |= match.cells_ns
    bill.fixed_ns[contest.backend] = fixed_ns
    return pairs


@dataclass(frozen=True, slots=True)
class _Match:
    """Pairs of two loads, and nanoseconds that their loads and each cell took."""

    pairs: Sequence[Pair]
    loads_ns: int
    cells_ns: Mapping[str, int]


def _time_match(
    contest: Contest,
    cells: Sequence[str],
    number: int,
    units: dict[tuple[str, str], Units],
    generator: np.random.Generator,
    clock: Clock,
    *,
    is_control: bool,
) -> _Match:
    """Load both sides anew and time every cell's pairs.

    Sides are told apart only by `names`, which the coin decides: all else is the same whichever sits where.
    """
    loads = {"baseline": contest.baseline, "candidate": contest.baseline if is_control else contest.candidate}
    names = ("candidate", "baseline") if toss(generator) else ("baseline", "candidate")
    pairs, cells_ns, started = [], dict.fromkeys(cells, 0), clock()
    with ExitStack() as stack:
        seats = [stack.enter_context(loads[name]()) for name in names]
        loads_ns = clock() - started
        stack.enter_context(_no_collection())
        for cell in cells:
            if (contest.backend, cell) not in units:
                units[contest.backend, cell] = cut_units([seat[cell] for seat in seats], clock)
        for planned in plan_pairs({cell: units[contest.backend, cell] for cell in cells}, generator):
            began, cell = clock(), planned.cell
            times = {
                names[seat]: time_calls(seats[seat][cell][planned.part], clock, primes=planned.primes)
                for seat in planned.order
            }
            first = names[planned.first] == "candidate"
            pairs.append(Pair(contest.backend, cell, number, times["baseline"], times["candidate"], first, is_control))
            cells_ns[cell] += clock() - began
    return _Match(pairs, loads_ns, cells_ns)


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
