"""Is a cell slower than its baseline? Verdicts on paired log ratios, corrected over cells, with a control that can void them.

The promise is a detection guarantee, not a threshold: a slowdown of `detect` is found with probability 1 - `beta` at least
where the cell is decided at all; one of `tolerance` or less is called a regression with probability `alpha` at most, over all
cells of the run together. Between `tolerance` and `detect` either verdict can come; a regression is estimated at half of
`detect` or more.

For equal artifacts that rests on nothing but exchangeable sides. For a slowdown it needs an assumption besides: that it
multiplies the times of a pair that is exchangeable otherwise, so that dividing them by it leaves sides as likely as each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from driftgate.gate.decisions import Decision, Referee, Round
from driftgate.gate.rule import SpeedRule, Verdict
from driftgate.gate.sequential import confidence_sequence, detectable_effect, robust_spread, rounds_needed

CONTROL_ALPHA = 0.01
"""At which a control differs from itself beyond doubt, over all controls of a run together."""


@dataclass(frozen=True, slots=True, eq=False)
class TimedRun:
    """What was timed, as log ratios of candidate to baseline time.

    Args:
        backends: of every cell, by cell id. `rounds`: in the order they were timed.
        controls: of two loads of the baseline, one a round, by backend.
    """

    backends: Mapping[str, str]
    rounds: Sequence[Round]
    controls: Mapping[str, Sequence[float]]

    def ratios_of(self, cell: str) -> list[float]:
        """Of the rounds in which it was timed."""
        return [ratios[cell] for ratios in self.rounds if cell in ratios]


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


def judge_cells(timed: TimedRun, rule: SpeedRule) -> dict[str, CellVerdict]:
    """A verdict on every cell, by cell id; undecided cells are NOT MEASURABLE."""
    referee = Referee(list(timed.backends), rule)
    for ratios in timed.rounds:
        referee.add(ratios)
    names = dict.fromkeys(timed.backends.values())
    level = CONTROL_ALPHA / 2 / max(len(names), 1)
    contaminations = {name: _contamination(timed.controls.get(name, ()), rule, level) for name in names}
    return {
        cell: _describe(cell, timed, decision, rule, contaminations[timed.backends[cell]])
        for cell, decision in referee.decisions.items()
    }


def _contamination(control: Sequence[float], rule: SpeedRule, level: float) -> str:
    """Why the control voids its backend's verdicts, or "". Only the control is asked: never the cells themselves.

    A large estimate alone says nothing: medians of a few noisy rounds are large by chance, which voided a sixth of faultless
    runs in simulation (rounds that vary by 7%). Noise is what the cells' own tests are for.
    """
    if not control:
        return ""
    if not np.isfinite(control).all():
        return "the A/A control has a time that is not positive and finite"
    estimate = float(np.median(control))
    # Certain beyond doubt whatever its size; or as large as a regression, and as certain as a pass.
    for certainty, size in ((level, 0.0), (rule.beta, rule.least_effect)):
        low, high = confidence_sequence(control, certainty, rule.log_detect)
        if not low <= 0 <= high and not abs(estimate) < size:
            return f"A/A control failed: biased by {np.expm1(estimate):+.1%}, so something favours one side"
    return ""


def _describe(cell: str, timed: TimedRun, decision: Decision, rule: SpeedRule, contamination: str) -> CellVerdict:
    backend, verdict = timed.backends[cell], decision.verdict
    ratios = timed.ratios_of(cell)[: decision.rounds]
    if not ratios or not np.isfinite(ratios).all():
        what = "a time is not positive and finite" if ratios else "no round was timed"
        return CellVerdict(cell, backend, Verdict.NOT_MEASURABLE, what, rounds=len(ratios))
    # Of the cell by itself: others that are slower too make it easier.
    level, power, effect = rule.alpha / len(timed.backends), 1 - rule.beta, rule.log_detect
    (low, high), spread = confidence_sequence(ratios, rule.beta, effect), robust_spread(ratios)
    beyond = detectable_effect(spread, len(ratios), level, power, effect)
    reason, needed = contamination, None
    if contamination:
        verdict = Verdict.NOT_MEASURABLE
    elif verdict is Verdict.NOT_MEASURABLE:
        needed = rounds_needed(spread, rule.log_detect - rule.log_tolerance, level, power, effect)
        reason = f"undecided after {len(ratios)} round{'s' * (len(ratios) > 1)}"
    return CellVerdict(
        cell,
        backend,
        verdict,
        reason,
        slowdown=float(np.expm1(np.median(ratios))),
        low=_finite(np.expm1(low), -1.0),
        high=_finite(np.expm1(high), np.inf),
        rounds=len(ratios),
        rounds_needed=needed,
        detectable=_finite(np.expm1(rule.log_tolerance + beyond), np.inf),
    )


def _finite(value: float, missing: float) -> float | None:
    """None for a bound there is none of."""
    return None if value == missing else float(value)
