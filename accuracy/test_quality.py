"""Is every backend as right as the reference, against the labels of the corpus?"""

import pytest

from driftgate.judge.bootstrap import paired_losses
from driftgate.judge.calibration import measure_calibration
from driftgate.judge.quality import measure_quality
from driftgate.judge.subset_accuracy import compare_subset_accuracy

# Judged by non-inferiority; the other metrics are reported with their intervals.
GATED = ("micro_f1", "macro_f1", "macro_f1_supported", "subset_accuracy", "mcc")


@pytest.fixture
def truth(predictions):
    if predictions.corpus.labels is None:
        pytest.skip(f"corpus {predictions.corpus.name} has no labels: drift and flips only")
    return predictions.corpus.labels


def test_quality_is_not_inferior_to_the_reference(predictions, truth, gate, results):
    """With 95% confidence, F1, subset accuracy and MCC fall by less than the margin of the precision class."""
    values = {}
    for policy, thresholds in predictions.policies.items():
        decisions = {
            "reference": predictions.decisions(predictions.reference, thresholds),
            predictions.backend: predictions.decisions(predictions.logits, thresholds),
        }
        for side, own in decisions.items():
            quality = measure_quality(own, truth, predictions.encoder.labels, multi_label=predictions.multi_label)
            results.add(side, "quality", quality, policy)
        losses = paired_losses(
            decisions["reference"], decisions[predictions.backend], truth, multi_label=predictions.multi_label
        )
        results.add_losses(predictions.backend, policy, losses)
        rows = compare_subset_accuracy(decisions["reference"], decisions[predictions.backend], truth)
        results.add(predictions.backend, "subset_accuracy", rows, policy)
        values |= {predictions.metric(f"{metric}_loss_upper_limit", policy): losses[metric].high for metric in GATED}
    gate(values)


def test_probabilities_are_as_well_calibrated(predictions, truth, gate, results):
    """Brier score and expected calibration error rise by no more than the precision class allows."""
    found = {}
    for side, logits in (("reference", predictions.reference), (predictions.backend, predictions.logits)):
        found[side] = measure_calibration(predictions.probabilities(logits), truth)
        results.add(side, "calibration", found[side])
    before, after = found["reference"], found[predictions.backend]
    gate(
        {
            "brier_increase": after.brier - before.brier,
            "calibration_error_increase": after.expected_calibration_error - before.expected_calibration_error,
        }
    )
