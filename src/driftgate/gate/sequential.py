"""An always-valid test of how much slower a cell is: look after every round, stop when you like, and the error rate still holds.

A round is one fresh load of both sides; its log ratio x is log(candidate time / baseline time). A random draw decides which side
takes which place in a plan that is drawn before (`schedule`). So for equal sides x is as likely as -x given all that went before,
whatever drift, autocorrelation, heavy tails or luck of a load the machine has; and for a candidate that is slower by theta, as
a log ratio, and exchangeable otherwise, theta + y is as likely as theta - y.

That is bet on. Against "slower by m or less" every round multiplies the evidence by 1 + b(x - m), with

    b(z) = LARGEST_BET * tanh(sharpness * z).

b is odd and rises: for any theta up to m the two values that are as likely as each other, theta + y and theta - y, have a mean of
b of 0 at most. So the evidence is a nonnegative supermartingale that starts at 1, and it ever reaches 1 / level with
probability `level` at most (Ville 1939; Ramdas et al., arXiv 2210.01948). The factor is exp(u) / cosh(u) = 1 + tanh(u), the
symmetric bet of de la Pena (1999), kept away from 0, so that no single round loses all.

One bet a round, not one a pair: pairs of one load share its luck (memory placement, threads), and their signs are no
independent coins.
"""

from bisect import bisect_left
from collections.abc import Sequence
from math import ceil, log, log1p
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from driftgate.arrays import FloatArray

MAX_ROUNDS = 1000
"""How far ahead `rounds_needed` looks."""
LARGEST_BET = 0.95
"""Share of the evidence that the worst round costs; the best one gives as much."""
PRIOR_SPREAD, PRIOR_ROUNDS = 0.04, 4
"""What is assumed of a round's spread before there is one, and how many rounds' worth that is."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(31)
_NORMAL = NormalDist()
_NORMAL_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_NORMAL_MEAN_DEVIATION = float(np.sqrt(2 / np.pi))
"""Mean absolute deviation of a normal value of variance 1."""


def log_evidence(excess: ArrayLike, sharpness: ArrayLike) -> FloatArray:
    """Log of the evidence after every round, float64, (rounds,).

    Args:
        excess: of each round's log ratio over the bound that is tested. `sharpness`: of each round's bet; it may depend on the
            rounds before.
    """
    bets = LARGEST_BET * np.tanh(np.asarray(sharpness) * np.asarray(excess, dtype=np.float64))
    return np.asarray(np.cumsum(np.log1p(bets)), dtype=np.float64)


def sharpen(log_ratios: Sequence[float], effect: float) -> FloatArray:
    """The sharpness of every round's bet, each from the rounds before it, float64, (rounds,)."""
    spreads = (expected_spread(log_ratios[:rounds]) for rounds in range(len(log_ratios)))
    return np.array([sharpness_at(spread, effect) for spread in spreads])


def sharpness_at(spread: float, effect: float) -> float:
    """The sharpness of a bet on a round of this spread.

    For normal rounds of standard deviation s around `effect`, evidence grows fastest at effect / s^2. Half of that costs little
    there and less where tails are heavy.

    Args:
        effect: the log ratio that is to be found soon.
    """
    return effect / (2 * spread**2)


def expected_spread(log_ratios: Sequence[float]) -> float:
    """Standard deviation of the next round, from the rounds so far and the prior's, by the mean absolute deviation from the
    median.
    """
    rounds = len(log_ratios)
    values = np.asarray(log_ratios, dtype=np.float64)
    deviations = float(np.abs(values - median(values)).sum()) if rounds else 0.0
    # The median lies closer to its own few values than to others.
    found = deviations / _NORMAL_MEAN_DEVIATION * (np.sqrt(rounds / (rounds - 1)) if rounds > 1 else 1.0)
    return float((PRIOR_ROUNDS * PRIOR_SPREAD + found) / (PRIOR_ROUNDS + rounds))


