"""Pairs of texts that a good backend is asked wrongly about: their batches taken apart, and put together otherwise.

A pair is an opening token, the first text, one closing token (BERT and its kin) or two (RoBERTa and its kin), the second text and
a closing token. Rows of one text are left as they are.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from driftgate.arrays import IntArray
from driftgate.inputs.batches import TokenBatch


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """A pair taken apart: token ids of its texts, and of what stands before, between and behind them."""

    opening: IntArray
    first: IntArray
    between: IntArray
    second: IntArray
    closing: IntArray


Sides = tuple[list[IntArray], list[IntArray]]
"""What becomes the first segment, and what the second."""


def exchange_texts(batch: TokenBatch) -> TokenBatch:
    """The hypothesis is asked for, given the premise."""
    return _rebuilt(batch, lambda pair: ([pair.opening, pair.second, pair.between], [pair.first, pair.closing]))


def drop_second(batch: TokenBatch) -> TokenBatch:
    """Whoever serves the model tokenizes one text."""
    return _rebuilt(batch, lambda pair: ([pair.opening, pair.first, pair.closing], []))


def join_texts(batch: TokenBatch) -> TokenBatch:
    """Both texts in one, nothing between them."""
    return _rebuilt(batch, lambda pair: ([pair.opening, pair.first, pair.second, pair.closing], []))


def separate_once(batch: TokenBatch) -> TokenBatch:
    """BERT's template for a model that was trained with RoBERTa's: one closing token between the texts."""
    return _rebuilt(batch, lambda pair: ([pair.opening, pair.first, pair.between[:1]], [pair.second, pair.closing]))


def zero_segments(batch: TokenBatch) -> TokenBatch:
    """All is one segment: segments are not fed, or RoBERTa's template is used for a model that was trained with BERT's."""
    return replace(batch, token_type_ids=None if batch.token_type_ids is None else np.zeros_like(batch.input_ids))


def _rebuilt(batch: TokenBatch, put: Callable[[Taken], Sides]) -> TokenBatch:
    ids, mask = batch.input_ids.copy(), batch.attention_mask.copy()
    types = None if batch.token_type_ids is None else batch.token_type_ids.copy()
    for row in range(len(ids)):
        places = np.flatnonzero(batch.attention_mask[row])
        taken = _take_apart(batch.input_ids[row, places])
        if taken is None:
            continue
        first, second = (np.concatenate(side) if side else np.array([], np.int64) for side in put(taken))
        kept = places[: len(first) + len(second)]
        mask[row, places] = 0  # what becomes shorter leaves padding behind
        ids[row, kept], mask[row, kept] = np.concatenate([first, second]), 1
        if types is not None:
            types[row, kept] = np.repeat([0, 1], [len(first), len(second)])
    return TokenBatch(batch.rows, ids, mask, types)


def _take_apart(ids: IntArray) -> Taken | None:
    """The parts of a row; None of a single text, or one with literal closing tokens, whose end nobody can tell."""
    closed = np.flatnonzero(ids == ids[-1])
    if len(closed) not in (2, 3) or closed[-2] - closed[0] != len(closed) - 2:
        return None
    start, end = int(closed[0]), int(closed[-2]) + 1
    return Taken(ids[:1], ids[1:start], ids[start:end], ids[end:-1], ids[-1:])
