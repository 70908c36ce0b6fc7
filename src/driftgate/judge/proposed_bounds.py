"""Bounds for an encoder of one's own, from what a good build of it does, tried on faults before anyone relies on them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from driftgate.arrays import Logits
from driftgate.judge.bounds import Bound, Bounds, MetricVerdict, Outcome
from driftgate.judge.confidence.levels import rows_needed
from driftgate.judge.evidence import Head
from driftgate.judge.judgement import Judgement
from driftgate.judge.metric_types import Unit
from driftgate.judge.metrics import METRICS, gated_in
from driftgate.judge.parts import OF_A_CORPUS

_NEVER = -20.0
_SHIFT = 0.3
_MOVED_ROWS = 0.02


def make_faults(head: Head, reference: Logits, backend: Logits) -> Mapping[str, Logits]:
    """The backend's logits with one fault each, float32, (rows, labels), by what the fault is.

    Drift twice and three times as large; the two most probable labels swapped, the first of them never given, its logits lower;
    some rows answered as others. What needs two labels or rows is left out where there is one.
    """
    common = np.argsort(-head.probabilities(reference).mean(axis=0), kind="stable")
    first = head.labels[common[0]]
    drift = backend - reference
    faults = {
        "drift doubled": reference + 2 * drift,
        "drift tripled": reference + 3 * drift,
        f"{first!r} never given": _with_column(backend, common[0], min(_NEVER, float(backend.min()) - 1)),
        f"logits of {first!r} {_SHIFT} lower": _with_column(backend, common[0], backend[:, common[0]] - _SHIFT),
    }
    if len(common) > 1:
        order = np.arange(len(common))
        order[common[:2]] = common[1::-1]
        faults[f"{first!r} and {head.labels[common[1]]!r} swapped"] = backend[:, order]
    if (count := max(2, round(_MOVED_ROWS * len(backend)))) <= len(backend):
        rows = np.random.default_rng(0).choice(len(backend), count, replace=False)
        moved = backend.copy()
        moved[rows] = backend[np.roll(rows, 1)]
        faults[f"{_MOVED_ROWS:.0%} of the rows answered as others"] = moved
    return {name: Logits(np.asarray(logits, dtype=np.float32)) for name, logits in faults.items()}


def _with_column(logits: Logits, column: int, values: NDArray[np.float32] | float) -> NDArray[np.float32]:
    changed = logits.copy()
    changed[:, column] = values
    return changed


ROOM = 2.0
"""How many times the upper limit seen a bound is: so many rows show it again, and a build that drifts a little more keeps it."""

_LIMITED = tuple(part for part in OF_A_CORPUS if any(metric.interval for metric in gated_in(part)))
"""What bounds are proposed of; a fault in the logits changes all of it."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Bounds of one backend.

    Args:
        bounds: in the order of the registry.
        left_out: metrics that the rows say too little of, with how many rows would; the shipped bounds stay in force for them.
        broken: shipped bounds that the build breaks, in words: it may be no good one.
        caught: by fault, the metrics whose proposed bound fails it. `caught_before`: by fault, how many shipped bounds fail it.
    """

    backend: str
    bounds: tuple[Bound, ...]
    left_out: Mapping[str, int | None]
    broken: tuple[str, ...]
    caught: Mapping[str, tuple[str, ...]]
    caught_before: Mapping[str, int]


def propose_bounds(judgement: Judgement, shipped: Bounds, where: str, today: date) -> Proposal:
    """Bounds that a backend as it is keeps, of every metric that has confidence limits, and what they would catch.

    Metrics without limits keep the shipped ceilings: what so many rows did not show is no reason for another.

    Args:
        where: the corpus, in words, for the reasons.

    Raises:
        BoundsError: a metric without a shipped bound.
    """
    assessment = judgement.assess(shipped)
    bounds: dict[str, Bound] = {}
    left_out: dict[str, int | None] = {}
    for verdict in assessment.verdicts:
        metric, unit = verdict.bound.metric, METRICS[verdict.metric].unit
        if METRICS[verdict.metric].interval is None:
            continue
        if math.isfinite(verdict.limits.high):
            bounds[metric] = _bound(verdict, unit, where, today)
        else:
            left_out[metric] = rows_needed(verdict.limits, unit.largest)
    caught, caught_before = {}, {}
    for fault, logits in make_faults(
        judgement.evidence.head, judgement.evidence.reference(), judgement.evidence.backend()
    ).items():
        verdicts = judgement.of(logits).judge(shipped, _LIMITED)
        metrics = {one.bound.metric: one.limits.low for one in verdicts}
        caught[fault] = tuple(name for name, low in metrics.items() if name in bounds and not bounds[name].holds(low))
        caught_before[fault] = sum(one.verdict is Outcome.FAIL for one in verdicts)
    broken = tuple(map(str, assessment.failures))
    return Proposal(judgement.backend, tuple(bounds.values()), left_out, broken, caught, caught_before)


def _bound(verdict: MetricVerdict, unit: Unit, where: str, today: date) -> Bound:
    limits = verdict.limits
    if limits.high > 0:
        wanted, rule = ROOM * limits.high, f"{ROOM:g} times {limits.high:.2g}, at most which it is"
    else:  # a gain, as far as these rows tell: room for one of them
        wanted, rule = 1 / limits.rows, f"one row of {limits.rows:,}; it is at most {limits.high:.2g}"
    reason = f"{rule} with {1 - limits.high_level:.0%} confidence on {limits.rows:,} rows of {where}; seen {limits.value:.2g}"
    limit = min(_round_up(wanted), unit.largest)
    return Bound(verdict.backend, verdict.bound.metric, limit, verdict.bound.at_most, reason, today)


def _round_up(value: float) -> float:
    """To two significant digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.2g}")