def confidence_sequence(log_ratios: Sequence[float], level: float, effect: float) -> tuple[float, float]:
    """Lower and upper bound of the log ratio around which rounds are symmetric; they hold at every number of rounds at once, each
    side at `level`: the values that the evidence, for or against, does not refute. Infinite while there are too few rounds.

    Args:
        effect: as of `sharpness_at`.

    Raises:
        ValueError: a log ratio that is not finite.
    """
    values = np.asarray(log_ratios, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"expected finite log ratios, found {list(log_ratios)}")
    if len(values) < fewest_rounds(level):
        return -np.inf, np.inf
    from scipy.optimize import brentq  # slow to import, and every run of pytest imports the rule

    sharpness, needed = sharpen(log_ratios, effect), -np.log(level)
    # So far outside that every bet is all but the largest.
    far = 20 / float(sharpness.min())

    ends = float(values.min()) - far, float(values.max()) + far

    def find_bound(side: int) -> float:
        return float(brentq(lambda bound: log_evidence(side * (values - bound), sharpness)[-1] - needed, *ends))

    return find_bound(1), find_bound(-1)


def fewest_rounds(level: float) -> int:
    """In how many rounds, all of them as favourable as can be, the evidence reaches 1 / `level`."""
    return ceil(-log(level) / log1p(LARGEST_BET))


def growth(excess: float, spread: float, sharpness: float) -> tuple[float, float]:
    """Mean and standard deviation of what one round adds to the log of the evidence.

    Args:
        excess, spread: mean and standard deviation of a round's excess, taken as normal.
    """
    gains = np.log1p(LARGEST_BET * np.tanh(sharpness * (excess + spread * _NODES)))
    mean = float(_NORMAL_WEIGHTS @ gains)
    return mean, float(np.sqrt(_NORMAL_WEIGHTS @ (gains - mean) ** 2))


def rounds_needed(spread: float, excess: float, level: float, power: float, effect: float) -> int | None:
    """How many rounds find that excess with probability `power`; None beyond `MAX_ROUNDS`.

    Args:
        spread: standard deviation of one round's log ratio, taken as normal. `level`: of the test.
        effect: as of `sharpness_at`.
    """
    spread = max(spread, 1e-4)
    mean, deviation = growth(excess, spread, sharpness_at(spread, effect))
    if mean <= 0:
        return None
    # Rounds r with r * mean - quantile * sqrt(r) * deviation = log(1 / level).
    noise = _NORMAL.inv_cdf(power) * deviation
    root = (noise + np.sqrt(noise**2 + 4 * mean * -np.log(level))) / (2 * mean)
    rounds = max(ceil(root**2), fewest_rounds(level))
    return rounds if rounds <= MAX_ROUNDS else None


def detectable_effect(spread: float, rounds: int, level: float, power: float, effect: float) -> float:
    """The smallest excess that so many rounds find with probability `power`; infinite where none is found.

    The other arguments are those of `rounds_needed`.
    """
    sizes = np.geomspace(1e-3, 1, 400).tolist()

    def is_found(excess: float) -> bool:
        needed = rounds_needed(spread, excess, level, power, effect)
        return needed is not None and needed <= rounds

    first = bisect_left(sizes, True, key=is_found)
    return float(sizes[first]) if first < len(sizes) else float("inf")


def robust_spread(log_ratios: Sequence[float]) -> float:
    """Standard deviation by the median absolute deviation: a burst on one round does not count; 0 for a single round."""
    values = np.asarray(log_ratios, dtype=np.float64)
    return float(median(np.abs(values - median(values))) / _NORMAL.inv_cdf(0.75))


def median(values: FloatArray) -> float:
    """NumPy's, which takes longer to look at its arguments than to sort a few dozen values; NaN where one is NaN."""
    ordered = np.sort(values)
    if np.isnan(ordered[-1]):
        return float("nan")
    low, high = (len(ordered) - 1) // 2, len(ordered) // 2
    return float(ordered[low]) if low == high else float((ordered[low] + ordered[high]) / 2)
