"""What a judgement before publication says on the terminal: a line for each backend, and every broken bound."""

from collections.abc import Sequence

from driftgate.judge.assessment import BackendAssessment
from driftgate.judge.bounds import MetricVerdict
from driftgate.judge.metric_types import POLICIES
from driftgate.judge.parts import DRIFT, FLIPS, LOSSES

_POLICY = POLICIES[0]


def render_judged(assessment: BackendAssessment) -> str:
    """One line: drift, flips, F1 where there are labels, how many bounds were checked."""
    measured, parts = assessment.measured, []
    if drift := measured.get(DRIFT):
        parts.append(f"largest probability difference {drift.largest_per_text.max:.3g}")
    if flips := (measured.get(FLIPS) or {}).get(_POLICY):
        parts.append(f"{flips.total:,} of {flips.decisions:,} decisions flipped {_POLICY}")
    if losses := (measured.get(LOSSES) or {}).get(_POLICY):
        macro = losses["macro_f1"]
        parts.append(f"macro F1 {macro.backend:.4f} (torch {macro.reference:.4f})")
    return f"{assessment.backend}: {', '.join(parts)}; {len(assessment.verdicts)} bounds checked"


def render_failures(failures: Sequence[MetricVerdict], where: str) -> list[str]:
    """Lines with every broken bound: value, limit, by how much, why it is there."""
    lines = [f"{one}; beyond it by {abs(one.value - one.limit):.3g}" for one in failures]
    count = f"{len(lines)} bound is broken" if len(lines) == 1 else f"{len(lines)} bounds are broken"
    if any("upper_limit" in one.metric for one in failures):
        lines.append("an upper limit is the loss that these rows cannot rule out: more labelled rows bring it down")
    return [f"{count} on {where}; nothing was published:", *(f"  {line}" for line in lines)]
