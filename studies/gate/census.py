"""What the noise is made of: pairs of equal sides, which are the same artifact twice, and all controls."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from driftgate.gate.pairs import Pair
from driftgate.gate.sequential import robust_spread

_MEDIAN_VARIANCE = {2: 0.5, 4: 0.298}
"""Of the median of so many normal values of variance 1; a load has so many pairs."""


def take_census(pairs: Sequence[Pair], same: Sequence[str]) -> dict[str, float]:
    """Of one cell's size on one backend; all but counts are logs, which are shares as long as they are small.

    Args:
        pairs: of one backend, in the order they were timed, all of the same work. `same`: contests whose candidate is the
            baseline's artifact.

    Returns:
        `call`: spread of one turn's time, by the median absolute deviation, and `call_sd`, plain; `within_pair`: correlation
        of both times of a pair; `pair`: spread of a log ratio within its loads; `load`: standard deviation of what one load
        favours its side with, and `load_share`, of the variance between loads in that of one log ratio; `second`: how much
        slower the turn that came second is, with a standard error by rounds, `second_error`.
    """
    equal = [pair for pair in pairs if pair.is_control or pair.backend in same]
    times = np.log([[pair.baseline_ns, pair.candidate_ns] for pair in equal])
    loads = _by_load(equal)
    between, within = _variances([np.array([pair.log_ratio for pair in load]) for load in loads])
    second, second_error = _mean_by_round(equal, [-_lead(pair) for pair in equal])
    return {
        "pairs": len(equal),
        "loads": len(loads),
        "call": robust_spread(times.ravel().tolist()),
        "call_sd": float(np.std(times)),
        "within_pair": float(np.corrcoef(times.T)[0, 1]),
        "pair": float(np.sqrt(within)),
        "load": float(np.sqrt(between / 2)),
        "load_share": between / (between + within) if between + within else 0.0,
        "second": second,
        "second_error": second_error,
    }


def take_carry_over(pairs: Sequence[Pair], same: Sequence[str]) -> dict[str, float]:
    """How much slower a pair's first turn is, beside its second, where another session's turn came right before it than where
    one of its own did. What is left of it after the untimed turn that goes before each.

    Args:
        pairs: of one backend, all cells, in the order they were timed; `same` as in `take_census`.

    Returns:
        `after_another`, as a log, and `after_another_error`, its standard error; NaN where there are too few.
    """
    leads: dict[bool, list[float]] = {False: [], True: []}
    for then, now in pairwise(pairs):
        is_next = (then.backend, then.round, then.is_control) == (now.backend, now.round, now.is_control)
        if is_next and (now.is_control or now.backend in same):
            leads[_sides(then)[-1] != _sides(now)[0]].append(_lead(now))
    if min(map(len, leads.values())) < 2:
        return {"after_another": float("nan"), "after_another_error": float("nan")}
    variances = [float(np.var(found, ddof=1)) / len(found) for found in leads.values()]
    difference = float(np.mean(leads[True]) - np.mean(leads[False]))
    return {"after_another": difference, "after_another_error": float(np.sqrt(sum(variances)))}


def _sides(pair: Pair) -> list[str]:
    """In the order of their turns."""
    sides = ["candidate", "baseline"]
    return sides if pair.candidate_first else sides[::-1]


def _lead(pair: Pair) -> float:
    """log(first turn's time / second's)."""
    return pair.log_ratio if pair.candidate_first else -pair.log_ratio


def _by_load(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Pairs of the same two sessions."""
    loads: defaultdict[tuple[str, int, bool], list[Pair]] = defaultdict(list)
    for pair in pairs:
        loads[pair.backend, pair.round, pair.is_control].append(pair)
    return list(loads.values())


def _variances(groups: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Variance between groups of equal size beyond chance, and within, neither moved by bursts; 0 where it would be negative."""
    size = max(len(group) for group in groups)
    table = np.array([group for group in groups if len(group) == size])
    if size not in _MEDIAN_VARIANCE or len(table) < 2:
        return 0.0, 0.0
    # Neighbours' differences: residuals from a median of four are smaller than the noise.
    within = robust_spread(np.diff(table, axis=1).ravel().tolist()) ** 2 / 2
    chance = _MEDIAN_VARIANCE[size] * within
    return max(0.0, robust_spread(np.median(table, axis=1).tolist()) ** 2 - chance), within


def _mean_by_round(pairs: Sequence[Pair], values: Sequence[float]) -> tuple[float, float]:
    """The mean of rounds' means, and its standard error."""
    rounds: defaultdict[int, list[float]] = defaultdict(list)
    for pair, value in zip(pairs, values, strict=True):
        rounds[pair.round].append(value)
    means = [float(np.mean(own)) for own in rounds.values()]
    error = float(np.std(means, ddof=1) / np.sqrt(len(means))) if len(means) > 1 else float("nan")
    return float(np.mean(means)), error
