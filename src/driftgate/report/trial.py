"""What a judgement before publication says on the terminal: a line for each backend, and every broken bound."""

from collections.abc import Sequence

from driftgate.judge.bounds import Violation
from driftgate.judge.comparison import Comparison


def render_judged(backend: str, comparison: Comparison, bounds: int) -> str:
    """One line: drift, flips, F1 where there are labels, how many bounds were asked."""
    policy, flips = next(iter(comparison.flips.items()))
    parts = [
        f"largest probability difference {comparison.drift.largest_per_text.max:.3g}",
        f"{flips.total:,} of {flips.decisions:,} decisions flipped {policy}",
    ]
    if comparison.losses:
        loss = comparison.losses[policy]["macro_f1"]
        parts.append(f"macro F1 {loss.backend:.4f} (torch {loss.reference:.4f})")
    return f"{backend}: {', '.join(parts)}; {bounds} bounds asked"


def render_violations(violations: Sequence[Violation], where: str) -> list[str]:
    """Lines with every broken bound: value, limit, by how much, why it is there."""
    lines = [f"{one}; beyond it by {abs(one.value - one.bound.limit):.3g}" for one in violations]
    count = f"{len(lines)} bound is broken" if len(lines) == 1 else f"{len(lines)} bounds are broken"
    if any("upper_limit" in one.bound.metric for one in violations):
        lines.append("an upper limit is the loss that these rows cannot rule out: more labelled rows bring it down")
    return [f"{count} on {where}; nothing was published:", *(f"  {line}" for line in lines)]
