"""The data that comes with driftgate: the labelled comments, and the throughput corpora made from them."""

import json
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from unicodedata import category

import numpy as np
import pytest
from scipy import sparse

from driftgate.errors import CorpusError
from driftgate.inputs import embedded
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.embedded import THROUGHPUT_CORPORA, THROUGHPUT_ROWS, throughput_corpus

CORPORA = Path(__file__).parents[2] / "fixtures/corpora"
LABELS = (
    "admiration", "amusement", "anger", "annoyance", "approval", "caring", "confusion", "curiosity", "desire",
    "disappointment", "disapproval", "disgust", "embarrassment", "excitement", "fear", "gratitude", "grief", "joy",
    "love", "nervousness", "optimism", "pride", "realization", "relief", "remorse", "sadness", "surprise", "neutral",
)  # fmt: skip
FIVE_GRAMS_JACCARD_LIMIT = 0.3
WORDS_JACCARD_LIMIT = 0.6


@cache
def comments() -> list[dict[str, object]]:
    with (CORPORA / "emotions.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def texts() -> list[str]:
    return [str(row["text"]) for row in comments()]


def labels_of(row: dict[str, object]) -> list[str]:
    labels = row["labels"]
    assert isinstance(labels, list)
    return labels


def lines_where(bad: list[bool]) -> list[int]:
    return [number for number, is_bad in enumerate(bad, 1) if is_bad]


def words_of(text: str) -> set[tuple[str, ...]]:
    return {(word,) for word in re.findall(r"\w+", text.lower())}


def five_grams_of(text: str) -> set[tuple[str, ...]]:
    """Runs of five words; of a shorter text, all its words as one run."""
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + 5]) for start in range(max(len(words) - 4, 1))}


def pairs_as_alike_as(sets: list[set[tuple[str, ...]]], limit: float) -> list[tuple[int, int, float]]:
    """Pairs of lines whose Jaccard similarity is `limit` or more: every pair at once, as a sparse matrix product."""
    ids: dict[tuple[str, ...], int] = {}
    columns = [ids.setdefault(item, len(ids)) for items in sets for item in items]
    sizes = np.array([len(items) for items in sets])
    starts = np.concatenate([[0], np.cumsum(sizes)])
    has = sparse.csr_array((np.ones(len(columns), dtype=np.int32), columns, starts), shape=(len(sets), len(ids)))
    shared = sparse.triu(has @ has.T, k=1).tocoo()
    jaccard = shared.data / (sizes[shared.row] + sizes[shared.col] - shared.data)
    alike = ~(jaccard < limit)
    return [
        (int(one) + 1, int(other) + 1, round(float(value), 3))
        for one, other, value in zip(shared.row[alike], shared.col[alike], jaccard[alike], strict=True)
    ]


# The labelled comments


def test_there_are_enough_comments() -> None:
    assert len(comments()) >= 1_120


@pytest.mark.parametrize("label", LABELS)
def test_every_label_has_enough_comments(label: str) -> None:
    assert sum(label in labels_of(row) for row in comments()) >= 40


def test_every_row_has_a_text_and_labels_and_nothing_else() -> None:
    assert lines_where([set(row) != {"text", "labels"} for row in comments()]) == []


def test_every_text_is_trimmed_and_not_empty() -> None:
    assert lines_where([not text or text != text.strip() for text in texts()]) == []


def test_no_text_holds_control_or_unassigned_characters() -> None:
    def is_damage(character: str) -> bool:
        return character == "\ufffd" or (character != "\n" and category(character) in {"Cc", "Cs", "Co", "Cn"})

    assert lines_where([any(map(is_damage, text)) for text in texts()]) == []


def test_every_text_has_a_word() -> None:
    assert lines_where([not words_of(text) for text in texts()]) == []


def test_every_row_has_known_labels_each_once() -> None:
    bad = [not labels_of(row) or len(set(labels_of(row)) & set(LABELS)) != len(labels_of(row)) for row in comments()]
    assert lines_where(bad) == []


def test_neutral_never_stands_with_another_label() -> None:
    assert lines_where(["neutral" in labels_of(row) and len(labels_of(row)) > 1 for row in comments()]) == []


def test_the_file_ends_every_row_with_a_newline_and_has_no_other() -> None:
    content = (CORPORA / "emotions.jsonl").read_bytes()
    assert content.endswith(b"\n")
    assert b"\n\n" not in content
    assert b"\r" not in content


def test_no_two_comments_share_many_runs_of_words() -> None:
    assert pairs_as_alike_as([five_grams_of(text) for text in texts()], FIVE_GRAMS_JACCARD_LIMIT) == []


def test_no_two_comments_share_most_of_their_words() -> None:
    assert pairs_as_alike_as([words_of(text) for text in texts()], WORDS_JACCARD_LIMIT) == []


