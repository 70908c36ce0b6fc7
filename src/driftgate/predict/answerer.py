"""From windows of texts to windows of logits."""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from threading import Event
from typing import Any

import numpy as np

from driftgate.arrays import Logits
from driftgate.errors import NonFiniteLogitsError
from driftgate.inputs.batches import BudgetPlan, TokenBatch, make_batches
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.recorded_tokenizer import open_tokenizer
from driftgate.inputs.texts import Text, map_parts, name_rows, parts_of
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.pipeline import Built, choose_backends, open_built, prepare_backend
from driftgate.predict.reading.rows import Rejected, Row, Window
from driftgate.run.device import RunSettings

_CHUNK_ROWS = 512
_CHUNK_CHARS = 1 << 18
_FIRST_CUT_CHARS = 1 << 15


@dataclass(frozen=True, slots=True)
class Answerer:
    """A loaded model, as a job sees it.

    Args:
        sha256: of the files that answer.
        tokenize: texts to token ids, truncated at the model's limit.
        answer: a batch to logits, float32, (batch, labels).
        cuts_front: what is cut of a text that is too long is its beginning.
    """

    sha256: str
    tokenize: Callable[[Sequence[Text]], TokenizedTexts]
    answer: Callable[[TokenBatch], Logits]
    cuts_front: bool = False


def open_answerer(encoder: Encoder, backend: str, settings: RunSettings) -> Answerer:
    """Build (or take from the cache) and load a backend.

    Raises:
        DriftgateError: as `pipeline.prepare_backend` and `open_built`.
    """
    built = _build(encoder, backend, settings)
    opened = open_built(built, settings)
    tokenizer = open_tokenizer(built.encoder)
    return Answerer(
        _digest(built),
        lambda texts: tokenize(built.encoder, texts, tokenizer),
        lambda batch: opened.prepare(batch)(),
        tokenizer.truncation_side == "left",
    )


def find_digest(encoder: Encoder, backend: str, settings: RunSettings) -> str:
    """What `Answerer.sha256` will be, without loading the model.

    Raises:
        DriftgateError: as `pipeline.prepare_backend`.
    """
    return _digest(_build(encoder, backend, settings))


def _build(encoder: Encoder, backend: str, settings: RunSettings) -> Built:
    (spec,) = choose_backends(backend, device=settings.device.kind)
    return prepare_backend(encoder, spec)


def _digest(built: Built) -> str:
    return built.artifact.sha256 if built.artifact else built.encoder.sha256


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedWindow:
    """A window whose texts are token ids: `numbers` and `ids` of its rows, in order."""

    numbers: tuple[int, ...]
    ids: tuple[Any, ...]
    tokens: TokenizedTexts
    rejected: tuple[Rejected, ...]
    position: int


@dataclass(frozen=True, slots=True, eq=False)
class AnsweredWindow:
    """A window's logits, float32, (rows, labels), in the order of the input.

    Args:
        tokens: of its texts, special ones included, padding not.
        truncated: texts that were longer than the model's limit.
    """

    numbers: tuple[int, ...]
    ids: tuple[Any, ...]
    logits: Logits
    rejected: tuple[Rejected, ...]
    tokens: int
    truncated: int
    position: int


def tokenize_windows(windows: Iterable[Window], answerer: Answerer) -> Generator[TokenizedWindow]:
    """Token ids of each window."""
    for window in windows:
        tokens = _tokenize(window.rows, answerer)
        numbers, ids = tuple(row.number for row in window.rows), tuple(row.id for row in window.rows)
        yield TokenizedWindow(numbers, ids, tokens, window.rejected, window.position)


def _tokenize(rows: Sequence[Row], answerer: Answerer) -> TokenizedTexts:
    """In chunks: a tokenizer holds far more for each token than its id until the call is over."""
    if not rows:
        return TokenizedTexts((), None, (), pad_token_id=0)
    texts = [_cut(row.text, answerer) for row in rows]
    done: list[TokenizedTexts] = []
    start, chars = 0, 0
    for end, text in enumerate(texts, 1):
        chars += sum(map(len, parts_of(text)))
        if end == len(texts) or end - start >= _CHUNK_ROWS or chars >= _CHUNK_CHARS:
            done.append(answerer.tokenize(texts[start:end]))
            start, chars = end, 0
    first = done[0]
    types = [part.token_type_ids for part in done]
    return replace(
        first,
        input_ids=tuple(ids for part in done for ids in part.input_ids),
        token_type_ids=None if first.token_type_ids is None else tuple(ids for part in types for ids in part or ()),
        truncated=tuple(cut for part in done for cut in part.truncated),
    )


