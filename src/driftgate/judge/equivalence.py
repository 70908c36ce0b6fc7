"""Whether "almost identical" holds: equivalence by two one-sided tests on the paired losses (Schuirmann 1987)."""

from collections.abc import Mapping

from driftgate.judge.bootstrap import PairedLoss

MARGIN = 0.01
"""Model cards call a loss of a hundredth "almost identical"."""
METRICS = ("subset_accuracy", "micro_f1", "macro_f1")


def judge_equivalence(losses: Mapping[str, PairedLoss], margin: float = MARGIN) -> str:
    """Say "yes" where all intervals lie within `margin` of no loss, "no" where one lies outside, else "not shown"; and why.

    A 90% interval within the margin is the two one-sided tests at 5% each.
    """
    outside = [name for name in METRICS if losses[name].low > margin or losses[name].high < -margin]
    if outside:
        return f"no: {_describe(losses, outside[0])}"
    open_ended = [name for name in METRICS if not -margin <= losses[name].low <= losses[name].high <= margin]
    if open_ended:
        return f"not shown: {_describe(losses, open_ended[0])}"
    return "yes"


def _describe(losses: Mapping[str, PairedLoss], name: str) -> str:
    return f"{name} loss [{losses[name].low:+.4f}, {losses[name].high:+.4f}]"
