"""The record of a corpus: its length, samples of it, its digest."""

from dataclasses import replace

import numpy as np
import pytest

from driftgate.arrays import LabelMatrix
from driftgate.errors import CorpusError, OptionError
from driftgate.inputs.corpus import Corpus


def numbered(rows: int, labels: bool = True) -> Corpus:
    matrix = LabelMatrix(np.eye(4, dtype=bool)[np.arange(rows) % 4]) if labels else None
    return Corpus("numbered", tuple(f"text {row}" for row in range(rows)), tuple(map(str, range(rows))), matrix)


def test_a_corpus_has_at_least_one_text() -> None:
    with pytest.raises(CorpusError, match="it has no rows"):
        Corpus("nothing", (), (), None)


def test_the_length_of_a_corpus_is_its_rows() -> None:
    assert len(numbered(7)) == 7


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    corpus = numbered(500)
    assert corpus.sample(50, seed=3).row_ids == corpus.sample(50, seed=3).row_ids


def test_another_seed_gives_another_sample() -> None:
    corpus = numbered(500)
    assert corpus.sample(50, seed=3).row_ids != corpus.sample(50, seed=4).row_ids


def test_a_sample_has_distinct_rows_in_corpus_order() -> None:
    rows = [int(row) for row in numbered(500).sample(50).row_ids]
    assert rows == sorted(set(rows))
    assert len(rows) == 50


def test_a_sample_keeps_texts_and_labels_together() -> None:
    corpus = numbered(500)
    sample = corpus.sample(50)
    rows = [int(row) for row in sample.row_ids]
    assert sample.texts == tuple(corpus.texts[row] for row in rows)
    assert np.array_equal(sample.labels, corpus.labels[rows])


def test_a_sample_of_a_corpus_without_labels_has_none() -> None:
    assert numbered(20, labels=False).sample(5).labels is None


@pytest.mark.parametrize("rows", [10, 11])
def test_a_sample_of_all_rows_is_the_corpus(rows: int) -> None:
    corpus = numbered(10)
    assert corpus.sample(rows) is corpus


@pytest.mark.parametrize("rows", [0, -1])
def test_a_sample_of_no_rows_is_refused(rows: int) -> None:
    with pytest.raises(OptionError, match=f"rows drawn from a corpus {rows}: expected a whole number from 1 to"):
        numbered(10).sample(rows)


def corpus_of(texts: tuple[str, ...], labels: object = None) -> Corpus:
    matrix = None if labels is None else LabelMatrix(np.array(labels, dtype=bool))
    return Corpus("c", texts, tuple(map(str, range(len(texts)))), matrix)


def test_the_digest_ignores_names_and_row_ids() -> None:
    corpus = numbered(3)
    assert replace(corpus, name="other", row_ids=("a", "b", "c")).sha256 == corpus.sha256


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (corpus_of(("a", "b")), corpus_of(("b", "a"))),
        (corpus_of(("a", "b")), corpus_of(("a", "b "))),
        (corpus_of(("a", "b")), corpus_of(("ab",))),
        (corpus_of(("a", "b")), corpus_of(("a\0b",))),
        (corpus_of(("a", "b")), corpus_of(("a", "b"), [[0, 0], [0, 0]])),
        (corpus_of(("a", "b"), [[1, 0], [0, 1]]), corpus_of(("a", "b"), [[0, 1], [1, 0]])),
        (corpus_of(("a", "b"), [[1, 0], [0, 0]]), corpus_of(("a", "b"), [[1, 0, 0], [0, 0, 0]])),
    ],
    ids=["order", "one-character", "joined", "joined-by-nul", "labels-added", "labels-swapped", "label-added"],
)
def test_the_digest_tells_corpora_apart(one: Corpus, other: Corpus) -> None:
    assert one.sha256 != other.sha256
