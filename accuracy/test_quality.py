"""Is every backend as right as the reference, against the labels of the corpus, or its scores?"""

from driftgate.judge.parts import CALIBRATION, LOSSES, QUALITY, SCORE_QUALITY, SUBSET_ACCURACY


def test_quality_is_not_inferior_to_the_reference(gate_part):
    """With 95% confidence, F1, subset accuracy and MCC, or correlation, fall by less than the margin of the precision class."""
    gate_part(QUALITY, LOSSES, SUBSET_ACCURACY, SCORE_QUALITY)


def test_probabilities_are_as_well_calibrated(gate_part):
    """Brier score and expected calibration error rise by no more than the precision class allows."""
    gate_part(CALIBRATION)
