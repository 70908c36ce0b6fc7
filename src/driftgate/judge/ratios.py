"""Is a cell slower relative to its anchor than it was? Log ratios of blocks of two runs, each beside the anchor.

What slows anchor and cell alike cancels within a block. What differs between the runs otherwise does not, and blocks of one
run cannot show it: a verdict here is worth less than one on paired times, and none is given across machines.
"""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from driftgate.judge.speed_rule import SpeedRule, Verdict
from driftgate.judge.verdicts import CellVerdict


def judge_ratio(
    cell: str,
    backend: str,
    then: Sequence[float],
    now: Sequence[float],
    rule: SpeedRule,
    *,
    cells: int,
    elsewhere: bool,
) -> CellVerdict:
    """Welch's test at `alpha` / `cells`, where its minimum detectable effect is `detect` at most; else NOT MEASURABLE.

    Such an effect leaves nothing undecided: what the test does not call slower has its upper bound below `detect`.

    Args:
        then, now: log(anchor's seconds / own seconds), one a block.
        cells: judged in this run. `elsewhere`: `then` is of another machine, so that this is advice.
    """
    before, after = np.asarray(then, dtype=np.float64), np.asarray(now, dtype=np.float64)
    if min(len(before), len(after)) < 3 or not (np.isfinite(before).all() and np.isfinite(after).all()):
        reason = f"expected 3 finite ratios or more on both sides, found {len(before)} then and {len(after)} now"
        return CellVerdict(cell, backend, Verdict.NOT_MEASURABLE, reason, rounds=len(after))
    estimate = float(before.mean() - after.mean())
    parts = np.array([before.var(ddof=1) / len(before), after.var(ddof=1) / len(after)])
    error = float(np.sqrt(parts.sum()))
    own = parts**2 / np.array([len(before) - 1, len(after) - 1])
    freedom = parts.sum() ** 2 / own.sum() if own.sum() > 0 else len(before) + len(after) - 2
    to_reject, to_pass = (float(t.isf(level, freedom)) * error for level in (rule.alpha / cells, rule.beta))
    detectable = to_reject + to_pass
    if elsewhere:
        verdict, reason = Verdict.NOT_MEASURABLE, "advice only: the baseline's ratios are of another machine"
    elif not detectable <= rule.log_detect:
        verdict, reason = (
            Verdict.NOT_MEASURABLE,
            f"{len(after)} blocks could show no less than {np.expm1(detectable):.1%}",
        )
    elif estimate >= max(to_reject, rule.least_effect):
        verdict, reason = Verdict.REGRESSION, ""
    else:
        verdict, reason = Verdict.PASS, ""
    low, middle, high = np.expm1([estimate - to_pass, estimate, estimate + to_pass]).tolist()
    return CellVerdict(
        cell, backend, verdict, reason, middle, low, high, len(after), detectable=float(np.expm1(detectable))
    )
