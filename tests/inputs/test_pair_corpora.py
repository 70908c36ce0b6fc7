"""Corpora of pairs: what is read, and how pair columns that cannot be meant are refused."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings

from driftgate.errors import CorpusError, OptionError
from driftgate.inputs.corpus import Corpus, load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.embedded import embedded_comments, throughput_corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.hub import hub_corpus
from driftgate.strategies import (
    CorpusText,
    corpus_pairs,
    corpus_text,
    generated_pairs,
    pair_batches,
    resolve,
    text_batches,
)

PAIRS = (("a dog runs", "an animal moves"), ("it rains", "the sun shines, always"), ('a "quoted"\ntext', "yes"))
NAMED = Columns("premise", pair="hypothesis")


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


def write_csv(path: Path) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([("premise", "hypothesis", "label"), *((*pair, "joy") for pair in PAIRS)])
    return path


def write_tsv(path: Path) -> Path:
    lines = [
        ("premise", "hypothesis", "label"),
        *((first.replace("\n", " "), second, "joy") for first, second in PAIRS),
    ]
    path.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    return path


def write_jsonl(path: Path) -> Path:
    rows = [{"premise": first, "hypothesis": second, "label": ["joy"]} for first, second in PAIRS]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def write_parquet(path: Path) -> Path:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    firsts, seconds = zip(*PAIRS, strict=True)
    parquet.write_table(pa.table({"premise": firsts, "hypothesis": seconds, "label": [["joy"]] * 3}), path)
    return path


@pytest.mark.parametrize(
    "write", [write_csv, write_tsv, write_jsonl, write_parquet], ids=lambda write: write.__name__.removeprefix("write_")
)
def test_every_format_gives_the_same_pairs(write: Callable[[Path], Path], encoder: Encoder, tmp_path: Path) -> None:
    suffix = write.__name__.removeprefix("write_")
    corpus = load_corpus(write(tmp_path / f"pairs.{suffix}"), encoder, NAMED)
    expected = PAIRS if suffix != "tsv" else (*PAIRS[:2], ('a "quoted" text', "yes"))
    assert corpus.texts == expected
    assert corpus.has_pairs
    assert corpus.labels is not None
    assert corpus.labels[:, 0].all()
    assert corpus.sample(2).has_pairs


def test_columns_by_position_may_stand_in_any_order(encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("joy\tsecond\tfirst\n", encoding="utf-8")
    corpus = load_corpus(path, encoder, Columns("2", "0", pair="1"))
    assert corpus.texts == (("first", "second"),)


def test_a_hub_data_set_has_pairs(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    class Rows(list):
        column_names = ("premise", "hypothesis")
        features: ClassVar[dict[str, object]] = {}
        cache_files: tuple[object, ...] = ()

        def select_columns(self, names: list[str]) -> "Rows":
            assert names == ["premise", "hypothesis"]
            return self

    rows = Rows({"premise": first, "hypothesis": second} for first, second in PAIRS)
    monkeypatch.setattr(hub_corpus, "_resolve", lambda asked: "0" * 40)
    monkeypatch.setattr(hub_corpus, "_load", lambda asked, commit: ({"test": rows}, ""))
    assert load_corpus("hub:nli", encoder, NAMED).texts == PAIRS


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_missing_pair_column_is_answered_with_the_columns_found(
    suffix: str, encoder: Encoder, tmp_path: Path
) -> None:
    path = {"csv": write_csv, "jsonl": write_jsonl}[suffix](tmp_path / f"pairs.{suffix}")
    with pytest.raises(
        CorpusError,
        match=r"expected a column 'answer', found 'premise', 'hypothesis', 'label'; name it with Columns\(pair=\.\.\.\)",
    ):
        load_corpus(path, encoder, Columns("premise", pair="answer"))


def test_texts_are_not_paired_with_themselves() -> None:
    with pytest.raises(OptionError, match="expected a column of second texts, found that of the first ones"):
        Columns("premise", pair="premise")
    with pytest.raises(OptionError, match="found that of the first ones"):
        Columns(pair="text")


def test_a_pair_column_by_name_does_not_go_with_a_position(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="text column by position, 'hypothesis' by name; give both as positions"):
        load_corpus(write_csv(tmp_path / "pairs.csv"), encoder, Columns("0", pair="hypothesis"))


@pytest.mark.parametrize("empty", ["", "  ", None, 3])
def test_an_empty_second_text_is_refused_with_its_row(empty: object, encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [{"text": "one", "second": "two"}, {"text": "one", "second": empty}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(
        CorpusError, match="1 of 2 rows have an empty or missing second text: line 2; correct or remove"
    ):
        load_corpus(path, encoder, Columns(pair="second"))


def test_a_column_without_any_second_text_is_told_to_be_the_wrong_one(encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("text,second\none,\ntwo, \n", encoding="utf-8")
    with pytest.raises(
        CorpusError,
        match=r"expected second texts in the column 'second', found none in any of its 2 rows; name the right column with "
        r"Columns\(pair=\.\.\.\), or leave it out where rows are single texts",
    ):
        load_corpus(path, encoder, Columns(pair="second"))


def test_a_lone_surrogate_in_a_second_text_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"text": "one", "second": "two \\ud800"}', encoding="utf-8")
    with pytest.raises(CorpusError, match="1 of 1 rows have a lone surrogate"):
        load_corpus(path, encoder, Columns(pair="second"))


def test_texts_and_pairs_do_not_share_a_corpus() -> None:
    with pytest.raises(CorpusError, match="expected texts or pairs of texts, found both"):
        Corpus("mixed", ("one", ("two", "three")), ("a", "b"), labels=None)


def test_a_pair_has_another_digest_than_its_texts_otherwise_divided() -> None:
    def digest(*texts: object) -> str:
        return Corpus("c", texts, tuple(map(str, range(len(texts)))), labels=None).sha256  # type: ignore[arg-type]

    assert len({digest(("ab", "c")), digest(("a", "bc")), digest("abc"), digest(("abc", "")), digest("ab", "c")}) == 5


def test_embedded_texts_come_in_pairs_for_an_encoder_of_pairs(encoder: Encoder) -> None:
    pairs, alone = throughput_corpus("normal", pairs=True), throughput_corpus("normal")
    assert pairs.name == "normal-pairs"
    assert pairs.texts[0] == (alone.texts[0], alone.texts[1])
    assert len(pairs) == len(alone)
    assert embedded_comments(replace(encoder, takes_pairs=True)).has_pairs
    assert not embedded_comments(encoder).has_pairs


# Strategies


def test_a_reference_to_a_row_changes_both_texts() -> None:
    assert resolve(corpus_text(0, "upper"), PAIRS) == ("A DOG RUNS", "AN ANIMAL MOVES")
    assert resolve(corpus_text(0, "exchange"), PAIRS) == ("an animal moves", "a dog runs")
    assert resolve(corpus_text(0, "then 1"), PAIRS) == ("a dog runs it rains", "an animal moves the sun shines, always")
    assert resolve(corpus_text(0, "exchange"), ["alone"]) == "alone"
    assert resolve(("any", "pair"), PAIRS) == ("any", "pair")


@settings(derandomize=True, database=None, deadline=None, max_examples=50)
@given(batch=pair_batches())
def test_what_is_printed_of_a_batch_of_pairs_makes_the_same_batch(batch: list[object]) -> None:
    again = eval(repr(batch), {"corpus_text": corpus_text})  # noqa: S307 - a line to paste is what it claims to be
    assert again == batch
    assert all(isinstance(resolve(text, PAIRS), tuple) for text in again)


@settings(derandomize=True, database=None, deadline=None, max_examples=30)
@given(reference=corpus_pairs(), pair=generated_pairs(), batch=text_batches())
def test_what_is_drawn_becomes_texts_and_pairs(reference: CorpusText, pair: object, batch: list[object]) -> None:
    assert isinstance(resolve(reference, PAIRS), tuple)
    assert isinstance(pair, tuple)
    assert {type(resolve(text, PAIRS)) for text in batch} <= {str, tuple}  # type: ignore[arg-type]
