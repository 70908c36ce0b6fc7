"""Properties of tokenization, on any encoder's tokenizer; no model runs.

Offsets and the way back to the text are tried on byte-level tokenizers only: others lower-case, strip accents or drop
characters by design. That answers agree on whitespace and special tokens is `test_invariance.py`'s to show.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example
from hypothesis import strategies as st

from driftgate.errors import CorpusError
from driftgate.inputs.tokens import forget_tokenizers, tokenize
from driftgate.plugin.profiles import tokenizer_property
from driftgate.strategies import (
    EDGE_TEXTS,
    SPECIAL_TOKENS,
    generated_batches,
    generated_texts,
    lone_surrogate_texts,
    special_token_texts,
    unicode_texts,
    whitespace_texts,
    wordy_texts,
)

LIMIT = 16


@pytest.fixture(scope="module")
def short(encoder):
    """The encoder with a limit that generated texts reach."""
    return replace(encoder, max_tokens=min(LIMIT, encoder.max_tokens))


@pytest.fixture(scope="module")
def byte_level(tokenizer):
    """The tokenizer, where every byte of a text is in some token."""
    description = json.loads(tokenizer.backend_tokenizer.to_str()) if tokenizer.is_fast else {}
    steps = json.dumps([description.get("pre_tokenizer"), description.get("normalizer")])
    if "ByteLevel" not in steps or description["normalizer"] is not None:
        pytest.skip("this tokenizer is not byte-level: it may change or drop characters")
    return tokenizer


def ids_of(encoder, texts):
    return [ids.tolist() for ids in tokenize(encoder, texts).input_ids]


@tokenizer_property(texts=generated_batches())
def test_rows_of_any_lengths_are_integers_of_one_row_each(encoder, texts):
    """P10: a row of ids for each text, in order, of the type that runtimes take."""
    tokens = tokenize(encoder, texts)
    assert len(tokens) == len(texts)
    assert all(ids.dtype == np.int64 and ids.ndim == 1 for ids in tokens.input_ids)
    assert all(ids.min() >= 0 and ids.max() < encoder.vocab_size for ids in tokens.input_ids if len(ids))
    if tokens.token_type_ids is not None:
        assert [len(types) for types in tokens.token_type_ids] == tokens.lengths.tolist()


@tokenizer_property(texts=generated_batches())
def test_no_row_is_longer_than_the_limit(short, texts):
    """P11: truncated to the limit, flagged exactly where something was cut."""
    tokens, full = tokenize(short, texts), tokenize(replace(short, max_tokens=10**6), texts)
    assert tokens.lengths.max() <= short.max_tokens
    assert list(tokens.truncated) == [length > short.max_tokens for length in full.lengths.tolist()]


@tokenizer_property(text=wordy_texts(LIMIT, 3 * LIMIT))
def test_truncation_keeps_the_beginning_and_the_closing_tokens(short, tokenizer, text):
    """P11: what is cut is the end of the text, never the special tokens around it."""
    if tokenizer.truncation_side != "right":
        pytest.skip("this tokenizer cuts the beginning of texts")
    (full,), (cut,), (empty,) = (
        ids_of(one, [content])
        for one, content in ((replace(short, max_tokens=10**6), text), (short, text), (short, ""))
    )
    assert any(cut == full[: len(cut) - kept] + full[len(full) - kept :] for kept in range(len(empty) + 1))


@tokenizer_property(text=wordy_texts(2 * LIMIT, 3 * LIMIT), more=generated_texts())
def test_text_behind_the_limit_is_irrelevant(short, tokenizer, text, more):
    """P11: whatever follows a text that is already too long changes nothing."""
    if tokenizer.truncation_side != "right":
        pytest.skip("this tokenizer cuts the beginning of texts")
    assert ids_of(short, [text]) == ids_of(short, [f"{text} {more}"])


@example(texts=list(EDGE_TEXTS))
@tokenizer_property(texts=st.lists(unicode_texts() | st.sampled_from(EDGE_TEXTS), min_size=1, max_size=6))
def test_any_text_tokenizes_alone_as_in_company(encoder, texts):
    """P16, P17: no text is refused, however empty or odd, and none depends on its neighbours."""
    together = ids_of(encoder, texts)
    assert together == [ids_of(encoder, [text])[0] for text in texts]
    surrounding = len(ids_of(encoder, [""])[0])
    assert all(len(ids) >= surrounding for ids in together)


@tokenizer_property(good=generated_batches(max_size=3), bad=lone_surrogate_texts(), position=st.integers(0, 3))
def test_a_lone_surrogate_is_refused_with_its_row(encoder, good, bad, position):
    """P18: an error that names the row, not one from inside a library; the other rows still tokenize."""
    position = min(position, len(good))
    with pytest.raises(CorpusError, match=rf"lone surrogate.* rows {position}, "):
        tokenize(encoder, [*good[:position], bad, *good[position:]])
    assert len(tokenize(encoder, good)) == len(good)


@example(text=" ".join(SPECIAL_TOKENS))
@tokenizer_property(text=special_token_texts())
def test_special_tokens_in_a_text_are_read_as_the_tokenizer_itself_reads_them(encoder, tokenizer, text):
    """P19: no policy of ours: literal special tokens become what the encoder's own tokenizer makes of them."""
    (ids,) = ids_of(encoder, [text])
    assume(len(ids) < encoder.max_tokens)
    assert ids == tokenizer(text)["input_ids"]
    assert ids == ids_of(encoder, ["another text", text])[1]


