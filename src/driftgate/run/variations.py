"""The same rows answered in other company: random batches, and more padding than they need."""

from collections.abc import Sequence

import numpy as np

from driftgate.arrays import Logits
from driftgate.inputs.batches import TokenBatch, pad_rows
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.run.backend import Backend, gather_rows

BATCH_SIZES = (1, 4, 8)
PADDING = (0, 1, 7, 64)


def answer_in_random_batches(backend: Backend, tokens: TokenizedTexts, seed: int = 0) -> list[Logits]:
    """Logits of every row, once for each of `BATCH_SIZES`, with batch mates drawn anew each time."""
    generator = np.random.default_rng(seed)
    answers = []
    for size in BATCH_SIZES:
        order = generator.permutation(len(tokens)).tolist()
        batches = [pad_rows(tokens, order[start : start + size]) for start in range(0, len(order), size)]
        answers.append(_gather(backend, batches))
    return answers


def answer_with_padding(backend: Backend, tokens: TokenizedTexts, max_tokens: int) -> list[Logits]:
    """Logits of every row alone, padded by each of `PADDING` and up to `max_tokens`, the encoder's limit."""
    widths = [[min(length + extra, max_tokens) for length in tokens.lengths.tolist()] for extra in PADDING]
    widths.append([max_tokens] * len(tokens))
    return [
        _gather(backend, [pad_rows(tokens, [row], width=width) for row, width in enumerate(of_rows)])
        for of_rows in widths
    ]


def _gather(backend: Backend, batches: Sequence[TokenBatch]) -> Logits:
    return gather_rows(backend.spec.name, ((batch.rows, backend.prepare(batch)()) for batch in batches))
