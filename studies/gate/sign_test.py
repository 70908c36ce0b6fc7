"""The rule that came before, to compare with: signs of rounds, and levels split between backends and cells."""

import numpy as np
from numpy.typing import ArrayLike
from recording import TimedRun
from scipy.special import betainc, betaln

from driftgate.arrays import FloatArray
from driftgate.gate.rule import SpeedRule, Verdict


def log_evidence(wins: ArrayLike, rounds: ArrayLike) -> FloatArray:
    """Log of the likelihood ratio of a win probability mixed uniformly over (1/2, 1) to 1/2."""
    s, n = np.asarray(wins, dtype=np.float64), np.asarray(rounds, dtype=np.float64)
    with np.errstate(divide="ignore"):  # no win in thousands of rounds underflows: log 0
        found = (n + 1) * np.log(2) + betaln(s + 1, n - s + 1) + np.log(betainc(n - s + 1, s + 1, 0.5))
    return np.asarray(found, dtype=np.float64)


def decide(timed: TimedRun, rule: SpeedRule) -> dict[str, tuple[Verdict, int]]:
    """Of each cell of one backend, the first verdict and after how many rounds; NOT MEASURABLE after all there are.

    Half of alpha is split over cells; the other half tests the median over cells, and then each cell by its own estimate.
    """
    level = rule.alpha / 2 / len(timed.backends)
    ratios = {cell: np.array(timed.ratios_of(cell)) for cell in timed.backends}
    found = {cell: _decide(own, rule, level) for cell, own in ratios.items()}
    medians = np.median(list(ratios.values()), axis=0)
    after = _first(_crossed(medians > rule.log_tolerance, rule.alpha / 2) & _reach(medians, rule.least_effect))
    for cell, (verdict, rounds) in found.items():
        late = rounds > after or (rounds == after and verdict is not Verdict.PASS)
        if after and late and np.median(ratios[cell][:after]) >= rule.least_effect:
            found[cell] = (Verdict.REGRESSION, after)
    return found


def _decide(values: FloatArray, rule: SpeedRule, level: float) -> tuple[Verdict, int]:
    slower = _first(_crossed(values > rule.log_tolerance, level) & _reach(values, rule.least_effect))
    faster = _first(_crossed(values < rule.log_detect, rule.beta))
    if slower and (not faster or slower <= faster):
        return Verdict.REGRESSION, slower
    return (Verdict.PASS, faster) if faster else (Verdict.NOT_MEASURABLE, len(values))


def _crossed(wins: ArrayLike, level: float) -> ArrayLike:
    won = np.asarray(wins)
    return log_evidence(np.cumsum(won), np.arange(1, len(won) + 1)) >= -np.log(level)


def _reach(values: FloatArray, least: float) -> ArrayLike:
    """For each round: is the median so far `least` or more?"""
    return np.array([np.median(values[:rounds]) >= least for rounds in range(1, len(values) + 1)], dtype=np.bool_)


def _first(reached: ArrayLike) -> int:
    """The first round, counted from 1, that is true; 0 where none is."""
    found = np.asarray(reached)
    return int(np.argmax(found)) + 1 if found.any() else 0
