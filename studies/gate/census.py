"""Signs and noise of equal sides: the same artifact twice, and controls."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from parameters import SIGNS_CONFIDENCE

from driftgate.gate.pairs import Pair
from driftgate.gate.sequential import robust_spread
from driftgate.judge.confidence.counted_limits import clopper_pearson

_MEDIAN_VARIANCE = {2: 0.5}
"""Of the median of so many normal values of variance 1; a load has so many pairs."""


def count_signs(pairs: Sequence[Pair], cells: int) -> dict[str, float]:
    """In how many rounds the candidate was slower, with an interval that holds for so many cells together; ties are halved.

    Args:
        pairs: of one cell, of equal sides.
    """
    ratios = [float(np.median([pair.log_ratio for pair in load])) for load in _by_load(pairs)]
    positive = int(np.sum(np.array(ratios) > 0) + np.sum(np.array(ratios) == 0) // 2)
    interval = clopper_pearson(positive, len(ratios), 1 - (1 - SIGNS_CONFIDENCE) / cells)
    return {
        "rounds": len(ratios),
        "positive": positive,
        "low": interval.low,
        "high": interval.high,
        "median": float(np.expm1(np.median(ratios))),
    }


def take_census(pairs: Sequence[Pair]) -> dict[str, float]:
    """Noise of one cell on one backend; all but the share are logs, which are shares as long as they are small.

    Args:
        pairs: of equal sides, in the order they were timed.

    Returns:
        `round`: spread of a round's log ratio, by the median absolute deviation, and `round_sd`, plain; `pair`: spread of a
        log ratio within its loads; `load`: standard deviation of what one load favours its side with; `second`: how much slower
        the turn that came second is, with a standard error by rounds, `second_error`.
    """
    loads = _by_load(pairs)
    rounds = [float(np.median([pair.log_ratio for pair in load])) for load in loads]
    between, within = _variances([np.array([pair.log_ratio for pair in load]) for load in loads])
    second, second_error = _mean_by_round(pairs, [-_lead(pair) for pair in pairs])
    return {
        "round": robust_spread(rounds),
        "round_sd": float(np.std(rounds)),
        "pair": float(np.sqrt(within)),
        "load": float(np.sqrt(between / 2)),
        "second": second,
        "second_error": second_error,
    }


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
