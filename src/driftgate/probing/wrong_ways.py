"""Every wrong way that is known to ask a model: masks, padding, lengths, case."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from driftgate.arrays import IntArray
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import load_tokenizer

LONGEST = 512
"""Tokens of the longest text that is asked."""
Ask = Callable[[TokenBatch], TokenBatch]


def move_padding(batch: TokenBatch) -> TokenBatch:
    """The same rows with their padding on the other side."""
    mask = batch.attention_mask
    shift = np.where(mask[:, :1] == 1, mask.shape[1] - mask.sum(axis=1, keepdims=True), mask.sum(axis=1, keepdims=True))
    places = (np.arange(mask.shape[1]) - shift) % mask.shape[1]
    return _changed(batch, lambda array: np.take_along_axis(array, places, axis=1))


def _pad_on(side: str, batch: TokenBatch) -> TokenBatch:
    """Padding moved to this side, where it is not there already."""
    there = batch.attention_mask[:, -1 if side == "left" else 0].all()
    return batch if there else move_padding(batch)


def with_holes(batch: TokenBatch) -> TokenBatch:
    """Every third token of a text is hidden, never its first."""
    mask = batch.attention_mask.copy()
    mask[:, 2::3] = 0
    return replace(batch, attention_mask=mask)


def _changed(batch: TokenBatch, change: Callable[[IntArray], IntArray]) -> TokenBatch:
    types = None if batch.token_type_ids is None else change(batch.token_type_ids)
    return TokenBatch(batch.rows, change(batch.input_ids), change(batch.attention_mask), types)


def _fill_holes(batch: TokenBatch) -> TokenBatch:
    mask = batch.attention_mask
    behind = np.maximum.accumulate(mask[:, ::-1], axis=1)[:, ::-1]
    return replace(batch, attention_mask=np.maximum.accumulate(mask, axis=1) * behind)


def _count_tokens(batch: TokenBatch) -> TokenBatch:
    mask = batch.attention_mask
    return replace(batch, attention_mask=(np.arange(mask.shape[1]) < mask.sum(axis=1, keepdims=True)).astype(np.int64))


def _ignore_mask(batch: TokenBatch) -> TokenBatch:
    return replace(batch, attention_mask=np.ones_like(batch.attention_mask))


def _cut(batch: TokenBatch, *, tokens: int, keep_last: bool) -> TokenBatch:
    if batch.input_ids.shape[1] <= tokens:
        return batch
    shorter = _changed(batch, lambda array: array[:, :tokens].copy())
    for row, mask in enumerate(batch.attention_mask):
        places = np.flatnonzero(mask)
        if keep_last and places.size and places[-1] >= tokens:
            shorter.input_ids[row, -1] = batch.input_ids[row, places[-1]]
    return shorter


def _lower_case(tokenizer: Any, batch: TokenBatch) -> TokenBatch:
    """Every word in lower case, where that is as many tokens; other rows are left as they are."""
    ids = batch.input_ids.copy()
    for row, mask in enumerate(batch.attention_mask):
        places = np.flatnonzero(mask)[1:-1]
        text = tokenizer.decode(ids[row, places])
        found = tokenizer(text.lower(), add_special_tokens=False, verbose=False)["input_ids"][: len(places)]
        ids[row, places[: len(found)]] = found
    return replace(batch, input_ids=ids)


def _without_segments(batch: TokenBatch) -> TokenBatch:
    types = batch.token_type_ids
    return batch if types is None else replace(batch, token_type_ids=np.zeros_like(types))


def list_ways(encoder: Encoder, lengths: Sequence[int]) -> Iterator[tuple[str, str, Ask]]:
    """Cause, sentence and how the reference is asked to answer as if it were so."""
    yield "mask-ignored", "the attention mask is ignored: padding is read as text", _ignore_mask
    tokenizer = load_tokenizer(encoder)
    other = "right" if tokenizer.padding_side == "left" else "left"
    for move in (partial(_pad_on, other), move_padding):
        yield "padding-side", "texts are padded on the other side than the encoder was trained with", move
    yield (
        "mask-counted",
        "the mask is read as a number of tokens, which is right for padding behind the text only",
        _count_tokens,
    )
    yield (
        "mask-holes",
        "zeros of the mask between two tokens are not read: only the first and the last token count",
        _fill_holes,
    )
    yield "lower-cased", "texts are lower-cased by another tokenizer", partial(_lower_case, tokenizer)
    yield "segments-ignored", "token types are ignored: both texts of a pair are read as one", _without_segments
    for length in lengths:
        sentence = f"texts are cut at {length} tokens"
        yield "truncated", sentence, partial(_cut, tokens=length, keep_last=True)
        yield "truncated", f"{sentence}, without the closing token", partial(_cut, tokens=length, keep_last=False)


def cut_lengths(max_tokens: int) -> list[int]:
    """Where people cut texts: powers of two, their thirds more, and three quarters of the limit."""
    limit = min(max_tokens, LONGEST)
    usual = {16, 24, 32, 48, 50, 64, 96, 100, 120, 126, 128, 192, 200, 250, 254, 256, 300, 384, 400, 500, 510}
    return sorted(length for length in {*usual, limit // 2, limit * 3 // 4, limit - 1, limit - 2} if 4 < length < limit)  # noqa: PLR2004
