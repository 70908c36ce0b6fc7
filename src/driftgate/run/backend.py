"""The protocol every backend keeps, and prediction over a whole corpus, also in other batches and with more padding."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec
from driftgate.errors import NonFiniteLogitsError, SequenceTooLongError
from driftgate.inputs.batches import BatchPlan, TokenBatch, make_batches, pad_rows
from driftgate.inputs.tokens import TokenizedTexts

Prepared = Callable[[], Logits]
"""One batch, ready to run: everything but the model's own work is done. Safe to call again."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What really runs, read back after loading.

    Args:
        provider: ONNX Runtime's execution provider or torch's device.
        arithmetic: the type in which products are computed, which is float32 for float16 weights on a CPU.
        threads: intra-op threads.
    """

    provider: str
    arithmetic: str
    threads: int


class Backend(Protocol):
    """A way to run the encoder, loaded and ready."""

    @property
    def spec(self) -> BackendSpec:
        """What it was opened as."""

    @property
    def in_force(self) -> InForce:
        """What really runs, read back."""

    def prepare(self, batch: TokenBatch) -> Prepared:
        """Move the batch to where the model runs. The callable gives logits, float32, (batch, labels).

        Raises:
            SequenceTooLongError: the batch is wider than the encoder has positions.
        """
        ...


def require_positions(batch: TokenBatch, max_tokens: int) -> None:
    """Refuse a batch wider than the encoder has positions: some runtimes would read past the table or wrap around.

    Raises:
        SequenceTooLongError: with both lengths.
    """
    width = batch.input_ids.shape[1]
    if width > max_tokens:
        raise SequenceTooLongError(
            f"a batch of {width} tokens, expected at most {max_tokens}, the encoder's limit; truncate texts first "
            "(driftgate.inputs.tokens.tokenize does)"
        )


def predict(backend: Backend, tokens: TokenizedTexts, plan: BatchPlan) -> Logits:
    """Logits of every row, float32, (rows, labels), in corpus order whatever the plan.

    Raises:
        NonFiniteLogitsError: NaN or infinity, with the rows.
    """
    return _answer(backend, make_batches(tokens, plan))


def gather_rows(backend_name: str, answers: Iterable[tuple[tuple[int, ...], Logits]]) -> Logits:
    """Put batch answers back into corpus order.

    Args:
        answers: the rows of each batch and its logits, float32, (batch, labels).

    Raises:
        NonFiniteLogitsError: NaN or infinity, with the rows.
    """
    collected = list(answers)
    rows = np.array([row for batch_rows, _ in collected for row in batch_rows], dtype=np.int64)
    values = np.concatenate([logits for _, logits in collected])
    logits = np.empty_like(values)
    logits[rows] = values
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if bad.size:
        shown = ", ".join(map(str, bad[:10].tolist()))
        raise NonFiniteLogitsError(
            f"backend {backend_name}: {bad.size} of {len(logits)} rows have NaN or infinite logits (rows {shown}); "
            "look for float16 overflow or a damaged artifact"
        )
    return Logits(logits)


BATCH_SIZES = (1, 8)
PADDING = (0, 1, 7, 64)


def answer_in_random_batches(backend: Backend, tokens: TokenizedTexts, seed: int = 0) -> list[Logits]:
    """Logits, float32, (rows, labels), once for each of `BATCH_SIZES`, with the rows of each batch drawn again each time."""
    generator = np.random.default_rng(seed)
    answers = []
    for size in BATCH_SIZES:
        order = generator.permutation(len(tokens)).tolist()
        batches = [pad_rows(tokens, order[start : start + size]) for start in range(0, len(order), size)]
        answers.append(_answer(backend, batches))
    return answers


def answer_with_padding(backend: Backend, tokens: TokenizedTexts, max_tokens: int) -> list[Logits]:
    """Logits, float32, (rows, labels), of every row alone, padded by each of `PADDING` and up to `max_tokens`, the limit."""
    widths = [[min(length + extra, max_tokens) for length in tokens.lengths.tolist()] for extra in PADDING]
    widths.append([max_tokens] * len(tokens))
    return [
        _answer(backend, [pad_rows(tokens, [row], width=width) for row, width in enumerate(of_rows)])
        for of_rows in widths
    ]


def _answer(backend: Backend, batches: Iterable[TokenBatch]) -> Logits:
    return gather_rows(backend.spec.name, ((batch.rows, backend.prepare(batch)()) for batch in batches))
