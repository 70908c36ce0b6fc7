"""Is a cell slower than its baseline? Verdicts on paired log ratios, corrected over cells, with a control that can void them.

The promise is a detection guarantee, not a threshold: a slowdown of `detect` is found with probability 1 - `beta` at least
where the cell is decided at all; no slowdown is called one with probability `alpha` at most, over all cells of the run
together. Between half of `detect` and `detect` either verdict can come.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from driftgate.arrays import BoolArray, FloatArray
from driftgate.judge.sequential import (
    confidence_sequence,
    detectable_effect,
    has_crossed,
    robust_spread,
    rounds_needed,
    wins_needed,
)

CONTROL_ALPHA = 0.01
"""How often a faultless run is called contaminated, over all its controls together."""


class Verdict(StrEnum):
    """What the gate says of a cell."""

    PASS = "PASS"  # noqa: S105
    """Timed beside its baseline: a slowdown of `detect` is ruled out."""
    REGRESSION = "REGRESSION"
    """Slower than its baseline, by half of `detect` or more."""
    NOT_MEASURABLE = "NOT MEASURABLE"
    """Undecided when the time was up, or timed on a machine that cannot tell a backend from itself."""
    NEW = "NEW"
    """No baseline to compare with."""
    IDENTICAL = "IDENTICAL"
    """The same bytes under the same software: not timed."""
    VANISHED = "VANISHED"
    """In the baseline, but not in this run."""


COMPARED = frozenset({Verdict.PASS, Verdict.REGRESSION, Verdict.NOT_MEASURABLE, Verdict.IDENTICAL})


@dataclass(frozen=True, slots=True)
class SpeedRule:
    """What the gate promises.

    Args:
        detect: relative slowdown that has to be found, 0.1 for 10%.
        alpha: false alarms, a run. `beta`: slowdowns of `detect` called a pass, a cell.

    Raises:
        ValueError: `detect` is not positive and finite, or an error rate not between 0 and a half.
    """

    detect: float = 0.10
    alpha: float = 0.01
    beta: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.detect < np.inf:
            raise ValueError(f"detect {self.detect}: expected a positive share, such as 0.1")
        for name in ("alpha", "beta"):
            if not 0 < getattr(self, name) < 0.5:
                raise ValueError(f"{name} {getattr(self, name)}: expected a share between 0 and 0.5, such as 0.01")

    @property
    def log_detect(self) -> float:
        return float(np.log1p(self.detect))

    @property
    def least_effect(self) -> float:
        """Half of `detect`, as a log ratio: what is called a regression has to be at least that large."""
        return self.log_detect / 2

    @property
    def least_rounds(self) -> int:
        """No cell can pass in fewer rounds."""
        return next(rounds for rounds in range(1, 10_000) if wins_needed(rounds, self.beta) is not None)


@dataclass(frozen=True, slots=True, eq=False)
class TimedBackend:
    """Log ratios of candidate to baseline time, one a round.

    Args:
        cells: by cell id. A decided cell is no longer timed, so that its list is shorter than others.
        control: of the baseline against a second load of itself.
    """

    cells: Mapping[str, Sequence[float]]
    control: Sequence[float]


@dataclass(frozen=True, slots=True)
class CellVerdict:
    """The verdict on one cell. Slowdowns are relative: 0.1 is 10% slower, negative is faster.

    Args:
        slowdown: the median over rounds. `low`, `high`: its confidence sequence, each side at beta. None where not timed.
        rounds: fresh loads of both sides. `rounds_needed`: for a cell left undecided, an estimate of how many decide it.
        detectable: slowdown that so many rounds of such spread would have called a regression, with power 1 - beta; None
            where there is none.
    """

    cell: str
    backend: str
    verdict: Verdict
    reason: str = ""
    slowdown: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 0
    rounds_needed: int | None = None
    detectable: float | None = None


def judge_cells(timed: Mapping[str, TimedBackend], rule: SpeedRule) -> dict[str, CellVerdict]:
    """A verdict on every cell, by cell id; undecided cells are NOT MEASURABLE.

    `alpha` is split in halves: one over backends, each tested first by the median of its cells in every round, and one over
    cells. A change usually slows a whole backend, and the median over its cells needs fewer rounds to show it. Where the
    backend's test rejects, its cells whose own estimate reaches half of `detect` are called a regression.

    A verdict is that of the first round at which one was reached: timing a cell further does not change it.
    """
    level, backend_level = _levels(timed, rule)
    verdicts = {}
    for name, backend in timed.items():
        contamination = _contamination(backend.control, rule, CONTROL_ALPHA / 2 / len(timed))
        for cell, (verdict, rounds) in _decide_cells(backend.cells, rule, level, backend_level).items():
            ratios = backend.cells[cell][:rounds]
            verdicts[cell] = _describe(cell, name, verdict, ratios, rule, level, contamination)
    return verdicts


def undecided(timed: Mapping[str, TimedBackend], rule: SpeedRule) -> set[str]:
    """Cells that more rounds may still decide, whatever the control says."""
    return {
        cell
        for backend in timed.values()
        for cell, (verdict, _) in _decide_cells(backend.cells, rule, *_levels(timed, rule)).items()
        if verdict is Verdict.NOT_MEASURABLE
    }


def exit_code(verdicts: Iterable[Verdict], *, not_measurable: int = 7) -> int:
    """0: every compared cell passed, and there was one. 1: a regression, a vanished cell, or nothing was compared. Else 7."""
    found = set(verdicts)
    if found & {Verdict.REGRESSION, Verdict.VANISHED} or not found & COMPARED:
        return 1
    return not_measurable if Verdict.NOT_MEASURABLE in found else 0


_Decision = tuple[Verdict, int]


def _levels(timed: Mapping[str, TimedBackend], rule: SpeedRule) -> tuple[float, float]:
    """Of the test of a cell, and of a backend."""
    backends = sum(len(backend.cells) > 1 for backend in timed.values())
    cells = sum(len(backend.cells) for backend in timed.values())
    return rule.alpha / (2 if backends else 1) / max(cells, 1), rule.alpha / 2 / max(backends, 1)


def _decide_cells(
    cells: Mapping[str, Sequence[float]], rule: SpeedRule, level: float, backend_level: float
) -> dict[str, _Decision]:
    """The first verdict that each of a backend's cells reaches, and after how many rounds."""
    decided = {cell: _decide(ratios, rule, level) for cell, ratios in cells.items()}
    return decided | (_decide_backend(cells, decided, rule, backend_level) if len(cells) > 1 else {})


