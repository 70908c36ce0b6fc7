"""How each part is measured from the evidence."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from driftgate.arrays import Logits
from driftgate.judge import parts
from driftgate.judge.agreement import Agreement, measure_agreement
from driftgate.judge.calibration import Calibration, PrevalenceShift, measure_calibration, measure_prevalence
from driftgate.judge.confidence.bootstrap import PairedLoss, paired_losses
from driftgate.judge.drift import Drift, LongTexts, measure_drift, measure_long_texts
from driftgate.judge.evidence import SLICE_THRESHOLD, Evidence
from driftgate.judge.flips import Flips, Margins, count_flips, measure_margins
from driftgate.judge.noise import ErrorRatio, Noise, measure_error, measure_noise
from driftgate.judge.parts import Both, Part
from driftgate.judge.quality import Quality, SubsetAccuracyChange, compare_subset_accuracy, measure_quality
from driftgate.judge.scores.correlation import ScoreQuality, measure_score_quality
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


def measure_part(part: Part[T], evidence: Evidence) -> T | None:
    """The record of a part; None where it is of other encoders, or the evidence has nothing of it, such as labels.

    Raises:
        ValueError: arrays of different shapes, no rows, or values that are not finite.
    """
    if not part.suits(gives_score=evidence.head.gives_score):
        return None
    found: T | None = _MEASURES[part.name](evidence)
    return found


@_measures(parts.DRIFT)
def _drift(evidence: Evidence) -> Drift:
    head = evidence.head
    return measure_drift(evidence.reference(), evidence.backend(), head.labels, multi_label=head.multi_label)


@_measures(parts.SCORES)
def _scores(evidence: Evidence) -> ScoreDrift:
    return measure_scores(evidence.reference(), evidence.backend())


@_measures(parts.RANKS)
def _ranks(evidence: Evidence) -> Ranks | None:
    if evidence.groups is None:
        return None
    return measure_ranks(evidence.reference(), evidence.backend(), evidence.groups)


@_measures(parts.SCORE_QUALITY)
def _score_quality(evidence: Evidence) -> Both[ScoreQuality] | None:
    targets = evidence.targets
    if targets is None:
        return None
    return Both(*(measure_score_quality(side, targets) for side in (evidence.reference(), evidence.backend())))


@_measures(parts.ERROR_RATIO)
def _error_ratio(evidence: Evidence) -> ErrorRatio | None:
    found = evidence.exact()
    if found is None:
        return None
    rows, exact = found
    return measure_error(exact, Logits(evidence.reference()[rows]), Logits(evidence.backend()[rows]))


@_measures(parts.FLIPS)
def _flips(evidence: Evidence) -> Mapping[str, Flips]:
    head = evidence.head
    return {
        policy: count_flips(*sides, head.labels, truth=evidence.truth, multi_label=head.multi_label)
        for policy, sides in evidence.decisions.items()
    }


@_measures(parts.MARGINS)
def _margins(evidence: Evidence) -> Mapping[str, Margins] | None:
    if not evidence.head.multi_label:
        return None
    reference, backend = evidence.reference(), evidence.backend()
    return {policy: measure_margins(reference, backend, cuts) for policy, cuts in evidence.head.policies.items()}


@_measures(parts.AGREEMENT)
def _agreement(evidence: Evidence) -> Agreement:
    return measure_agreement(evidence.reference(), evidence.backend())


@_measures(parts.PREVALENCE)
def _prevalence(evidence: Evidence) -> Mapping[str, PrevalenceShift]:
    probabilities = evidence.probabilities
    return {
        policy: measure_prevalence(*probabilities, *sides, evidence.head.labels)
        for policy, sides in evidence.decisions.items()
    }


@_measures(parts.CALIBRATION)
def _calibration(evidence: Evidence) -> Both[Calibration] | None:
    if evidence.truth is None:
        return None
    return Both(*(measure_calibration(side, evidence.truth) for side in evidence.probabilities))


@_measures(parts.QUALITY)
def _quality(evidence: Evidence) -> Mapping[str, Both[Quality]] | None:
    head, truth = evidence.head, evidence.truth
    if truth is None:
        return None
    return {
        policy: Both(*(measure_quality(side, truth, head.labels, multi_label=head.multi_label) for side in sides))
        for policy, sides in evidence.decisions.items()
    }


@_measures(parts.LOSSES)
def _losses(evidence: Evidence) -> Mapping[str, Mapping[str, PairedLoss]] | None:
    truth, multi_label = evidence.truth, evidence.head.multi_label
    if truth is None:
        return None
    return {
        policy: paired_losses(*sides, truth, multi_label=multi_label) for policy, sides in evidence.decisions.items()
    }


@_measures(parts.SUBSET_ACCURACY)
def _subset_accuracy(evidence: Evidence) -> Mapping[str, SubsetAccuracyChange] | None:
    truth = evidence.truth
    if truth is None:
        return None
    return {policy: compare_subset_accuracy(*sides, truth) for policy, sides in evidence.decisions.items()}


@_measures(parts.SLICES)
def _slices(evidence: Evidence) -> Mapping[str, SliceDrift]:
    reference, backend, multi_label = evidence.reference(), evidence.backend(), evidence.head.multi_label
    return measure_slices(reference, backend, evidence.all_slices, SLICE_THRESHOLD, multi_label=multi_label)


@_measures(parts.NOISE)
def _noise(evidence: Evidence) -> Mapping[str, Noise] | None:
    multi_label = evidence.head.multi_label
    found = {what: measure_noise(runs, multi_label=multi_label) for what, runs in evidence.variations().items()}
    return found or None


@_measures(parts.LONG_TEXTS)
def _long_texts(evidence: Evidence) -> LongTexts | None:
    found = evidence.long_texts()
    return None if found is None else measure_long_texts(*found, multi_label=evidence.head.multi_label)
