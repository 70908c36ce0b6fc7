"""An always-valid sign test: look after every round, stop when you like, and the error rate still holds.

A round is one fresh load of both sides; its log ratio is log(candidate time / baseline time). A coin decides which side takes
which place in a plan that is drawn before (`schedule`), so that where they are equal, the sign of every log ratio is a fair
coin given all that went before, whatever drift, autocorrelation, heavy tails or luck of a load the machine has.

One sign a round, not one a pair: pairs of one load share its luck (memory placement, threads), and their signs are no
independent coins. In simulation, loads that differ by 4% raise the alarms of 20 equal cells to 6% of runs with a sign a
pair, and leave them under 1% with a sign a round.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import betainc, betaln
from scipy.stats import binom, norm

from driftgate.arrays import BoolArray, FloatArray

MAX_ROUNDS = 1000
"""How far ahead `rounds_needed` looks."""


def log_evidence(wins: ArrayLike, rounds: ArrayLike) -> FloatArray:
    """Log of the e-value against "a win has probability 1/2 or less", after `wins` of `rounds`.

    The likelihood ratio of a win probability mixed uniformly over (1/2, 1) to 1/2. Under the hypothesis it is a nonnegative
    supermartingale that starts at 1, so it ever reaches 1 / level with probability `level` at most (Ville 1939; Ramdas et
    al., arXiv 2210.01948).
    """
    s, n = np.asarray(wins, dtype=np.float64), np.asarray(rounds, dtype=np.float64)
    with np.errstate(divide="ignore"):  # no win in thousands of rounds underflows: log 0
        found = (n + 1) * np.log(2) + betaln(s + 1, n - s + 1) + np.log(betainc(n - s + 1, s + 1, 0.5))
    return np.asarray(found, dtype=np.float64)


def wins_needed(rounds: int, level: float) -> int | None:
    """The fewest wins that reach 1 / `level` after `rounds`; None where not even all of them do."""
    enough = np.flatnonzero(log_evidence(np.arange(rounds + 1), np.full(rounds + 1, rounds)) >= -np.log(level))
    return int(enough[0]) if enough.size else None


def fewest_rounds(level: float) -> int:
    """In how many rounds, all of them wins, the evidence reaches 1 / `level`."""
    return next(rounds for rounds in count(1) if wins_needed(rounds, level) is not None)


def has_crossed(wins: BoolArray, level: float) -> BoolArray:
    """Has the evidence of the wins so far reached 1 / `level`? Both bool, (rounds,)."""
    rounds = np.arange(1, len(wins) + 1)
    return np.asarray(log_evidence(np.cumsum(wins), rounds) >= -np.log(level))


@dataclass(frozen=True, slots=True)
class LogInterval:
    """Bounds of a median log ratio, infinite while there are too few rounds to have any."""

    low: float
    high: float


def confidence_sequence(log_ratios: Sequence[float], level: float) -> LogInterval:
    """Bounds of the median log ratio that hold at every number of rounds at once, each side at `level`.

    The values that the sign test does not reject: of the sorted log ratios, the k-th from either end, where k is
    `wins_needed`.

    Raises:
        ValueError: a log ratio that is not finite.
    """
    values = np.sort(np.asarray(log_ratios, dtype=np.float64))
    if not np.isfinite(values).all():
        raise ValueError(f"expected finite log ratios, found {list(log_ratios)}")
    needed = wins_needed(len(values), level)
    if needed is None:
        return LogInterval(-np.inf, np.inf)
    return LogInterval(float(values[len(values) - needed]), float(values[needed - 1]))


def detectable_effect(spread: float, rounds: int, level: float, power: float) -> float:
    """The smallest log ratio that so many rounds find with probability `power`; infinite where none is found.

    Args:
        spread: standard deviation of one round's log ratio, taken as normal. `level`: of the test.
    """
    needed = wins_needed(rounds, level)
    if needed is None:
        return float("inf")
    shares = np.linspace(0.5, 1.0, 2001)[:-1]
    enough = np.flatnonzero(binom.sf(needed - 1, rounds, shares) >= power)
    return float(spread * norm.ppf(shares[enough[0]])) if enough.size else float("inf")


def rounds_needed(spread: float, effect: float, level: float, power: float) -> int | None:
    """How many rounds find a log ratio of `effect` with probability `power`; None beyond `MAX_ROUNDS`.

    The other arguments are those of `detectable_effect`.
    """
    if not detectable_effect(spread, MAX_ROUNDS, level, power) <= effect:
        return None
    # Falling but for steps of a round or two: wins are whole numbers.
    return 1 + bisect_left(
        range(1, MAX_ROUNDS), -effect, key=lambda rounds: -detectable_effect(spread, rounds, level, power)
    )


def robust_spread(log_ratios: Sequence[float]) -> float:
    """Standard deviation by the median absolute deviation: a burst on one round does not count; 0 for a single round."""
    values = np.asarray(log_ratios, dtype=np.float64)
    return float(np.median(np.abs(values - np.median(values))) / norm.ppf(0.75))
