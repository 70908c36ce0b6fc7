"""Whether "almost identical" holds: equivalence by two one-sided tests on the paired losses (Schuirmann 1987)."""

from collections.abc import Mapping

from driftgate.judge.confidence.bootstrap import PairedLoss
from driftgate.judge.subset_accuracy import SubsetAccuracyChange

MARGIN = 0.01
"""Model cards call a loss of a hundredth "almost identical"."""
METRICS = ("micro_f1", "macro_f1")


def judge_equivalence(rows: SubsetAccuracyChange, losses: Mapping[str, PairedLoss], margin: float = MARGIN) -> str:
    """Say "yes" where all intervals lie within `margin` of no loss, "no" where one lies outside, else "not shown"; and why.

    A 90% interval within the margin is the two one-sided tests at 5% each. Subset accuracy is judged by its score interval,
    which is no point where nothing flipped: a few rows that agree show nothing.
    """
    intervals = {"subset_accuracy": (rows.low, rows.high)}
    intervals |= {name: (losses[name].low, losses[name].high) for name in METRICS}
    described = {name: f"{name} loss [{low:+.4f}, {high:+.4f}]" for name, (low, high) in intervals.items()}
    for name, (low, high) in intervals.items():
        if low > margin or high < -margin:
            return f"no: {described[name]}"
    for name, (low, high) in intervals.items():
        if not -margin <= low <= high <= margin:
            return f"not shown: {described[name]}"
    return "yes"
