"""Backends around a good one that ask it wrongly, or hand on its answer wrongly."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec
from driftgate.inputs.batches import TokenBatch
from driftgate.run.backend import Backend, InForce, Prepared

Ask = Callable[[TokenBatch], TokenBatch]
HandOn = Callable[[Logits, TokenBatch], Logits]

TRUNCATED_TOKENS = 128
LATE_TOKENS = 384
"""Three quarters of what the embedded encoder takes."""


class Wrapped:
    """A good backend, asked through `ask` and answering through `hand_on`."""

    def __init__(self, spec: BackendSpec, good: Backend, ask: Ask | None = None, hand_on: HandOn | None = None) -> None:
        self.spec = spec
        self._good = good
        self._ask = ask or (lambda batch: batch)
        self._hand_on = hand_on or (lambda logits, batch: logits)  # noqa: ARG005

    @property
    def in_force(self) -> InForce:
        return self._good.in_force

    def prepare(self, batch: TokenBatch) -> Prepared:
        run = self._good.prepare(self._ask(batch))
        return lambda: self._hand_on(run(), batch)


class Stale:
    """Answers a batch with what it answered the last batch of that shape: outputs kept in a buffer that nobody refills."""

    def __init__(self, spec: BackendSpec, good: Backend) -> None:
        self.spec = spec
        self._good = good
        self._kept: dict[tuple[int, ...], Logits] = {}

    @property
    def in_force(self) -> InForce:
        return self._good.in_force

    def prepare(self, batch: TokenBatch) -> Prepared:
        run = self._good.prepare(batch)

        def answer() -> Logits:
            if batch.input_ids.shape not in self._kept:
                self._kept[batch.input_ids.shape] = run()
            return self._kept[batch.input_ids.shape]

        return answer


def drop_mask(batch: TokenBatch) -> TokenBatch:
    return replace(batch, attention_mask=np.ones_like(batch.attention_mask))


def truncate(batch: TokenBatch, tokens: int = TRUNCATED_TOKENS) -> TokenBatch:
    """Every row cut to `tokens`, with its own closing token last, as a tokenizer would."""
    if batch.input_ids.shape[1] <= tokens:
        return batch
    ids, mask = batch.input_ids[:, :tokens].copy(), batch.attention_mask[:, :tokens].copy()
    for row, length in enumerate(batch.attention_mask.sum(axis=1).tolist()):
        if length > tokens:
            ids[row, -1] = batch.input_ids[row, length - 1]
    types = None if batch.token_type_ids is None else batch.token_type_ids[:, :tokens].copy()
    return TokenBatch(batch.rows, ids, mask, types)


def take_lengths_for_mask(batch: TokenBatch) -> TokenBatch:
    """As many tokens of each row as its mask counts, from the first on: right where padding stands behind the text only."""
    lengths = batch.attention_mask.sum(axis=1, keepdims=True)
    return replace(batch, attention_mask=(np.arange(batch.input_ids.shape[1]) < lengths).astype(np.int64))


def fill_holes(batch: TokenBatch) -> TokenBatch:
    """All tokens from the first that the mask keeps to the last: right for padding on either side."""
    from_front = np.maximum.accumulate(batch.attention_mask, axis=1)
    from_behind = np.maximum.accumulate(batch.attention_mask[:, ::-1], axis=1)[:, ::-1]
    return replace(batch, attention_mask=from_front * from_behind)


def pad_left(batch: TokenBatch) -> TokenBatch:
    """The padding of every row moved in front of it."""

    def move(array: np.ndarray) -> np.ndarray:
        lengths = batch.attention_mask.sum(axis=1)
        return np.stack([np.roll(row, len(row) - length) for row, length in zip(array, lengths, strict=True)])

    types = None if batch.token_type_ids is None else move(batch.token_type_ids)
    return TokenBatch(batch.rows, move(batch.input_ids), move(batch.attention_mask), types)


def swap_two_labels(logits: Logits, batch: TokenBatch) -> Logits:  # noqa: ARG001
    swapped = logits.copy()
    swapped[:, [2, 3]] = logits[:, [3, 2]]
    return Logits(swapped)


def softmax(logits: Logits, batch: TokenBatch) -> Logits:  # noqa: ARG001
    """The logits whose sigmoid is the softmax."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    shares = powers / powers.sum(axis=1, keepdims=True)
    return Logits(np.log(shares / (1 - shares)).astype(np.float32))


def sigmoid(logits: Logits, batch: TokenBatch) -> Logits:  # noqa: ARG001
    """Probabilities handed on as logits: whoever reads them takes the sigmoid again."""
    return Logits((1 / (1 + np.exp(-logits.astype(np.float64)))).astype(np.float32))


def reverse_rows(logits: Logits, batch: TokenBatch) -> Logits:  # noqa: ARG001
    return Logits(logits[::-1].copy())


def put_nan_into_one_logit(logits: Logits, batch: TokenBatch) -> Logits:
    """NaN in the last label of row 0."""
    if 0 not in batch.rows:
        return logits
    damaged = logits.copy()
    damaged[batch.rows.index(0), -1] = np.nan
    return Logits(damaged)
