"""Strategies give what they promise, and what they print can be pasted."""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from driftgate.strategies import (
    EDGE_TEXTS,
    EMOJI,
    FRAGMENTS,
    SHORT_TEXTS,
    SPACES,
    SPECIAL_TOKENS,
    CorpusText,
    changes,
    corpus_text,
    corpus_texts,
    generated_batches,
    generated_texts,
    lone_surrogate_texts,
    long_corpus_texts,
    resolve,
    special_token_texts,
    text_batches,
    unicode_texts,
    whitespace_texts,
    wordy_texts,
)

ROWS = ("the first row has words", "Another row", "one", "a  double space")
same_every_time = settings(derandomize=True, database=None, deadline=None, max_examples=100)


def is_encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def examples_of(strategy: st.SearchStrategy, condition: Callable[[object], bool]) -> object:
    """Any example: it need not be made small."""
    return find(strategy, condition, settings=settings(same_every_time, max_examples=2000, phases=[Phase.generate]))


@pytest.mark.parametrize(
    "strategy", [generated_texts, unicode_texts, whitespace_texts, special_token_texts], ids=lambda made: made.__name__
)
def test_generated_texts_can_be_encoded(strategy: Callable[[], st.SearchStrategy[str]]) -> None:
    @same_every_time
    @given(strategy())
    def check(text: str) -> None:
        assert is_encodable(text)

    check()


@same_every_time
@given(lone_surrogate_texts())
def test_lone_surrogates_cannot_be_encoded(text: str) -> None:
    assert not is_encodable(text)
    with pytest.raises(UnicodeEncodeError):
        text.encode()


@pytest.mark.parametrize("fragment", ["👩‍👩‍👧‍👦", "\x00", "\u202eabc\u202c", "\ufffd", "你好"])
def test_unicode_texts_reach_what_breaks_tokenizers(fragment: str) -> None:
    assert fragment in FRAGMENTS
    examples_of(unicode_texts(), lambda text: fragment in text)


def test_unicode_texts_reach_long_runs_of_one_character() -> None:
    examples_of(unicode_texts(), lambda text: any(character * 20 in text for character in set(text)))


@pytest.mark.parametrize("text", EDGE_TEXTS)
def test_unicode_texts_reach_edge_texts(text: str) -> None:
    examples_of(unicode_texts(), lambda found: found == text)


@pytest.mark.parametrize("space", [space for space in SPACES if space])
def test_whitespace_texts_reach_every_space(space: str) -> None:
    assert space.isspace()
    examples_of(whitespace_texts(), lambda text: space in text)


@same_every_time
@given(special_token_texts())
def test_special_token_texts_have_one(text: str) -> None:
    assert any(token in text for token in SPECIAL_TOKENS)


@same_every_time
@given(wordy_texts(5, 9))
def test_wordy_texts_have_as_many_words_as_asked_for(text: str) -> None:
    assert 5 <= len(text.split(" ")) <= 9


@same_every_time
@given(st.one_of(corpus_texts(), long_corpus_texts(), generated_texts()))
def test_what_is_printed_makes_the_same_text(text: str | CorpusText) -> None:
    again = eval(repr(text), {"corpus_text": corpus_text})  # noqa: S307 - a line to paste is what it claims to be
    assert again == text
    assert resolve(again, ROWS) == resolve(text, ROWS)


@settings(same_every_time, suppress_health_check=[HealthCheck.too_slow])
@given(text_batches())
def test_a_printed_batch_shows_no_row_of_the_corpus(texts: list[str | CorpusText]) -> None:
    rows = ("SECRET-PHRASE one", "SECRET-PHRASE two")
    assert "SECRET" not in repr(texts)
    assert any(isinstance(text, str) or "SECRET" in resolve(text, rows).upper() or text.changes for text in texts)


@same_every_time
@given(
    st.integers(0, 10_000), st.sampled_from(("upper", "title", "emoji 1", "duplicate 1", "swap 0", "drop 2", "then 1"))
)
def test_a_change_changes_the_text(row: int, change: str) -> None:
    rows = ("the first row has words", "another row of words")
    assert resolve(corpus_text(row, change), rows) != resolve(corpus_text(row), rows)


@same_every_time
@given(st.sampled_from(ROWS), changes())
def test_any_change_fits_any_row(row: str, change: str) -> None:
    assert is_encodable(resolve(corpus_text(0, change), (row,)))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("upper", "A B C"),
        ("drop 1", "a c"),
        ("drop 4", "a c"),
        ("duplicate 2", "a b c c"),
        ("swap 0", "b a c"),
        ("swap 2", "c b a"),
        ("emoji 1", f"a {EMOJI[1]} b c"),
        ("repeat 2", "a b c a b c"),
        ("then 1", "a b c next"),
    ],
)
def test_changes_do_what_they_say(change: str, expected: str) -> None:
    assert resolve(corpus_text(0, change), ("a b c", "next")) == expected


def test_changes_are_applied_in_order() -> None:
    assert resolve(corpus_text(0, "then 1", "upper"), ("a", "b")) == "A B"
    assert resolve(corpus_text(0, "upper", "then 1"), ("a", "b")) == "A b"


def test_rows_are_counted_round_the_corpus() -> None:
    assert resolve(corpus_text(5), ("a", "b")) == "b"


@pytest.mark.parametrize("change", ["shout", "drop", "drop x", "upper 2", ""])
def test_a_change_that_nobody_knows_is_refused(change: str) -> None:
    with pytest.raises(ValueError, match="expected one that corpus_text's docstring names"):
        resolve(corpus_text(0, change), ("a b",))


@same_every_time
@given(long_corpus_texts())
def test_long_corpus_texts_are_long(text: CorpusText) -> None:
    assert len(resolve(text, ROWS).split()) >= 40


@same_every_time
@given(generated_batches(2, 4))
def test_batches_have_as_many_texts_as_asked_for(texts: list[str]) -> None:
    assert 2 <= len(texts) <= 4
    assert all(isinstance(text, str) for text in texts)


def test_batches_mix_corpus_rows_and_generated_texts() -> None:
    examples_of(text_batches(), lambda texts: {type(text) for text in texts} == {str, CorpusText})


@settings(same_every_time, suppress_health_check=[HealthCheck.too_slow])
@given(text_batches())
def test_rows_of_a_batch_are_of_unequal_lengths(texts: list[str | CorpusText]) -> None:
    """Counted in words: more of the long one than any cut leaves, a few characters of the short one."""
    lengths = [len(resolve(text, ROWS).split()) for text in texts]
    assert 3 <= len(texts) <= 4
    assert min(lengths) <= 1
    assert max(lengths) >= 40
    assert any(resolve(text, ROWS) in SHORT_TEXTS for text in texts)


def test_the_long_row_of_a_batch_stands_anywhere() -> None:
    for place in range(3):
        examples_of(
            text_batches(),
            lambda texts, place=place: isinstance(texts[place], CorpusText) and "repeat" in str(texts[place].changes),
        )