def _cut(text: Text, answerer: Answerer) -> Text:
    """Megabytes down to what is enough: the tokens kept are the same.

    Of a pair, only a text beside one that is within the model's limit alone: then it is the longer one before and behind. Two
    texts that are both beyond the limit keep half each, the longer one a token more, so that both have to be counted.
    """
    if isinstance(text, str):
        return _cut_one(text, answerer)
    if max(map(len, text)) <= _FIRST_CUT_CHARS or answerer.tokenize([min(text, key=len)]).truncated[0]:
        return text
    return map_parts(lambda part: _cut_one(part, answerer), text)


def _cut_one(text: str, answerer: Answerer) -> str:
    """A text of megabytes down to twice a prefix that is over the model's limit alone, or a suffix where the end is kept."""
    chars = _FIRST_CUT_CHARS
    while chars < len(text):
        part, twice = slice(chars), slice(2 * chars)
        if answerer.cuts_front:
            part, twice = slice(-chars, None), slice(-2 * chars, None)
        if answerer.tokenize([text[part]]).truncated[0]:
            return text[twice]
        chars *= 2
    return text


def answer_windows(
    windows: Generator[TokenizedWindow], answerer: Answerer, plan: BudgetPlan, labels: int, stop: Event
) -> Generator[AnsweredWindow]:
    """Logits of each window, its rows sorted into batches of one length. Ends early once `stop` is set.

    Raises:
        NonFiniteLogitsError: NaN or infinity, with the rows.
    """
    with closing(windows):
        for window in windows:
            tokens = window.tokens
            logits = np.empty((len(window.numbers), labels), dtype=np.float32)
            for batch in make_batches(tokens, plan):
                if stop.is_set():
                    return
                logits[list(batch.rows)] = answerer.answer(batch)
            _require_finite(logits, window.numbers)
            yield AnsweredWindow(
                window.numbers,
                window.ids,
                Logits(logits),
                window.rejected,
                int(tokens.lengths.sum()),
                sum(tokens.truncated),
                window.position,
            )


def answer_rows(rows: Sequence[Row], answerer: Answerer, plan: BudgetPlan, labels: int) -> AnsweredWindow:
    """One window of rows, tokenized and answered in the caller's thread.

    Raises:
        NonFiniteLogitsError: NaN or infinity, with the rows.
    """
    tokenized = tokenize_windows([Window(tuple(rows), (), 0)], answerer)
    (window,) = answer_windows(tokenized, answerer, plan, labels, Event())
    return window


@dataclass(frozen=True, slots=True, eq=False)
class AnsweredShare:
    """Logits of some batches of a window, float32, (rows, labels), and the places of their rows in it.

    Args:
        tokens, truncated: of the whole window, as `AnsweredWindow` has them.
    """

    rows: list[int]
    logits: Logits
    tokens: int
    truncated: int


def answer_share(
    rows: Sequence[Row], answerer: Answerer, plan: BudgetPlan, labels: int, number: int, of: int
) -> AnsweredShare:
    """Every `of`-th batch of a window, beginning with `number`: the same batches as of the whole window, and so the same bits.

    Raises:
        NonFiniteLogitsError: NaN or infinity, with the rows.
    """
    tokens = _tokenize(rows, answerer)
    batches = list(islice(make_batches(tokens, plan), number, None, of))
    places = [row for batch in batches for row in batch.rows]
    logits = np.concatenate([np.empty((0, labels), dtype=np.float32), *map(answerer.answer, batches)])
    _require_finite(logits, [rows[place].number for place in places])
    return AnsweredShare(places, Logits(logits), int(tokens.lengths.sum()), sum(tokens.truncated))


def _require_finite(logits: Any, numbers: Sequence[int]) -> None:
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1)).tolist()
    if bad:
        raise NonFiniteLogitsError(
            f"{len(bad)} of {len(numbers)} rows have NaN or infinite logits: rows {name_rows([str(numbers[at]) for at in bad])} "
            "of the input, counted from 0; look for float16 overflow or a damaged artifact"
        )
