"""The first verdict that each cell of a run reaches, round by round.

Evidence that a cell is slower than the tolerance is held against that of all cells of the run: cells are called a regression by
closed testing with means of evidence (Vovk and Wang 2021, arXiv 1912.06116), which holds whatever cells share. A change that
slows many cells is so found in fewer rounds than one that slows a single cell of twenty.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from driftgate.arrays import FloatArray
from driftgate.gate.rule import SpeedRule, Verdict
from driftgate.gate.sequential import expected_spread, growth, log_evidence, median, sharpness_at

Round = Mapping[str, float]
"""Log ratios of one round, by the ids of the cells that were timed in it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, and after how many rounds of the cell it was reached; NOT MEASURABLE after all there are."""

    verdict: Verdict
    rounds: int


@dataclass(slots=True)
class _Series:
    """One cell's log ratios, and the logs of the evidence that it is slower than the tolerance, and that it is faster than what
    has to be detected.
    """

    ratios: list[float] = field(default_factory=list)
    log_slower: float = 0.0
    log_faster: float = 0.0


class Referee:
    """Takes rounds as they come, and says what each cell has reached. A verdict stays: later rounds do not change it."""

    def __init__(self, cells: Sequence[str], rule: SpeedRule) -> None:
        self._rule = rule
        self._series = {cell: _Series() for cell in cells}
        self._decided: dict[str, Decision] = {}

    def add(self, ratios: Round) -> None:
        """Judge one more round. A log ratio that is not finite ends its cell as NOT MEASURABLE."""
        for cell, ratio in ratios.items():
            if cell not in self._decided:
                self._add(cell, ratio)
        adjusted = self._adjusted()
        for cell, series in self._series.items():
            if cell in self._decided or not series.ratios:
                continue
            slower = adjusted[cell] >= -np.log(self._rule.alpha)
            if slower and median(np.asarray(series.ratios)) >= self._rule.least_effect:
                self._decided[cell] = Decision(Verdict.REGRESSION, len(series.ratios))
            elif series.log_faster >= -np.log(self._rule.beta):
                self._decided[cell] = Decision(Verdict.PASS, len(series.ratios))

    def _add(self, cell: str, ratio: float) -> None:
        series, rule = self._series[cell], self._rule
        sharpness = [sharpness_at(expected_spread(series.ratios), rule.log_detect)]
        series.ratios.append(ratio)
        if not np.isfinite(ratio):
            self._decided[cell] = Decision(Verdict.NOT_MEASURABLE, len(series.ratios))
            return
        series.log_slower += float(log_evidence([ratio - rule.log_tolerance], sharpness)[0])
        series.log_faster += float(log_evidence([rule.log_detect - ratio], sharpness)[0])

    def _adjusted(self) -> dict[str, float]:
        logs = adjust_log_evidence([series.log_slower for series in self._series.values()])
        return dict(zip(self._series, logs.tolist(), strict=True))

    @property
    def decisions(self) -> dict[str, Decision]:
        """Of every cell."""
        return {
            cell: self._decided.get(cell, Decision(Verdict.NOT_MEASURABLE, len(series.ratios)))
            for cell, series in self._series.items()
        }

    def rounds_left(self) -> dict[str, float]:
        """For every cell that is not decided, how many more rounds are expected to decide it, at least 1; infinite where its
        rounds so far speak for neither verdict.
        """
        adjusted = self._adjusted()
        return {
            cell: self._expect(series, adjusted[cell])
            for cell, series in self._series.items()
            if cell not in self._decided
        }

    def _expect(self, series: _Series, log_adjusted: float) -> float:
        rule, ratios = self._rule, series.ratios
        middle = median(np.asarray(ratios)) if ratios else 0.0
        spread = expected_spread(ratios)
        sharpness = sharpness_at(spread, rule.log_detect)
        ways = (
            (rule.log_detect - middle, -np.log(rule.beta) - series.log_faster),
            (middle - rule.log_tolerance, -np.log(rule.alpha) - log_adjusted),
        )
        expected = [
            left / gain if (gain := growth(excess, spread, sharpness)[0]) > 0 else np.inf for excess, left in ways
        ]
        return max(1.0, min(expected))


def adjust_log_evidence(logs: ArrayLike) -> FloatArray:
    """Of every hypothesis, the log of the least mean of its evidence and that of any others: what closed testing rejects by.

    Args:
        logs: of the evidence against each hypothesis, (hypotheses,). The result has the same shape, float64.
    """
    values = np.asarray(logs, dtype=np.float64)
    shift = float(values.max())
    evidence = np.exp(values - shift)
    rising = np.sort(evidence)
    own_places, places = np.searchsorted(rising, evidence), np.arange(len(rising) - 1)
    others = rising[places + (places >= own_places[:, None])]  # (hypotheses, hypotheses - 1): all but its own, rising
    sums = evidence[:, None] + np.concatenate([np.zeros((len(rising), 1)), np.cumsum(others, axis=1)], axis=1)
    adjusted = (sums / np.arange(1, len(rising) + 1)).min(axis=1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(adjusted) + shift, dtype=np.float64)
