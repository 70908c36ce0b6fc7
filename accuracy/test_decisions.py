"""Does every backend still decide the same? Flips, ranking of labels, how often each is predicted."""

from driftgate.judge.parts import AGREEMENT, FLIPS, MARGINS, PREVALENCE


def test_flips_stay_within_bounds(gate_part):
    """Few label decisions differ from the reference's, at 0.5 and at the encoder's own thresholds."""
    gate_part(FLIPS, MARGINS)


def test_ranking_of_labels_stays_within_bounds(gate_part):
    """The most probable label of a text, and the order of the rest, are the reference's."""
    gate_part(AGREEMENT)


def test_no_label_becomes_more_or_less_frequent(gate_part):
    """The mean probability of each label over the corpus stays where it is: drift without a direction."""
    gate_part(PREVALENCE)