def _decide(ratios: Sequence[float], rule: SpeedRule, level: float) -> _Decision:
    """The first verdict the cell's own rounds reach, and after how many."""
    values = np.asarray(ratios, dtype=np.float64)
    slower = has_crossed(values > 0, level) & _medians_reach(values, rule.least_effect)
    fast_enough = has_crossed(values < rule.log_detect, rule.beta)
    after = {Verdict.REGRESSION: _first(slower), Verdict.PASS: _first(fast_enough)}
    reached = {verdict: rounds for verdict, rounds in after.items() if rounds}
    if not reached or not np.isfinite(values).all():
        return Verdict.NOT_MEASURABLE, len(values)
    verdict = min(reached, key=reached.__getitem__)
    return verdict, reached[verdict]


def _decide_backend(
    cells: Mapping[str, Sequence[float]], decided: Mapping[str, _Decision], rule: SpeedRule, level: float
) -> dict[str, _Decision]:
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
    rounds = _first(has_crossed(medians > 0, level) & _medians_reach(medians, rule.least_effect))
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


def _contamination(control: Sequence[float], rule: SpeedRule, level: float) -> str:
    """Why the control voids its backend's verdicts, or "". Only the control is asked: never the cells themselves."""
    if not control:
        return ""
    if not np.isfinite(control).all():
        return "the A/A control has a time that is not positive and finite"
    bounds = confidence_sequence(control, level)
    estimate = float(np.median(control))
    if not bounds.low <= 0 <= bounds.high:
        return f"the baseline beside itself is {np.expm1(estimate):+.1%} slower: something favours one side"
    if len(control) >= rule.least_rounds and not abs(estimate) < rule.least_effect:
        return (
            f"the baseline beside itself differs by {np.expm1(estimate):+.1%}, half of what is to be detected or more"
        )
    return ""


def _describe(
    cell: str,
    backend: str,
    verdict: Verdict,
    ratios: Sequence[float],
    rule: SpeedRule,
    level: float,
    contamination: str,
) -> CellVerdict:
    if not len(ratios) or not np.isfinite(ratios).all():
        what = "a time is not positive and finite" if len(ratios) else "no round was timed"
        return CellVerdict(cell, backend, Verdict.NOT_MEASURABLE, what, rounds=len(ratios))
    bounds, spread = confidence_sequence(ratios, rule.beta), robust_spread(ratios)
    detectable = float(np.expm1(detectable_effect(spread, len(ratios), level, 1 - rule.beta)))
    needed = None
    if contamination:
        verdict, reason = Verdict.NOT_MEASURABLE, contamination
    elif verdict is Verdict.NOT_MEASURABLE:
        needed = rounds_needed(spread, rule.log_detect, level, 1 - rule.beta)
        reason = f"undecided after {len(ratios)} rounds"
    else:
        reason = ""
    return CellVerdict(
        cell,
        backend,
        verdict,
        reason,
        slowdown=float(np.expm1(np.median(ratios))),
        low=_finite(np.expm1(bounds.low), -1.0),
        high=_finite(np.expm1(bounds.high), np.inf),
        rounds=len(ratios),
        rounds_needed=needed,
        detectable=_finite(detectable, np.inf),
    )


def _finite(value: float, missing: float) -> float | None:
    """None for a bound there is none of."""
    return None if value == missing else float(value)
