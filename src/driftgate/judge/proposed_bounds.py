"""Bounds for an encoder of one's own, from what a good build of it is seen to do."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from driftgate.arrays import Logits
from driftgate.judge.bounds import Bound, Bounds, Outcome
from driftgate.judge.confidence import Limits, rows_needed
from driftgate.judge.faults import make_faults
from driftgate.judge.judgement import Judgement
from driftgate.judge.metric_limits import find_limits
from driftgate.judge.metric_types import policy_metric
from driftgate.judge.metrics import METRICS, gated_in
from driftgate.judge.parts import (
    AGREEMENT,
    CALIBRATION,
    DRIFT,
    ERROR_RATIO,
    FLIPS,
    LOSSES,
    OF_A_CORPUS,
    PREVALENCE,
    SLICES,
)  # fmt: skip

ROOM = 2.0
"""How many times the upper limit seen a bound is: so many rows show it again, and a build that drifts a little more keeps it."""

_OF_ANSWERS = (DRIFT, ERROR_RATIO, FLIPS, AGREEMENT, PREVALENCE, CALIBRATION, LOSSES, SLICES)
"""What a fault in the logits changes."""


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
    bounds: list[Bound] = []
    left_out: dict[str, int | None] = {}
    for part in OF_A_CORPUS:
        if judgement.measure(part) is None or not any(metric.interval for metric in gated_in(part)):
            continue
        for (name, policy), limits in find_limits(part, judgement.evidence, judgement.levels).items():
            metric = policy_metric(name, policy)
            if math.isfinite(limits.high):
                bounds.append(_bound(judgement.backend, name, metric, limits, where, today))
            else:
                left_out[metric] = rows_needed(limits, METRICS[name].unit.largest)
    own = {(bound.key, bound.metric): bound for bound in bounds}
    evidence, caught, caught_before = judgement.evidence, {}, {}
    for fault, logits in make_faults(evidence.head, evidence.reference(), evidence.backend()).items():
        faulty = replace(evidence, backend=partial(_same, logits))
        tried = Judgement(judgement.backend, (judgement.backend, *judgement.keys), faulty, judgement.levels)
        failed = [one for one in tried.judge([own, *shipped], _OF_ANSWERS) if one.verdict is Outcome.FAIL]
        caught[fault] = tuple(one.bound.metric for one in failed if (one.bound.key, one.bound.metric) in own)
        before = Judgement(judgement.backend, judgement.keys, faulty, judgement.levels)
        caught_before[fault] = sum(one.verdict is Outcome.FAIL for one in before.judge(shipped, _OF_ANSWERS))
    broken = tuple(map(str, judgement.assess(shipped).failures))
    return Proposal(judgement.backend, tuple(bounds), left_out, broken, caught, caught_before)


def _same(logits: Logits) -> Logits:
    return logits


def _bound(backend: str, name: str, metric: str, limits: Limits, where: str, today: date) -> Bound:
    if limits.high > 0:
        wanted, rule = ROOM * limits.high, f"{ROOM:g} times {limits.high:.2g}, at most which it is"
    else:  # a gain, as far as these rows tell: room for one of them
        wanted, rule = 1 / limits.rows, f"one row of {limits.rows:,}; it is at most {limits.high:.2g}"
    reason = f"{rule} with {1 - limits.high_level:.0%} confidence on {limits.rows:,} rows of {where}; seen {limits.value:.2g}"
    limit = min(_round_up(wanted), METRICS[name].unit.largest)
    return Bound(backend, metric, limit, METRICS[name].at_most, reason, today)


def _round_up(value: float) -> float:
    """To two significant digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit - 1e-9) * unit:.2g}")
