"""Backends with one fault each that only pairs of texts show, and which property of `accuracy/test_pairs.py` finds it."""

from dataclasses import replace

import numpy as np
from faulty_backends import Ask, Fault

from driftgate.arrays import Logits
from driftgate.inputs.batches import TokenBatch

CLOSING_ID = 3
"""[SEP] of the tiny BERT's tokenizer."""


def errs_beside_an_empty_second(batch: TokenBatch, honest: Ask) -> Logits:
    """Two closing tokens, one behind the other."""
    closing = (batch.input_ids == CLOSING_ID) & (batch.attention_mask == 1)
    empty = (closing[:, 1:] & closing[:, :-1]).any(axis=1, keepdims=True)
    return Logits(honest(batch) + np.float32(1e-3) * empty)


def answers_the_first_order_it_saw(batch: TokenBatch, honest: Ask) -> Logits:
    """Rows of the same tokens are taken for the same pair."""
    logits = honest(batch)
    kept = [np.sort(ids[mask == 1]).tobytes() for ids, mask in zip(batch.input_ids, batch.attention_mask, strict=True)]
    return Logits(np.stack([logits[kept.index(tokens)] for tokens in kept]))


def works_segments_out_itself(batch: TokenBatch, honest: Ask) -> Logits:
    """From the closing tokens, whatever is fed."""
    closing = (batch.input_ids == CLOSING_ID) & (batch.attention_mask == 1)
    behind = np.cumsum(closing, axis=1) - closing
    types = np.where(batch.attention_mask == 1, np.minimum(behind, 1), 0)
    return honest(replace(batch, token_type_ids=types))


PAIR_FAULTS = (
    Fault(errs_beside_an_empty_second, "pairs_are_answered_as_the_reference_answers_them"),
    Fault(answers_the_first_order_it_saw, "exchanged_texts_are_answered_as_the_reference_answers_them"),
    Fault(works_segments_out_itself, "segments_mean_what_they_mean_to_the_reference"),
)
