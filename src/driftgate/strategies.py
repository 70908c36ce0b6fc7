"""Hypothesis strategies for texts: what people write, what they never should, and changes of a corpus' own rows.

A corpus row is drawn as a reference, `corpus_text(17, "upper")`, and resolved inside the test: whatever prints an example
prints the reference, so the rows of a private corpus stay out of logs, and the line can be pasted into a test. Where rows are
pairs of texts, a reference stands for a pair, and both its texts are changed; generated pairs are tuples of two texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

from hypothesis import strategies as st

from driftgate.inputs.texts import Pair, Text, is_pair, join_texts, map_parts

EMOJI = ("🎉", "❤️", "👩‍👩‍👧‍👦", "👍🏽", "🇩🇪", "🏴󠁧󠁢󠁥󠁮󠁧󠁿")
"""Plain, with a variation selector, joined by zero-width joiners, with a skin tone, of two letters, of tags."""

FRAGMENTS = (
    *EMOJI,
    "\u200f\u05e9\u05dc\u05d5\u05dd\u200e", "\u202eabc\u202c", "\u0645\u0631\u062d\u0628\u0627",  # right to left
    "e\u0301\u0302\u0303\u0304", "\u0301", "ﬁ", "ß", "İ", "Å", "Å", "㍿",  # combining stacks, case and width folding
    "\x00", "\x07", "\x1b[31m", "\x7f", "\x85", "\x9f", "\xad", "\ufeff", "\u200b", "\u2028", "\u2060",  # controls
    "\ufffd", "\ue000", "\U0010fffd", "\U0001fae9", "\U000e0001",  # replaced, private use, unassigned lately, a tag
    "你好", "日本語テスト", "ไทย", "한국어", "नमस्ते",
)  # fmt: skip

SPACES = (" ", "  ", "\t", "\n", "\r\n", "\xa0", "\u3000", "\u2009", "\v", "\f", "")

SPECIAL_TOKENS = (
    "<s>", "</s>", "<pad>", "<mask>", "<unk>", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "[UNK]", "<|endoftext|>", "▁", "##s",
)  # fmt: skip
"""Literals that some family's tokenizer takes for more than text."""

EDGE_TEXTS = ("", " ", "\t\n", ".", "a", "é", "🎉", "\x00", "\u200b")
"""Nothing, only whitespace, one character."""

SHORT_TEXTS = ("the", "I", "not", *EDGE_TEXTS)
"""No more than a few tokens, under any tokenizer."""

_WORDS = ("the", "I", "not", "sure", "really", "LOL", "don't", "naïve", "3.14", "https://a.b/c?d=e", "r/aww", "so...")
_ROWS = 10_000


@dataclass(frozen=True, slots=True, repr=False)
class CorpusText:
    """A row of the corpus, perhaps changed; its repr is the call that makes it."""

    row: int
    changes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"corpus_text({', '.join(map(repr, (self.row, *self.changes)))})"


def corpus_text(row: int, *changes: str) -> CorpusText:
    """Row `row`, counted round the corpus, with `changes` applied in the order given.

    A change is "upper", "lower", "title", or a word and a number: "drop 2", "duplicate 2", "swap 2" and "emoji 2" change
    the text at its third word, "repeat 5" writes it five times, "then 7" adds row 7. "exchange" puts the second text of a pair
    first, and leaves a single text as it is.
    """
    return CorpusText(row, changes)


def resolve(text: Text | CorpusText, rows: Sequence[Text]) -> Text:
    """The text itself, or the pair.

    Args:
        rows: texts of the corpus, or its pairs.

    Raises:
        ValueError: a change that nobody knows.
    """
    if not isinstance(text, CorpusText):
        return text
    resolved = rows[text.row % len(rows)]
    for change in text.changes:
        resolved = _changed_row(resolved, change, rows)
    return resolved


def _changed_row(row: Text, change: str, rows: Sequence[Text]) -> Text:
    if change == "exchange":
        return (row[1], row[0]) if is_pair(row) else row
    name, _, number = change.partition(" ")
    if name == "then" and number.isdecimal():
        return join_texts([row, rows[int(number) % len(rows)]])
    return map_parts(lambda text: _changed(text, change), row)


def _changed(text: str, change: str) -> str:
    name, _, number = change.partition(" ")
    if name in ("upper", "lower", "title") and not number:
        return str(getattr(text, name)())
    if number.isdecimal():
        words, count = text.split(" "), int(number)
        at = count % len(words)
        if name == "drop":
            return " ".join(words[:at] + words[at + 1 :])
        if name == "duplicate":
            return " ".join([*words[: at + 1], *words[at:]])
        if name == "swap":
            after = (at + 1) % len(words)
            words[at], words[after] = words[after], words[at]
            return " ".join(words)
        if name == "emoji":
            return " ".join([*words[:at], EMOJI[count % len(EMOJI)], *words[at:]])
        if name == "repeat":
            return " ".join([text] * count)
    raise ValueError(f"change {change!r}: expected one that corpus_text's docstring names, such as 'upper' or 'drop 2'")


