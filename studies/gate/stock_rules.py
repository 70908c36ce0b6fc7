"""What other gates say of two samples of times: pytest-benchmark's thresholds, a t-test, asv's rule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from recording import blocks_of_rounds
from scipy.stats import mannwhitneyu, ttest_ind

from driftgate.arrays import FloatArray
from driftgate.gate.pairs import Pair

Score = Callable[[FloatArray, FloatArray], float]
"""Of baseline and candidate times, float64, (times,); larger is slower."""
ASV_LEVEL = 0.002
"""asv's `_stats.is_different`: two-sided Mann-Whitney U on raw times; `asv continuous` asks for a factor of 1.1 besides."""


@dataclass(frozen=True)
class StockRule:
    """A cell fails where its score is over the threshold; a run, where a cell does."""

    score: Score
    threshold: float


def _relative(statistic: Callable[[FloatArray], float]) -> Score:
    return lambda baseline, candidate: float(statistic(candidate) / statistic(baseline) - 1)


def welch_score(baseline: FloatArray, candidate: FloatArray) -> float:
    """1 - p of Welch's two-sided t-test, negative where the candidate is faster; pyperf asks for 0.95 of Student's."""
    found = ttest_ind(candidate, baseline, equal_var=False)
    return float(np.copysign(1 - found.pvalue, found.statistic))


def asv_score(baseline: FloatArray, candidate: FloatArray) -> float:
    """How much slower the median is; minus infinity where the samples do not differ for asv."""
    if not mannwhitneyu(candidate, baseline, alternative="two-sided").pvalue < ASV_LEVEL:
        return -np.inf
    return float(np.median(candidate) / np.median(baseline) - 1)


STOCK_RULES = {
    "mean:5%": StockRule(_relative(np.mean), 0.05),
    "min:5%": StockRule(_relative(np.min), 0.05),
    "median:5%": StockRule(_relative(np.median), 0.05),
    "mean:10%": StockRule(_relative(np.mean), 0.10),
    "Welch t-test, 1%": StockRule(welch_score, 0.99),
    "asv": StockRule(asv_score, 0.10),
}


def score_runs(pairs: Sequence[Pair], rule: StockRule, rounds: int, *, stored: bool) -> list[float]:
    """The score of the worst cell, of every run of so many rounds of one contest.

    Args:
        stored: baseline times are those of the block of rounds before, as a saved file's would be, only fresher; otherwise
            those taken beside the candidate's.
    """
    blocks = [_samples(block) for block in blocks_of_rounds(pairs, rounds)]
    beside = list(zip(blocks, blocks, strict=True))
    chosen = list(pairwise(blocks)) if stored else beside
    return [max(rule.score(then[cell][0], now[cell][1]) for cell in now) for then, now in chosen]


def _samples(block: Sequence[Pair]) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Baseline and candidate times in nanoseconds, by cell."""
    times: dict[str, tuple[list[int], list[int]]] = {}
    for pair in block:
        if not pair.is_control:
            baseline, candidate = times.setdefault(pair.cell, ([], []))
            baseline.append(pair.baseline_ns)
            candidate.append(pair.candidate_ns)
    return {
        cell: (np.asarray(baseline, dtype=np.float64), np.asarray(candidate, dtype=np.float64))
        for cell, (baseline, candidate) in times.items()
    }
