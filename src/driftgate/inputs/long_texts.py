"""Texts as long as an encoder takes them, joined of a corpus' own rows.

What people write is mostly short: the rows of a corpus seldom reach the positions late in an input, where a cut input or a
damaged position table shows. One row repeated would not show it either, since half of a repetition answers like the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from driftgate.errors import LongTextsError
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.texts import Text, is_pair, join_texts
from driftgate.inputs.tokens import TokenizedTexts, tokenize

LENGTHS: Mapping[str, int] = {"quarter": 4, "half": 2, "limit": 1}
"""What the encoder's limit is divided by, by the name of the length."""
LEAST_ROWS, MOST_ROWS = 12, 40
TOKENS_PER_LENGTH = 24_576
"""What the rows of one length may cost: twelve of 2,048 tokens."""
_TEXTS_DRAWN = 4_096
"""More than a row of 2,048 tokens needs: of a larger corpus, so many texts are looked at."""


def length_of(encoder: Encoder, name: str) -> int:
    """Tokens of a row, special ones included."""
    return encoder.max_tokens // LENGTHS[name]


def count_rows(encoder: Encoder, corpus_tokens: int) -> int:
    """How many rows of each length are judged: 12, and up to 40 as long as all lengths have an eighth of the corpus' tokens.

    That is less than a tenth of the run: a token of 512 took up to 1.5 times as long as one of a comment, and a run does as
    much again besides answering the corpus.

    Args:
        corpus_tokens: of all rows of the corpus together.
    """
    tokens_a_row = sum(length_of(encoder, name) for name in LENGTHS)
    return min(MOST_ROWS, max(LEAST_ROWS, corpus_tokens // (8 * tokens_a_row)))


def make_lengths(encoder: Encoder, corpus: Corpus, corpus_tokens: int) -> tuple[dict[str, TokenizedTexts], list[str]]:
    """Rows of every length, by its name, and a sentence about each length that is left out, which says why.

    Args:
        corpus_tokens: of all rows of the corpus together.
    """
    made: dict[str, TokenizedTexts] = {}
    left_out: list[str] = []
    for name in LENGTHS:
        try:
            made[name] = make_long_texts(encoder, corpus, length_of(encoder, name), count_rows(encoder, corpus_tokens))
        except LongTextsError as error:
            left_out.append(str(error))
    return made, left_out


def make_long_texts(encoder: Encoder, corpus: Corpus, length: int, rows: int) -> TokenizedTexts:
    """Up to `rows` different rows of exactly `length` tokens: texts of the corpus in random order, none of them twice in a row.

    The same corpus makes the same rows. Texts are joined by spaces, of pairs the first and the second ones apart, and the
    encoder's own tokenizer cuts them at `length`, so that special tokens are where they belong.

    Raises:
        LongTextsError: the corpus has too little text for `LEAST_ROWS` such rows, or these would cost too much.
    """
    if length * LEAST_ROWS > TOKENS_PER_LENGTH:
        raise LongTextsError(
            f"{LEAST_ROWS} rows of {length:,} tokens would cost {length * LEAST_ROWS:,} tokens a backend, more than the "
            f"{TOKENS_PER_LENGTH:,} that one length may cost; inputs of this length were not judged"
        )
    texts = list(dict.fromkeys(corpus.sample(_TEXTS_DRAWN).texts))
    orders = [_draw_order(len(texts), row) for row in range(2 * rows)]  # some may come out as the same tokens
    joined = _join(replace(encoder, max_tokens=length), texts, orders)
    found = {ids.tobytes(): row for row, ids in reversed(list(enumerate(joined.input_ids))) if len(ids) == length}
    if len(found) < min(LEAST_ROWS, rows):
        raise LongTextsError(
            f"corpus {corpus.name}: expected text for {LEAST_ROWS} different rows of {length:,} tokens, its {len(texts):,} "
            f"different texts make {len(found)}; inputs of this length were not judged. Give a corpus with more text"
        )
    return joined.take(sorted(found.values())[:rows])


def _draw_order(texts: int, row: int) -> list[int]:
    """The texts in random order, the same for the same row; as many rows as there are texts begin with different ones."""
    first = int(np.random.default_rng(0).permutation(texts)[row % texts])
    rest = np.random.default_rng([1, row]).permutation(texts).tolist()
    return [first, *(text for text in rest if text != first)]


def _join(encoder: Encoder, texts: Sequence[Text], orders: Sequence[Sequence[int]]) -> TokenizedTexts:
    """The texts in each of the orders up to `encoder.max_tokens` tokens, cut there; shorter where all texts have fewer."""
    nothing: Text = ("", "") if is_pair(texts[0]) else ""
    lengths = tokenize(encoder, texts).lengths - len(tokenize(encoder, [nothing]).input_ids[0])
    taken = [int(np.searchsorted(np.cumsum(lengths[order]), encoder.max_tokens)) + 1 for order in orders]
    while True:
        joined = (join_texts([texts[row] for row in order[:count]]) for order, count in zip(orders, taken, strict=True))
        tokens = tokenize(encoder, list(joined))
        # Joined, the ends of two texts may be fewer tokens than alone: where some are missing, another text is added.
        short = [
            row for row, ids in enumerate(tokens.input_ids) if len(ids) < encoder.max_tokens and taken[row] < len(texts)
        ]
        if not short:
            return tokens
        for row in short:
            taken[row] += 1
