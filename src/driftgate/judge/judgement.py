"""Judging one backend: every part is measured when it is first asked for, and once; then held to its bounds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from driftgate.arrays import Logits
from driftgate.judge.assessment import BackendAssessment
from driftgate.judge.bounds import Bounds, MetricVerdict, hold_to_bound
from driftgate.judge.confidence.levels import Levels, exact_limits
from driftgate.judge.confidence.metric_limits import find_limits
from driftgate.judge.evidence import Evidence
from driftgate.judge.measures import measure_part
from driftgate.judge.metrics import gated_in
from driftgate.judge.parts import OF_A_CORPUS, RANKS, Measured, Part

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """One backend before its judge.

    Args:
        keys: where its bounds are looked up, first match first.
        levels: how often each limit may be wrong, by how much the whole run gates.
        measured: what was measured so far; a run's results hold the same store.
    """

    backend: str
    keys: tuple[str, ...]
    evidence: Evidence
    levels: Levels
    measured: Measured = field(default_factory=Measured)

    def of(self, logits: Logits) -> "Judgement":
        """The same judge before other logits of the backend, float32, (rows, labels)."""
        return Judgement(self.backend, self.keys, replace(self.evidence, backend=lambda: logits), self.levels)

    def measure(self, part: Part[T]) -> T | None:
        """The record of a part; None where the evidence has nothing of it.

        Raises:
            ValueError: arrays of different shapes, no rows, or values that are not finite.
        """
        known = self.measured.get(part)
        if known is None:
            known = measure_part(part, self.evidence)
            if known is not None:
                self.measured.put(part, known)
        return known

    def judge(self, bounds: Bounds, parts: Iterable[Part[Any]]) -> tuple[MetricVerdict, ...]:
        """A verdict on every gated metric of the parts, in the order of the registry; empty where nothing of them is there.

        Raises:
            BoundsError: a metric without a bound.
        """
        return tuple(verdict for part in parts for verdict in self._judge(bounds, part))

    def _judge(self, bounds: Bounds, part: Part[Any]) -> Iterator[MetricVerdict]:
        if self.measure(part) is None:
            return
        found = find_limits(part, self.evidence, self.levels)
        for metric in gated_in(part):
            for policy, value in metric.values(self.measured).items():
                limits = found.get((metric.name, policy)) if metric.interval else exact_limits(value)
                if limits is not None:
                    verdict = hold_to_bound(bounds, self.backend, self.keys, metric.name, limits, policy)
                    yield self._count_rows(verdict) if part == RANKS else verdict

    def _count_rows(self, verdict: MetricVerdict) -> MetricVerdict:
        """Groups are the sample of ranks, and a corpus is counted in rows."""
        ranks = self.measured.require(RANKS)
        needed = verdict.rows_needed
        return verdict if needed is None else replace(verdict, rows_needed=round(needed * ranks.rows / ranks.groups))

    def assess(self, bounds: Bounds) -> BackendAssessment:
        """Everything that can be measured on the corpus, and a verdict on everything gated."""
        return BackendAssessment(self.backend, self.measured, self.judge(bounds, OF_A_CORPUS))
