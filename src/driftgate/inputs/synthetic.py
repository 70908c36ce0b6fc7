"""Batches of a given shape, with random tokens: what a grid of shapes is timed on."""

from dataclasses import dataclass

import numpy as np

from driftgate.edges.limits import BATCH_SIZE, BATCH_TOKENS, SEQUENCE_LENGTH
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import load_tokenizer


@dataclass(frozen=True, slots=True)
class Shape:
    """Rows of a batch, and the tokens of each, special ones included; nothing is padded."""

    batch_size: int
    sequence_length: int

    def __post_init__(self) -> None:
        BATCH_SIZE.require(self.batch_size)
        SEQUENCE_LENGTH.require(self.sequence_length)
        BATCH_TOKENS.require(self.batch_size * self.sequence_length)

    @property
    def name(self) -> str:
        """Such as "b4_s128", as ONNX Runtime's benchmark calls it."""
        return f"b{self.batch_size}_s{self.sequence_length}"


def random_batch(encoder: Encoder, shape: Shape, seed: int = 0) -> TokenBatch:
    """Ids drawn evenly from the encoder's vocabulary, special tokens left out; a mask of ones.

    Seed and shape say which ids they are. Segments are all 0, and there only where the encoder's tokenizer gives them.
    """
    tokenizer = load_tokenizer(encoder)
    vocabulary = np.setdiff1d(np.arange(encoder.vocab_size, dtype=np.int64), tokenizer.all_special_ids)
    size = shape.batch_size, shape.sequence_length
    input_ids = np.random.default_rng([seed, *size]).choice(vocabulary, size=size)
    types = np.zeros_like(input_ids) if "token_type_ids" in tokenizer.model_input_names else None
    return TokenBatch(tuple(range(shape.batch_size)), input_ids, np.ones_like(input_ids), types)
