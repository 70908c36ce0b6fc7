"""Everything that decides whether a backend may stand for the reference on one corpus, in one record."""

from collections.abc import Mapping
from dataclasses import dataclass

from driftgate.arrays import FloatArray, LabelMatrix, Logits
from driftgate.judge.agreement import Agreement, measure_agreement
from driftgate.judge.bootstrap import PairedLoss, paired_losses
from driftgate.judge.bounds import policy_metric
from driftgate.judge.drift import Drift, measure_drift
from driftgate.judge.flips import Flips, count_flips
from driftgate.judge.probabilities import decide, to_probabilities
from driftgate.judge.quality import Quality, measure_quality

GATED_QUALITY = ("micro_f1", "macro_f1", "macro_f1_supported", "subset_accuracy", "mcc")
"""Held to their bound by the upper limit of their loss; the accuracy suite gates the same."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A backend beside the reference.

    Args:
        flips: by decision policy, such as "at 0.5".
        quality, reference_quality: of either side, by policy; empty for a corpus without labels.
        losses: what the backend loses, by policy and metric; likewise.
    """

    drift: Drift
    agreement: Agreement
    flips: Mapping[str, Flips]
    quality: Mapping[str, Quality]
    reference_quality: Mapping[str, Quality]
    losses: Mapping[str, Mapping[str, PairedLoss]]

    @property
    def gated(self) -> dict[str, float]:
        """What bounds are held against, by metric name."""
        largest = self.drift.largest_per_text
        values = {
            "max_abs_logit_drift": self.drift.max_abs_logit,
            "max_abs_probability_drift": largest.max,
            "p99_of_largest_probability_drift": largest.percentiles["p99"],
            "mean_of_largest_probability_drift": largest.mean,
            "top1_disagreement": 1 - self.agreement.top1,
        }
        for policy, flips in self.flips.items():
            values[policy_metric("flip_rate", policy)] = flips.rate
            if flips.against_truth is not None:
                worse = flips.against_truth.significantly_worse
                values[policy_metric("labels_significantly_worse", policy)] = len(worse)
        for policy, losses in self.losses.items():
            for metric in GATED_QUALITY:
                values[policy_metric(f"{metric}_loss_upper_limit", policy)] = losses[metric].high
        return values


def compare(
    reference: Logits,
    backend: Logits,
    labels: tuple[str, ...],
    policies: Mapping[str, FloatArray | float],
    truth: LabelMatrix | None,
    *,
    multi_label: bool,
) -> Comparison:
    """Compare logits, float32, (rows, labels).

    Args:
        policies: decision thresholds by name: one for all labels, or float64, (labels,).
        truth: bool, (rows, labels), or None where nobody labelled the texts.

    Raises:
        ValueError: different shapes, no rows, or values that are not finite.
    """
    drift = measure_drift(reference, backend, labels, multi_label=multi_label)
    probabilities = [to_probabilities(side, multi_label=multi_label) for side in (reference, backend)]
    flips, quality, reference_quality, losses = {}, {}, {}, {}
    for policy, thresholds in policies.items():
        theirs, own = (decide(side, thresholds, multi_label=multi_label) for side in probabilities)
        flips[policy] = count_flips(theirs, own, labels, truth=truth, multi_label=multi_label)
        if truth is not None:
            quality[policy] = measure_quality(own, truth, labels, multi_label=multi_label)
            reference_quality[policy] = measure_quality(theirs, truth, labels, multi_label=multi_label)
            losses[policy] = paired_losses(theirs, own, truth, multi_label=multi_label)
    return Comparison(drift, measure_agreement(reference, backend), flips, quality, reference_quality, losses)
