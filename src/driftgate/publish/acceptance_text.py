"""What a judgement before publication says on the terminal: a line for each backend, and every broken bound."""

from collections.abc import Sequence

from driftgate.edges.spelling import option
from driftgate.judge.accuracy_verdicts import UNSHOWN, NotShown
from driftgate.judge.assessment import BackendAssessment
from driftgate.judge.bounds import MetricVerdict, Outcome
from driftgate.judge.metric_types import POLICIES
from driftgate.judge.parts import DRIFT, FLIPS, LOSSES
from driftgate.results.unshown import describe_outcome, list_unshown

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


def render_unshown(
    assessments: Sequence[BackendAssessment], rows: int, not_shown: NotShown, exit_code: int
) -> list[str]:
    """A line for each backend with bounds that the texts do not show to be kept, and what comes of it."""
    lines = list_unshown({one.backend: one.verdicts for one in assessments}, rows)
    if exit_code == UNSHOWN:
        lines.append(f"{describe_outcome(Outcome.NOT_SHOWN, not_shown)} with {option('corpus')}; nothing was published")
    return lines


def render_failures(failures: Sequence[MetricVerdict], where: str) -> list[str]:
    """Lines with every broken bound: value, limit, by how much, why it is there."""
    lines = [f"{one}; beyond it by {abs(one.value - one.limit):.3g}" for one in failures]
    count = f"{len(lines)} bound is broken" if len(lines) == 1 else f"{len(lines)} bounds are broken"
    return [f"{count} on {where}; nothing was published:", *(f"  {line}" for line in lines)]
