"""Confidence limits of the registry's metrics, part by part, from the evidence.

A metric that has none here although the registry names its interval is not gated on these rows: the 99th percentile of fewer than
299 rows has no upper limit, and slices and labels of few rows are reported only.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from driftgate.arrays import FloatArray, Logits
from driftgate.judge import parts
from driftgate.judge.agreement import top_changed
from driftgate.judge.confidence.calibration_limits import calibration_limits
from driftgate.judge.confidence.counted_limits import proportion_limits, quantile_limits, rows_for_quantile
from driftgate.judge.confidence.levels import DRIFT_ROWS, Levels, Limits, largest_limits
from driftgate.judge.confidence.loss_limits import paired_loss_limits
from driftgate.judge.confidence.mean_limits import BEYOND_SEEN, mean_limits
from driftgate.judge.drift import squared_relative_errors
from driftgate.judge.evidence import Evidence
from driftgate.judge.metric_sources import MIN_SLICE_ROWS
from driftgate.judge.noise import squared_error_ratios
from driftgate.judge.parts import Part
from driftgate.judge.quality import MIN_SUPPORT
from driftgate.judge.scores.correlation import correlation_losses
from driftgate.judge.scores.ranks import compare_groups
from driftgate.judge.scores.score_drift import rank_displacements, score_drifts

Found = dict[tuple[str, str], Limits]
"""By the name of the metric and its decision policy, "" where thresholds play no part."""

Finder = Callable[[Evidence, Levels], Found]

_FINDERS: dict[str, Finder] = {}


def find_limits(part: Part[Any], evidence: Evidence, levels: Levels) -> Mapping[tuple[str, str], Limits]:
    """Limits of those metrics of a part that are gated on these rows."""
    finder = _FINDERS.get(part.name)
    suits = part.suits(gives_score=evidence.head.gives_score)
    return finder(evidence, levels) if finder and suits else {}


def _finds(part: Part[Any]) -> Callable[[Finder], Finder]:
    def register(function: Finder) -> Finder:
        _FINDERS[part.name] = function
        return function

    return register


@_finds(parts.DRIFT)
def _drift(evidence: Evidence, levels: Levels) -> Found:
    largest = evidence.largest_drift
    deciding = {
        ("mean_of_largest_probability_drift", ""): mean_limits(largest, levels, smallest=0.0),
        ("p90_of_largest_probability_drift", ""): quantile_limits(largest, 0.9, levels),
    }
    squares = squared_relative_errors(evidence.reference(), evidence.backend(), multi_label=evidence.head.multi_label)
    if squares is not None:
        deciding["relative_logit_error", ""] = _root(mean_limits(squares, levels, smallest=0.0))
    found = _shown_by_different(deciding, evidence, len(largest))
    for percent in (95, 99):
        if len(largest) >= rows_for_quantile(percent / 100):
            name = f"p{percent}_of_largest_probability_drift"
            found[name, ""] = quantile_limits(largest, percent / 100, levels)
    return found


def _shown_by_different(found: Found, evidence: Evidence, rows: int) -> Found:
    """The same limits, but without upper ones where too few of the rows are different to show any."""
    different = rows if evidence.different is None else evidence.different
    if different >= DRIFT_ROWS:
        return found
    return {
        name: replace(one, high=math.inf, rows=different, least_rows=max(DRIFT_ROWS, one.least_rows))
        for name, one in found.items()
    }


@_finds(parts.SCORES)
def _scores(evidence: Evidence, levels: Levels) -> Found:
    reference, backend = evidence.reference(), evidence.backend()
    drifts = score_drifts(reference, backend)
    found = {
        ("mean_score_drift", ""): mean_limits(drifts, levels, smallest=0.0),
        ("p90_score_drift", ""): quantile_limits(drifts, 0.9, levels),
        ("score_rank_displacement", ""): mean_limits(rank_displacements(reference, backend), levels, smallest=0.0),
    }
    return _shown_by_different(found, evidence, len(drifts))


@_finds(parts.RANKS)
def _ranks(evidence: Evidence, levels: Levels) -> Found:
    """Groups, not rows, are the sample."""
    if evidence.groups is None:
        return {}
    changes = compare_groups(evidence.reference(), evidence.backend(), evidence.groups)
    if not changes.rank_losses.size:
        return {}
    found = {
        ("group_rank_loss", ""): mean_limits(changes.rank_losses, levels, smallest=0.0, largest=2.0),
        ("best_candidate_changed", ""): proportion_limits(
            int(changes.best_changed.sum()), changes.best_changed.size, levels
        ),
    }
    if changes.top3_losses.size:
        found["top3_candidates_changed", ""] = mean_limits(changes.top3_losses, levels, smallest=0.0, largest=1.0)
    return found


@_finds(parts.SCORE_QUALITY)
def _score_quality(evidence: Evidence, levels: Levels) -> Found:
    """The upper limit reckons with one more row, which the reference has right and the backend does not, as that of F1 does."""
    if evidence.targets is None:
        return {}
    losses = correlation_losses(evidence.reference(), evidence.backend(), evidence.targets)
    return {
        (f"{name}_loss", ""): mean_limits(
            loss.values, levels, largest=max(loss.largest, BEYOND_SEEN * float(np.abs(loss.values).max()))
        )
        for name, loss in losses.items()
    }


@_finds(parts.MOVEMENT)
def _movement(evidence: Evidence, levels: Levels) -> Found:
    if evidence.past is None:
        return {}
    past, now = evidence.head.probabilities(evidence.past), evidence.head.probabilities(evidence.backend())
    largest = np.abs(now - past).max(axis=1)
    return {
        ("mean_of_largest_probability_movement", ""): mean_limits(largest, levels, smallest=0.0),
        ("p90_of_largest_probability_movement", ""): quantile_limits(largest, 0.9, levels),
    }


@_finds(parts.ERROR_RATIO)
def _error_ratio(evidence: Evidence, levels: Levels) -> Found:
    found = evidence.exact()
    if found is None:
        return {}
    rows, exact = found
    squares = squared_error_ratios(exact, Logits(evidence.reference()[rows]), Logits(evidence.backend()[rows]))
    return {("error_ratio_to_float32", ""): _root(mean_limits(squares, levels, smallest=0.0))}


def _root(limits: Limits) -> Limits:
    """Of a mean square, as a root mean square."""
    value = math.sqrt(limits.value)
    return replace(
        limits,
        value=value,
        low=math.sqrt(limits.low),
        high=math.sqrt(limits.high),
        spread=limits.spread / (2 * value) if value else 0.0,  # to first order
    )


@_finds(parts.FLIPS)
def _flips(evidence: Evidence, levels: Levels) -> Found:
    found: Found = {}
    for policy, (reference, backend) in evidence.decisions.items():
        if evidence.head.multi_label:
            changed = int((reference != backend).any(axis=1).sum())
            found["row_flip_rate", policy] = proportion_limits(changed, len(reference), levels)
        truth = evidence.truth
        if truth is None or not (supported := truth.sum(axis=0) >= MIN_SUPPORT).any():
            continue
        lost = (reference == truth).astype(np.float64) - (backend == truth)
        found["largest_label_loss", policy] = _largest(
            [lost[:, label] for label in np.flatnonzero(supported)], levels, smallest=-1.0, largest=1.0
        )
    return found


@_finds(parts.AGREEMENT)
def _agreement(evidence: Evidence, levels: Levels) -> Found:
    changed = top_changed(evidence.reference(), evidence.backend())
    return {("top1_disagreement", ""): proportion_limits(int(changed.sum()), len(changed), levels)}


@_finds(parts.PREVALENCE)
def _prevalence(evidence: Evidence, levels: Levels) -> Found:
    reference, backend = evidence.probabilities
    shifts = (backend - reference).T
    return {("largest_prevalence_shift", ""): _largest([*shifts, *-shifts], levels)}


@_finds(parts.CALIBRATION)
def _calibration(evidence: Evidence, levels: Levels) -> Found:
    if evidence.truth is None:
        return {}
    found = calibration_limits(*evidence.probabilities, evidence.truth, levels)
    return {(name, ""): limits for name, limits in found.items()}


@_finds(parts.LOSSES)
def _losses(evidence: Evidence, levels: Levels) -> Found:
    truth = evidence.truth
    if truth is None:
        return {}
    return {
        (f"{name}_loss", policy): limits
        for policy, sides in evidence.decisions.items()
        for name, limits in paired_loss_limits(*sides, truth, levels, multi_label=evidence.head.multi_label).items()
    }


@_finds(parts.SLICES)
def _slices(evidence: Evidence, levels: Levels) -> Found:
    largest = evidence.largest_drift
    large = [largest[rows] for rows in evidence.all_slices.values() if rows.sum() >= MIN_SLICE_ROWS]
    if not large:
        return {}
    return {("mean_of_largest_probability_drift_in_worst_slice", ""): _largest(large, levels, smallest=0.0)}


def _largest(
    samples: list[FloatArray], levels: Levels, *, smallest: float | None = None, largest: float | None = None
) -> Limits:
    """Limits of the largest of several means, each of one number a row."""
    divided = Levels(low=levels.low / len(samples), high=levels.high)
    return largest_limits([mean_limits(sample, divided, smallest=smallest, largest=largest) for sample in samples])
