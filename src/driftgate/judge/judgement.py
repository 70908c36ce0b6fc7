"""Judging one backend: every part is measured when it is first asked for, and once; then held to its bounds."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from driftgate.arrays import Logits
from driftgate.judge.agreement import Agreement, measure_agreement
from driftgate.judge.assessment import BackendAssessment
from driftgate.judge.bounds import Bounds, MetricVerdict, hold_to_bound
from driftgate.judge.calibration import Calibration, PrevalenceShift, measure_calibration, measure_prevalence
from driftgate.judge.confidence.bootstrap import PairedLoss, paired_losses
from driftgate.judge.confidence.levels import Levels, exact_limits
from driftgate.judge.confidence.metric_limits import find_limits
from driftgate.judge.drift import Drift, LongTexts, measure_drift, measure_long_texts
from driftgate.judge.evidence import SLICE_THRESHOLD, Evidence
from driftgate.judge.flips import Flips, Margins, count_flips, measure_margins
from driftgate.judge.metrics import gated_in
from driftgate.judge.noise import ErrorRatio, Noise, measure_error, measure_noise
from driftgate.judge.parts import (
    AGREEMENT,
    CALIBRATION,
    DRIFT,
    ERROR_RATIO,
    FLIPS,
    LONG_TEXTS,
    LOSSES,
    MARGINS,
    NOISE,
    OF_A_CORPUS,
    PREVALENCE,
    QUALITY,
    RANKS,
    SCORES,
    SLICES,
    SUBSET_ACCURACY,
    Both,
    Measured,
    Part,
)
from driftgate.judge.quality import Quality, SubsetAccuracyChange, compare_subset_accuracy, measure_quality
from driftgate.judge.scores.ranks import Ranks, measure_ranks
from driftgate.judge.scores.score_drift import ScoreDrift, measure_scores
from driftgate.judge.slice_drift import SliceDrift, measure_slices

T = TypeVar("T")
Measure = Callable[[Evidence], T | None]
_MEASURES: dict[str, Measure[Any]] = {}


def _measures(part: Part[T]) -> Callable[[Measure[T]], Measure[T]]:
    """How a part is found from the evidence; None where the evidence has nothing of it, such as labels."""

    def register(function: Measure[T]) -> Measure[T]:
        _MEASURES[part.name] = function
        return function

    return register


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
            known = _MEASURES[part.name](self.evidence)
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
        self.measure(part)
        found = {
            (metric.name, policy): (metric, exact_limits(value))
            for metric in gated_in(part)
            for policy, value in metric.values(self.measured).items()
        }
        limits = find_limits(part, self.evidence, self.levels) if any(one.interval for one, _ in found.values()) else {}
        for (name, policy), (metric, exact) in found.items():
            if metric.interval is None:
                yield hold_to_bound(bounds, self.backend, self.keys, name, exact, policy)
            elif (name, policy) in limits:
                verdict = hold_to_bound(bounds, self.backend, self.keys, name, limits[name, policy], policy)
                yield self._count_rows(verdict) if part == RANKS else verdict

    def _count_rows(self, verdict: MetricVerdict) -> MetricVerdict:
        """Groups are the sample of ranks, and a corpus is counted in rows."""
        ranks = self.measured.require(RANKS)
        needed = verdict.rows_needed
        return verdict if needed is None else replace(verdict, rows_needed=round(needed * ranks.rows / ranks.groups))

    def assess(self, bounds: Bounds) -> BackendAssessment:
        """Everything that can be measured on the corpus, and a verdict on everything gated."""
        verdicts = self.judge(bounds, OF_A_CORPUS)
        return BackendAssessment(self.backend, self.measured, verdicts)


@_measures(DRIFT)
def _drift(evidence: Evidence) -> Drift | None:
    head = evidence.head
    if head.gives_score:
        return None
    return measure_drift(evidence.reference(), evidence.backend(), head.labels, multi_label=head.multi_label)


@_measures(SCORES)
def _scores(evidence: Evidence) -> ScoreDrift | None:
    return measure_scores(evidence.reference(), evidence.backend()) if evidence.head.gives_score else None


@_measures(RANKS)
def _ranks(evidence: Evidence) -> Ranks | None:
    if evidence.groups is None or not evidence.head.gives_score:
        return None
    return measure_ranks(evidence.reference(), evidence.backend(), evidence.groups)


@_measures(ERROR_RATIO)
def _error_ratio(evidence: Evidence) -> ErrorRatio | None:
    found = evidence.exact()
    if found is None:
        return None
    rows, exact = found
    return measure_error(exact, Logits(evidence.reference()[rows]), Logits(evidence.backend()[rows]))


@_measures(FLIPS)
def _flips(evidence: Evidence) -> Mapping[str, Flips] | None:
    head = evidence.head
    if head.gives_score:
        return None
    return {
        policy: count_flips(*sides, head.labels, truth=evidence.truth, multi_label=head.multi_label)
        for policy, sides in evidence.decisions.items()
    }


@_measures(MARGINS)
def _margins(evidence: Evidence) -> Mapping[str, Margins] | None:
    if evidence.head.gives_score or not evidence.head.multi_label:
        return None
    reference, backend = evidence.reference(), evidence.backend()
    return {policy: measure_margins(reference, backend, cuts) for policy, cuts in evidence.head.policies.items()}


@_measures(AGREEMENT)
def _agreement(evidence: Evidence) -> Agreement | None:
    if evidence.head.gives_score:
        return None
    return measure_agreement(evidence.reference(), evidence.backend())


@_measures(PREVALENCE)
def _prevalence(evidence: Evidence) -> Mapping[str, PrevalenceShift] | None:
    if evidence.head.gives_score:
        return None
    probabilities = evidence.probabilities
    return {
        policy: measure_prevalence(*probabilities, *sides, evidence.head.labels)
        for policy, sides in evidence.decisions.items()
    }


@_measures(CALIBRATION)
def _calibration(evidence: Evidence) -> Both[Calibration] | None:
    if evidence.truth is None:
        return None
    reference, backend = evidence.probabilities
    return Both(measure_calibration(reference, evidence.truth), measure_calibration(backend, evidence.truth))


@_measures(QUALITY)
def _quality(evidence: Evidence) -> Mapping[str, Both[Quality]] | None:
    head, truth = evidence.head, evidence.truth
    if truth is None:
        return None
    return {
        policy: Both(*(measure_quality(side, truth, head.labels, multi_label=head.multi_label) for side in sides))
        for policy, sides in evidence.decisions.items()
    }


@_measures(LOSSES)
def _losses(evidence: Evidence) -> Mapping[str, Mapping[str, PairedLoss]] | None:
    truth, multi_label = evidence.truth, evidence.head.multi_label
    if truth is None:
        return None
    return {
        policy: paired_losses(*sides, truth, multi_label=multi_label) for policy, sides in evidence.decisions.items()
    }


@_measures(SUBSET_ACCURACY)
def _subset_accuracy(evidence: Evidence) -> Mapping[str, SubsetAccuracyChange] | None:
    truth = evidence.truth
    if truth is None:
        return None
    return {policy: compare_subset_accuracy(*sides, truth) for policy, sides in evidence.decisions.items()}


@_measures(SLICES)
def _slices(evidence: Evidence) -> Mapping[str, SliceDrift] | None:
    if evidence.head.gives_score:
        return None
    reference, backend, multi_label = evidence.reference(), evidence.backend(), evidence.head.multi_label
    return measure_slices(reference, backend, evidence.all_slices, SLICE_THRESHOLD, multi_label=multi_label)


@_measures(NOISE)
def _noise(evidence: Evidence) -> Mapping[str, Noise] | None:
    multi_label = evidence.head.multi_label
    found = {what: measure_noise(runs, multi_label=multi_label) for what, runs in evidence.variations().items()}
    return found or None


@_measures(LONG_TEXTS)
def _long_texts(evidence: Evidence) -> LongTexts | None:
    found = None if evidence.head.gives_score else evidence.long_texts()
    return None if found is None else measure_long_texts(*found, multi_label=evidence.head.multi_label)