def changes() -> st.SearchStrategy[str]:
    """One change of a corpus row, that does something to a single text too."""
    numbered = st.builds("{} {}".format, st.sampled_from(("drop", "duplicate", "swap", "emoji")), st.integers(0, 30))
    joined = st.builds("then {}".format, st.integers(0, _ROWS))
    return st.sampled_from(("upper", "lower", "title")) | numbered | joined


def corpus_texts() -> st.SearchStrategy[CorpusText]:
    """Rows of the corpus, most of them changed."""
    return st.builds(CorpusText, st.integers(0, _ROWS), st.lists(changes(), max_size=3).map(tuple))


def long_corpus_texts() -> st.SearchStrategy[CorpusText]:
    """Rows written over and over: most are longer than an encoder's limit."""
    repeated = st.builds("repeat {}".format, st.integers(40, 80))
    return st.builds(CorpusText, st.integers(0, _ROWS), st.tuples(repeated))


def unicode_texts(max_fragments: int = 6) -> st.SearchStrategy[str]:
    """Any Unicode that an encoding can carry, dense in what breaks tokenizers: emoji, bidi marks, controls, runs."""
    runs = st.builds(mul, st.characters(exclude_categories=["Cs"]), st.integers(2, 60))
    pieces = st.sampled_from(FRAGMENTS) | st.text(max_size=12) | st.sampled_from(_WORDS) | runs
    return st.lists(pieces, max_size=max_fragments).map("".join) | st.sampled_from(EDGE_TEXTS)


def lone_surrogate_texts() -> st.SearchStrategy[str]:
    """Texts with half of a surrogate pair, which no encoding can carry."""
    return st.tuples(st.text(max_size=5), st.characters(categories=["Cs"]), st.text(max_size=5)).map("".join)


def whitespace_texts() -> st.SearchStrategy[str]:
    """Words with every kind of space around them."""
    spaced = st.tuples(st.sampled_from(SPACES), st.sampled_from(_WORDS)).map("".join)
    written = st.lists(spaced, min_size=1, max_size=8).map("".join)
    return st.tuples(written, st.sampled_from(SPACES)).map("".join)


def special_token_texts() -> st.SearchStrategy[str]:
    """Words with literal special tokens between them."""
    pieces = st.sampled_from(SPECIAL_TOKENS) | st.sampled_from(_WORDS) | st.sampled_from(SPACES)
    around = st.lists(pieces, max_size=4).map("".join)
    return st.tuples(around, st.sampled_from(SPECIAL_TOKENS), around).map("".join)


def wordy_texts(min_words: int, max_words: int) -> st.SearchStrategy[str]:
    """Ordinary words with single spaces: at least `min_words` tokens under any tokenizer."""
    return st.lists(st.sampled_from(_WORDS), min_size=min_words, max_size=max_words).map(" ".join)


def generated_texts() -> st.SearchStrategy[str]:
    """Everything but corpus rows."""
    return wordy_texts(1, 12) | unicode_texts() | whitespace_texts() | special_token_texts()


def generated_batches(min_size: int = 1, max_size: int = 8) -> st.SearchStrategy[list[str]]:
    """Texts of one batch, none of them from a corpus."""
    return st.lists(generated_texts(), min_size=min_size, max_size=max_size)


def corpus_pairs() -> st.SearchStrategy[CorpusText]:
    """Rows of a corpus of pairs, changed or exchanged."""
    changed = st.lists(changes() | st.just("exchange"), max_size=3).map(tuple)
    return st.builds(CorpusText, st.integers(0, _ROWS), changed)


def generated_pairs() -> st.SearchStrategy[Pair]:
    """Two texts, none of them from a corpus, either of them perhaps empty, or both the same."""
    texts = generated_texts() | st.sampled_from(EDGE_TEXTS)
    return st.tuples(texts, texts) | texts.map(lambda text: (text, text))


def wordy_pairs(min_words: int, max_words: int) -> st.SearchStrategy[Pair]:
    """Two texts of ordinary words, each of so many."""
    return st.tuples(wordy_texts(min_words, max_words), wordy_texts(min_words, max_words))


def pair_batches(min_size: int = 2, max_size: int = 4) -> st.SearchStrategy[list[Text | CorpusText]]:
    """Pairs of one batch, generated and of the corpus."""
    return st.lists(generated_pairs() | corpus_pairs(), min_size=min_size, max_size=max_size)


def text_batches(more: int = 1) -> st.SearchStrategy[list[str | CorpusText]]:
    """Texts of one batch, in any order, of unequal lengths by construction: a word or nothing, a text of the usual length, one
    longer than any cut, and up to `more` others.

    Rows that are equal, or equally long, hide what a backend does with padding and with the order of rows; the simplest batch
    that Hypothesis knows, which it always tries first, would be nothing else.
    """
    short = st.sampled_from(SHORT_TEXTS)
    middling, others = corpus_texts() | wordy_texts(4, 8), st.lists(corpus_texts() | generated_texts(), max_size=more)
    parts = st.tuples(short, middling, long_corpus_texts(), others)
    return parts.map(lambda drawn: [*drawn[:3], *drawn[3]]).flatmap(st.permutations)