@tokenizer_property(text=whitespace_texts())
def test_whitespace_tokenizes_the_same_every_time(encoder, tokenizer, text):
    """P20: tabs, no-break spaces and line ends may change the ids, but not from one call to the next."""
    (ids,) = ids_of(encoder, [text])
    assert ids == ids_of(encoder, [text, "another text"])[0]
    assume(len(ids) < encoder.max_tokens)
    assert ids == tokenizer(text)["input_ids"]


@tokenizer_property(text=unicode_texts())
def test_offsets_cover_the_text_in_order(byte_level, text):
    """P21: inside the text, never backwards, and nothing but whitespace is left out."""
    encoded = byte_level(text, return_offsets_mapping=True, add_special_tokens=False, verbose=False)
    offsets = encoded["offset_mapping"]
    assert all(0 <= start <= end <= len(text) for start, end in offsets)
    starts = [start for start, _ in offsets]
    assert starts == sorted(starts)
    covered = {position for start, end in offsets for position in range(start, end)}
    left_out = [text[position] for position in range(len(text)) if position not in covered]
    assert all(character.isspace() for character in left_out)


@tokenizer_property(text=unicode_texts())
def test_ids_decode_to_the_text(byte_level, text):
    """P21: every byte is in the ids; only a space in front may be added."""
    assume(not any(token in text for token in byte_level.all_special_tokens))
    ids = byte_level(text, add_special_tokens=False, verbose=False)["input_ids"]
    decoded = byte_level.decode(ids, clean_up_tokenization_spaces=False)
    assert decoded in (text, f" {text}")


@tokenizer_property(text=generated_texts(), other=generated_texts(), limit=st.integers(4, 40))
def test_a_call_leaves_nothing_behind_for_the_next(encoder, tokenizer, text, other, limit):
    """P24: truncation and padding of one call are not in force in the next, nor for other threads."""
    before = ids_of(encoder, [text])
    tokenizer([other, text], truncation=True, max_length=limit, padding="max_length")
    assert ids_of(encoder, [text]) == before
    tokenizer([other, text], padding=True)
    assert ids_of(encoder, [text]) == before


@example(texts=["short", "a text of many more tokens than the limit " * 3] * 8)
@tokenizer_property(examples=20, texts=generated_batches(min_size=8, max_size=8))
def test_threads_tokenize_alike(short, texts):
    """P24: one tokenizer serves several threads, though some texts need truncation and others must not be cut."""
    expected = ids_of(short, texts)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda text: ids_of(short, [text])[0], texts * 4))
    assert found == expected * 4


@pytest.fixture(scope="module")
def saved_again(encoder, tokenizer, tmp_path_factory):
    """The tokenizer, saved while truncation and padding of the last call were in force."""
    folder = tmp_path_factory.mktemp("saved-tokenizer")
    tokenizer(["a text", "another, longer text"], truncation=True, max_length=4, padding="max_length")
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_bytes((encoder.path / "config.json").read_bytes())
    forget_tokenizers()  # nothing remembered may answer for what was saved
    return replace(encoder, path=folder)


@tokenizer_property(texts=generated_batches())
def test_a_saved_tokenizer_is_the_same_one(encoder, saved_again, texts):
    """P24: saved, loaded and asked again; truncation that was in force when it was saved does not come along."""
    assert ids_of(saved_again, texts) == ids_of(encoder, texts)