def test_the_comparison_of_comments_finds_near_duplicates() -> None:
    alike = [
        "One two three four five six.",
        "something else here",
        "one two THREE four five seven",
        "So it is",
        "so, it is!",
    ]
    five_grams = pairs_as_alike_as([five_grams_of(text) for text in alike], FIVE_GRAMS_JACCARD_LIMIT)
    words = pairs_as_alike_as([words_of(text) for text in alike], WORDS_JACCARD_LIMIT)
    assert five_grams == [(1, 3, round(1 / 3, 3)), (4, 5, 1.0)]
    assert words == [(1, 3, round(5 / 7, 3)), (4, 5, 1.0)]


# The throughput corpora


@pytest.fixture(scope="module", params=THROUGHPUT_CORPORA)
def corpus(request: pytest.FixtureRequest) -> Corpus:
    return throughput_corpus(request.param)


def target_quantiles(corpus: Corpus, shares: list[float]) -> np.ndarray:
    """Characters at `shares`, between the published quantiles as a straight line of logarithms."""
    stored = json.loads((CORPORA / "length_quantiles.json").read_text(encoding="utf-8"))[corpus.name]["char_quantiles"]
    return np.exp(np.interp(shares, [float(share) for share in stored], np.log(list(stored.values()))))


def test_a_throughput_corpus_has_2000_unlabelled_public_texts(corpus: Corpus) -> None:
    assert (len(corpus), len(set(corpus.row_ids)), corpus.labels, corpus.private) == (
        THROUGHPUT_ROWS,
        2000,
        None,
        False,
    )


def test_a_throughput_corpus_is_the_same_each_time(corpus: Corpus) -> None:
    again = throughput_corpus.__wrapped__(corpus.name)
    assert again is not corpus
    assert again.sha256 == corpus.sha256


def test_a_throughput_corpus_is_made_once(corpus: Corpus) -> None:
    assert throughput_corpus(corpus.name) is corpus


def test_lengths_follow_the_measured_distribution(corpus: Corpus) -> None:
    shares = [0.1, 0.25, 0.5, 0.75, 0.9, 0.95]
    found = np.quantile([len(text) for text in corpus.texts], shares)
    target = target_quantiles(corpus, shares)
    assert (np.abs(found - target) <= np.maximum(0.12 * target, 2)).all(), list(zip(shares, found, target, strict=True))


def test_the_mean_length_is_the_measured_one(corpus: Corpus) -> None:
    stored = json.loads((CORPORA / "length_quantiles.json").read_text(encoding="utf-8"))[corpus.name]
    assert np.mean([len(text) for text in corpus.texts]) == pytest.approx(stored["mean_chars"], rel=0.12)


def test_lengths_come_in_no_order(corpus: Corpus) -> None:
    lengths = [len(text) for text in corpus.texts]
    assert abs(np.corrcoef(lengths, range(len(lengths)))[0, 1]) < 0.1


def test_every_text_is_trimmed_and_valid(corpus: Corpus) -> None:
    assert [row for row, text in enumerate(corpus.texts) if not text or text != text.strip()] == []
    assert "".join(corpus.texts).encode()


def test_no_two_equal_texts_follow_each_other(corpus: Corpus) -> None:
    equal = [row for row, (one, following) in enumerate(pairwise(corpus.texts)) if one == following]
    assert equal == []


def test_texts_longer_than_a_word_are_nearly_all_different(corpus: Corpus) -> None:
    longer = [text for text in corpus.texts if len(text) >= 20]
    assert len(set(longer)) >= 0.95 * len(longer)


def test_texts_are_made_of_the_embedded_comments(corpus: Corpus) -> None:
    openings = tuple({text[:20] for text in texts()})
    assert [row for row, text in enumerate(corpus.texts) if len(text) >= 20 and not text.startswith(openings)] == []


def test_normal_and_long_differ() -> None:
    normal, long = (throughput_corpus(name) for name in ("normal", "long"))
    assert min(len(text) for text in long.texts) > np.median([len(text) for text in normal.texts])


@pytest.mark.parametrize("name", ["", "Normal", "filtered"])
def test_another_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(CorpusError, match=f"throughput corpus '{name}': expected normal or long"):
        throughput_corpus(name)


def test_comments_with_unicode_line_separators_stay_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = json.dumps({"text": "one\u2028two\x85three", "labels": ["joy"]}, ensure_ascii=False)
    (tmp_path / "emotions.jsonl").write_text(row + "\n", encoding="utf-8")
    (tmp_path / "length_quantiles.json").write_bytes((CORPORA / "length_quantiles.json").read_bytes())
    monkeypatch.setattr(embedded, "corpora_folder", lambda: tmp_path)
    assert len(throughput_corpus.__wrapped__("normal")) == THROUGHPUT_ROWS
