"""The first verdict that each cell of a backend reaches, from its log ratios round by round."""

from collections.abc import Mapping, Sequence

import numpy as np

from driftgate.arrays import BoolArray, FloatArray
from driftgate.gate.rule import SpeedRule, Verdict
from driftgate.gate.sequential import fewest_rounds, has_crossed

Decision = tuple[Verdict, int]
"""A verdict, and after how many rounds it was reached; NOT MEASURABLE after all there are."""


def split_alpha(cells_by_backend: Sequence[int], rule: SpeedRule) -> tuple[float, float]:
    """Levels of the test of a cell, and of a backend, from the number of cells of each backend of the run."""
    backends = sum(cells > 1 for cells in cells_by_backend)
    cells = sum(cells_by_backend)
    return rule.alpha / (2 if backends else 1) / max(cells, 1), rule.alpha / 2 / max(backends, 1)


def regression_rounds(cells_by_backend: Sequence[int], rule: SpeedRule) -> int:
    """In how few rounds a slowdown can be called a regression, in a run of so many cells of each backend."""
    return fewest_rounds(max(split_alpha(cells_by_backend, rule)))


def decide_cells(
    cells: Mapping[str, Sequence[float]], rule: SpeedRule, level: float, backend_level: float
) -> dict[str, Decision]:
    """The first verdict that each of a backend's cells reaches, and after how many rounds."""
    decided = {cell: _decide(ratios, rule, level) for cell, ratios in cells.items()}
    return decided | (_decide_backend(cells, decided, rule, backend_level) if len(cells) > 1 else {})


def _decide(ratios: Sequence[float], rule: SpeedRule, level: float) -> Decision:
    """The first verdict the cell's own rounds reach, and after how many."""
    values = np.asarray(ratios, dtype=np.float64)
    slower = has_crossed(values > rule.log_tolerance, level) & _medians_reach(values, rule.least_effect)
    fast_enough = has_crossed(values < rule.log_detect, rule.beta)
    after = {Verdict.REGRESSION: _first(slower), Verdict.PASS: _first(fast_enough)}
    reached = {verdict: rounds for verdict, rounds in after.items() if rounds}
    if not reached or not np.isfinite(values).all():
        return Verdict.NOT_MEASURABLE, len(values)
    verdict = min(reached, key=reached.__getitem__)
    return verdict, reached[verdict]


def _decide_backend(
    cells: Mapping[str, Sequence[float]], decided: Mapping[str, Decision], rule: SpeedRule, level: float
) -> dict[str, Decision]:
    """Regressions that the median over the backend's cells shows before the cells' own rounds do."""
    last = max(rounds for _, rounds in decided.values())
    medians = np.array(
        [
            np.median([cells[cell][index] for cell, (_, rounds) in decided.items() if index < rounds])
            for index in range(last)
        ]
    )
    if not np.isfinite(medians).all():
        return {}
    rounds = _first(has_crossed(medians > rule.log_tolerance, level) & _medians_reach(medians, rule.least_effect))
    if not rounds:
        return {}
    return {
        cell: (Verdict.REGRESSION, rounds)
        for cell, (verdict, after) in decided.items()
        if (after > rounds or (after == rounds and verdict is not Verdict.PASS))
        and np.median(cells[cell][:rounds]) >= rule.least_effect
    }


def _medians_reach(values: FloatArray, least: float) -> BoolArray:
    """For each round: is the median of the log ratios so far `least` or more?"""
    return np.array([np.median(values[:rounds]) >= least for rounds in range(1, len(values) + 1)], dtype=np.bool_)


def _first(reached: BoolArray) -> int:
    """The first round, counted from 1, that is true; 0 where none is."""
    return int(np.argmax(reached)) + 1 if reached.any() else 0
