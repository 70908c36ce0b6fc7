"""Decisions that differ from the reference's: how many, which way, whether they were right before, and how close."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from driftgate.arrays import BoolArray, Decisions, FloatArray, LabelMatrix, Logits
from driftgate.judge.confidence.counted_limits import clopper_pearson, holm, mcnemar_exact, mcnemar_one_sided
from driftgate.judge.probabilities import decide, find_flips, require_comparable, require_same_shape, to_probabilities
from driftgate.judge.quality import MIN_SUPPORT

SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class NegativeFlips:
    """Flips against the truth (Yan et al. 2021, arXiv 2011.09161).

    Args:
        negative: decisions that were right and are wrong now. `positive`: the reverse.
        p: exact one-sided binomial test that negative flips are more likely than positive ones.
        per_label_negative, per_label_positive: by label name.
        per_label_p: the same test for each label of `MIN_SUPPORT` true rows or more, adjusted for all of them (Holm 1979).
        significantly_worse: the labels whose adjusted p is below 0.05.
        largest_loss: of the same labels, the largest share of rows that got wrong, less those that got right; None where no label
            has as many rows.
    """

    negative: int
    positive: int
    p: float
    per_label_negative: dict[str, int]
    per_label_positive: dict[str, int]
    per_label_p: dict[str, float]
    significantly_worse: tuple[str, ...]
    largest_loss: float | None


@dataclass(frozen=True, slots=True)
class Flips:
    """Decisions that changed.

    Args:
        multi_label: whether a row can have several labels.
        decisions: rows x labels; for single-label encoders rows.
        total: how many of them changed. `rate`: their share.
        gained: labels that the backend says yes to and the reference no. `lost`: the reverse. For single-label encoders they
            are equal: a row leaves one label and enters another.
        asymmetry_p: exact two-sided binomial test that yes and no are equally likely.
        rows: texts whose set of labels changed. `row_rate`: their share; `row_rate_upper_limit`: what that proves about it at 95%
            (one-sided, Clopper & Pearson 1934), which is not 0 where none changed.
        per_label: changes of each label, by name.
        against_truth: None for a corpus without labels.
    """

    multi_label: bool
    decisions: int
    total: int
    rate: float
    gained: int
    lost: int
    asymmetry_p: float
    rows: int
    row_rate: float
    row_rate_upper_limit: float
    per_label: dict[str, int]
    against_truth: NegativeFlips | None


def count_flips(
    reference: Decisions,
    backend: Decisions,
    labels: tuple[str, ...],
    *,
    truth: LabelMatrix | None = None,
    multi_label: bool = True,
) -> Flips:
    """Compare decisions, and truth where there is one, bool, (rows, labels).

    Raises:
        ValueError: different shapes, or no decisions.
    """
    require_same_shape(reference, backend, *([] if truth is None else [truth]))
    changed = reference != backend
    rows = int(np.count_nonzero(changed.any(axis=1)))
    gained, lost = int((backend & ~reference).sum()), int((reference & ~backend).sum())
    flipped = find_flips(reference, backend, multi_label=multi_label)
    decisions, total = int(flipped.size), int(flipped.sum())
    return Flips(
        multi_label=multi_label,
        decisions=decisions,
        total=total,
        rate=total / decisions,
        gained=gained,
        lost=lost,
        asymmetry_p=mcnemar_exact(lost, gained),
        rows=rows,
        row_rate=rows / len(changed),
        row_rate_upper_limit=clopper_pearson(rows, len(changed), confidence=0.9).high,
        per_label=_by_label(labels, changed),
        against_truth=None if truth is None else _judge(reference, backend, truth, labels, multi_label=multi_label),
    )


def _judge(
    reference: Decisions, backend: Decisions, truth: LabelMatrix, labels: tuple[str, ...], *, multi_label: bool
) -> NegativeFlips:
    was_right, is_right = reference == truth, backend == truth
    negative, positive = was_right & ~is_right, is_right & ~was_right
    if multi_label:
        lost, gained = int(negative.sum()), int(positive.sum())
    else:  # a row is right where its class is
        lost = int((was_right.all(axis=1) & ~is_right.all(axis=1)).sum())
        gained = int((is_right.all(axis=1) & ~was_right.all(axis=1)).sum())
    by_label = _by_label(labels, negative), _by_label(labels, positive)
    supported = [label for label, support in zip(labels, truth.sum(axis=0), strict=True) if support >= MIN_SUPPORT]
    adjusted = holm([mcnemar_one_sided(by_label[0][label], by_label[1][label]) for label in supported])
    per_label_p = dict(zip(supported, adjusted, strict=True))
    return NegativeFlips(
        negative=lost,
        positive=gained,
        p=mcnemar_one_sided(lost, gained),
        per_label_negative=by_label[0],
        per_label_positive=by_label[1],
        per_label_p=per_label_p,
        significantly_worse=tuple(label for label, p in per_label_p.items() if p < SIGNIFICANT),
        largest_loss=max(((by_label[0][label] - by_label[1][label]) / len(truth) for label in supported), default=None),
    )


def _by_label(labels: tuple[str, ...], cells: BoolArray) -> dict[str, int]:
    return dict(zip(labels, cells.sum(axis=0).tolist(), strict=True))


_SHARE = 99


@dataclass(frozen=True, slots=True)
class Margins:
    """Flips explained by margins: a decision flips where its logit moves across its threshold.

    Args:
        drift_logit: 99% of logits move by less. `at_risk`: share of decisions whose margin is smaller than that.
        predicted_flips: expected if a label's drift had nothing to do with its margin. Many more seen than predicted means
            that drift points across thresholds.
    """

    drift_logit: float
    at_risk: float
    predicted_flips: float
    observed_flips: int


def measure_margins(reference: Logits, backend: Logits, thresholds: FloatArray | float) -> Margins:
    """Margins of multi-label decisions.

    Args:
        reference, backend: logits, float32, (rows, labels).
        thresholds: probabilities, one for all labels or float64, (labels,).

    Raises:
        ValueError: different shapes, no rows, values that are not finite, or thresholds that are no probabilities.
    """
    require_comparable(reference, backend)
    # Decided as everywhere: near 1 a sigmoid rounds, and logits would say otherwise.
    was, now = (
        decide(to_probabilities(side, multi_label=True), thresholds, multi_label=True) for side in (reference, backend)
    )
    before, after = reference.astype(np.float64), backend.astype(np.float64)
    cuts = np.broadcast_to(logit(np.asarray(thresholds, dtype=np.float64)), before.shape[1:])
    margin, moved = before - cuts, after - before
    limit = float(np.percentile(np.abs(moved), _SHARE))
    predicted = 0.0
    for column in range(margin.shape[1]):
        drift = np.sort(moved[:, column])
        # A decision is yes at or above the threshold: it is lost below it, gained at it.
        falls_short = np.searchsorted(drift, -margin[:, column], side="left") / len(drift)
        predicted += float(np.where(was[:, column], falls_short, 1 - falls_short).sum())
    return Margins(
        drift_logit=limit,
        at_risk=float((np.abs(margin) < limit).mean()),
        predicted_flips=predicted,
        observed_flips=int((was != now).sum()),
    )
