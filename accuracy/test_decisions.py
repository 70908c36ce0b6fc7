"""Does every backend still decide the same? Flips, ranking of labels, how often each is predicted."""

from driftgate.judge.agreement import measure_agreement
from driftgate.judge.calibration import measure_prevalence
from driftgate.judge.flips import count_flips
from driftgate.judge.margins import measure_margins


def test_flips_stay_within_bounds(predictions, gate, results):
    """Few label decisions differ from the reference's, at 0.5 and at the encoder's own thresholds."""
    values = {}
    for policy, thresholds in predictions.policies.items():
        flips = count_flips(
            predictions.decisions(predictions.reference, thresholds),
            predictions.decisions(predictions.logits, thresholds),
            predictions.encoder.labels,
            truth=predictions.corpus.labels,
            multi_label=predictions.multi_label,
        )
        results.add_flips(predictions.backend, policy, flips)
        if predictions.multi_label:
            margins = measure_margins(predictions.reference, predictions.logits, thresholds)
            results.add(predictions.backend, "margins", margins, policy)
        values[predictions.metric("flip_rate", policy)] = flips.rate
        if flips.against_truth is not None:
            worse = flips.against_truth.significantly_worse
            values[predictions.metric("labels_significantly_worse", policy)] = len(worse)
    gate(values)


def test_ranking_of_labels_stays_within_bounds(predictions, gate, results):
    """The most probable label of a text, and the order of the rest, are the reference's."""
    agreement = measure_agreement(predictions.reference, predictions.logits)
    results.add(predictions.backend, "agreement", agreement)
    gate({"top1_disagreement": 1 - agreement.top1})


def test_no_label_becomes_more_or_less_frequent(predictions, gate, results):
    """The mean probability of each label over the corpus stays where it is: drift without a direction."""
    for policy, thresholds in predictions.policies.items():
        shift = measure_prevalence(
            predictions.probabilities(predictions.reference),
            predictions.probabilities(predictions.logits),
            predictions.decisions(predictions.reference, thresholds),
            predictions.decisions(predictions.logits, thresholds),
            predictions.encoder.labels,
        )
        results.add(predictions.backend, "prevalence", shift, policy)
    gate({"largest_prevalence_shift": shift.largest_shift})
