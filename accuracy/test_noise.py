"""Does the answer for a text depend on the other texts of its batch, or on the padding after it?"""

from driftgate.judge.parts import NOISE


def test_answers_depend_little_on_batch_mates_and_padding(gate_part):
    """Rows answer the same as among the corpus, alone, in random batches of 8, and with padding up to the encoder's limit."""
    gate_part(NOISE)
