"""Corpus files: what is read from each format, and how each unusable file is refused."""

import csv
import gzip
import io
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftgate.errors import CorpusError, OptionError
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.corpus_files import Columns
from driftgate.inputs.encoder import Encoder, ProblemType, load_encoder

Write = Callable[..., Path]

TEXTS = ("thank you so much", "the bus was late again", "what a game, nobody saw that coming")
LABELS = ("joy", "anger", "joy,surprise")
EXPECTED = np.array([[1, 0, 0, 0], [0, 1, 0, 0], [1, 0, 1, 0]], dtype=bool)


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    """Multi-label: joy, anger, surprise, neutral."""
    return load_encoder(tiny_encoder)


@pytest.fixture(scope="module")
def single_label_encoder(encoder: Encoder) -> Encoder:
    return replace(encoder, problem_type=ProblemType.SINGLE_LABEL)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """`write(name, content)`: a file of text or bytes, compressed where the name ends in .gz."""

    def write_file(name: str, content: str | bytes) -> Path:
        data = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write_file


def as_csv(texts: Sequence[str], labels: Sequence[str]) -> str:
    lines = io.StringIO()
    csv.writer(lines).writerows([("text", "labels"), *zip(texts, labels, strict=True)])
    return lines.getvalue()


def as_tsv(texts: Sequence[str], labels: Sequence[str]) -> str:
    return (
        "\n".join(f"{text}\t{label}" for text, label in [("text", "labels"), *zip(texts, labels, strict=True)]) + "\n"
    )


def as_jsonl(texts: Sequence[str], labels: Sequence[Any]) -> str:
    return "".join(
        json.dumps({"text": text, "labels": label}) + "\n" for text, label in zip(texts, labels, strict=True)
    )


FORMATS = {".csv": as_csv, ".tsv": as_tsv, ".jsonl": as_jsonl}


# Formats


@pytest.mark.parametrize("compression", ["", ".gz"], ids=["plain", "gzip"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_gives_the_same_corpus(write: Write, encoder: Encoder, suffix: str, compression: str) -> None:
    corpus = load_corpus(write(f"comments{suffix}{compression}", FORMATS[suffix](TEXTS, LABELS)), encoder)
    assert (corpus.name, corpus.texts) == ("comments", TEXTS)
    assert np.array_equal(corpus.labels, EXPECTED)


def test_parquet_gives_the_same_corpus(tmp_path: Path, encoder: Encoder) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "comments.parquet"
    parquet.write_table(pa.table({"text": TEXTS, "labels": [label.split(",") for label in LABELS]}), path)
    corpus = load_corpus(path, encoder)
    assert (corpus.name, corpus.texts, corpus.row_ids) == ("comments", TEXTS, ("row 0", "row 1", "row 2"))
    assert np.array_equal(corpus.labels, EXPECTED)


def test_damaged_parquet_is_refused(write: Write, encoder: Encoder) -> None:
    pytest.importorskip("pyarrow.parquet")
    with pytest.raises(CorpusError, match="damaged Parquet"):
        load_corpus(write("c.parquet", b"PAR1 and nothing else"), encoder)


def test_text_under_a_parquet_suffix_is_refused(write: Write, encoder: Encoder) -> None:
    pytest.importorskip("pyarrow.parquet")
    with pytest.raises(CorpusError, match="not a Parquet file"):
        load_corpus(write("c.parquet", "text\nhello\n"), encoder)


def test_parquet_without_pyarrow_is_refused_with_what_to_install(
    write: Write, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(CorpusError, match=r'Parquet needs pyarrow; pip install "driftgate\[data\]"'):
        load_corpus(write("c.parquet", b"PAR1"), encoder)


@pytest.mark.parametrize("name", ["C.CSV", "v1.2.csv", "train.tsv.csv", "data.csv"])
def test_the_last_suffix_decides_the_format(write: Write, encoder: Encoder, name: str) -> None:
    assert load_corpus(write(name, as_csv(TEXTS, LABELS)), encoder).texts == TEXTS


def test_csv_fields_may_hold_quotes_commas_and_newlines(write: Write, encoder: Encoder) -> None:
    texts = ('he said "no"', "one, two", "first line\nsecond line")
    assert load_corpus(write("c.csv", as_csv(texts, LABELS)), encoder).texts == texts


def test_tsv_quotes_are_plain_characters(write: Write, encoder: Encoder) -> None:
    texts = ('"quoted"', 'only one "', '"" twice')
    assert load_corpus(write("c.tsv", as_tsv(texts, LABELS)), encoder).texts == texts


def test_a_byte_order_mark_is_not_part_of_the_first_column(write: Write, encoder: Encoder) -> None:
    assert load_corpus(write("c.csv", as_csv(TEXTS, LABELS).encode("utf-8-sig")), encoder).texts == TEXTS


def test_windows_line_ends_are_not_part_of_a_row(write: Write, encoder: Encoder) -> None:
    content = as_jsonl(TEXTS, LABELS).replace("\n", "\r\n")
    assert load_corpus(write("c.jsonl", content), encoder).texts == TEXTS


def test_jsonl_texts_may_hold_unicode_line_separators(write: Write, encoder: Encoder) -> None:
    text = "one\u2028two\x85three"
    content = json.dumps({"text": text}, ensure_ascii=False)
    assert load_corpus(write("c.jsonl", content), encoder).texts == (text,)


def test_blank_lines_hold_no_rows(write: Write, encoder: Encoder) -> None:
    content = as_jsonl(TEXTS, LABELS).replace("\n", "\n\n")
    assert load_corpus(write("c.jsonl", content), encoder).row_ids == ("line 1", "line 3", "line 5")


def test_a_row_is_named_by_the_line_it_starts_on(write: Write, encoder: Encoder) -> None:
    corpus = load_corpus(write("c.csv", 'text\none\n"two\nlines"\nfour\n'), encoder)
    assert corpus.row_ids == ("line 2", "line 3", "line 5")


def test_texts_keep_their_outer_spaces(write: Write, encoder: Encoder) -> None:
    assert load_corpus(write("c.csv", "text\n hello \n"), encoder).texts == (" hello ",)


def test_texts_are_private_unless_said_otherwise(write: Write, encoder: Encoder) -> None:
    path = write("c.csv", "text\nhello\n")
    assert (load_corpus(path, encoder).private, load_corpus(path, encoder, private=False).private) == (True, False)


# Columns


@pytest.mark.parametrize("suffix", FORMATS)
def test_columns_are_chosen_by_name(write: Write, encoder: Encoder, suffix: str) -> None:
    content = FORMATS[suffix](TEXTS, LABELS).replace("text", "body").replace("labels", "mood")
    corpus = load_corpus(write(f"c{suffix}", content), encoder, Columns("body", "mood"))
    assert corpus.texts == TEXTS
    assert np.array_equal(corpus.labels, EXPECTED)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_columns_are_chosen_by_position_where_there_is_no_header(write: Write, encoder: Encoder, suffix: str) -> None:
    content = FORMATS[suffix](TEXTS, LABELS).partition("\n")[2]
    corpus = load_corpus(write(f"c{suffix}", content), encoder, Columns("0", "1"))
    assert corpus.texts == TEXTS
    assert np.array_equal(corpus.labels, EXPECTED)


@pytest.mark.parametrize("name", ["labels", "label"])
def test_the_usual_label_columns_need_no_naming(write: Write, encoder: Encoder, name: str) -> None:
    corpus = load_corpus(write("c.csv", f"id,{name},text\n7,joy,hello\n"), encoder)
    assert np.array_equal(corpus.labels, EXPECTED[:1])


@pytest.mark.parametrize(
    ("name", "content", "columns"),
    [
        ("c.csv", "text,mood\nhello,joy\n", Columns()),
        ("c.csv", "hello,joy\n", Columns("0")),
        ("c.jsonl", '{"text": "hello"}', Columns()),
    ],
    ids=["no-label-column", "no-label-position", "no-label-key"],
)
def test_a_corpus_without_a_label_column_has_no_labels(
    write: Write, encoder: Encoder, name: str, content: str, columns: Columns
) -> None:
    assert load_corpus(write(name, content), encoder, columns).labels is None


def test_labels_that_start_after_the_first_jsonl_row_are_not_lost(write: Write, encoder: Encoder) -> None:
    content = '{"text": "hello"}\n{"text": "thanks", "labels": ["joy"]}\n'
    assert np.array_equal(load_corpus(write("c.jsonl", content), encoder).labels, [[0, 0, 0, 0], [1, 0, 0, 0]])


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_missing_text_column_is_answered_with_the_columns_found(write: Write, encoder: Encoder, suffix: str) -> None:
    path = write(f"c{suffix}", FORMATS[suffix](TEXTS, LABELS))
    with pytest.raises(CorpusError, match=r"expected a column 'body', found 'text', 'labels'; .*Columns\(text=...\)"):
        load_corpus(path, encoder, Columns("body"))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_missing_label_column_is_answered_with_the_columns_found(write: Write, encoder: Encoder, suffix: str) -> None:
    path = write(f"c{suffix}", FORMATS[suffix](TEXTS, LABELS))
    with pytest.raises(CorpusError, match=r"expected a column 'mood', found 'text', 'labels'; .*Columns\(label=...\)"):
        load_corpus(path, encoder, Columns(label="mood"))


def test_a_file_without_a_header_is_answered_with_positions(write: Write, encoder: Encoder) -> None:
    with pytest.raises(CorpusError, match=r"'text', found 'hello', 'joy'; .*a position from 0 where .* no header"):
        load_corpus(write("c.csv", "hello,joy\n"), encoder)


def test_a_position_and_a_name_do_not_go_together(write: Write, encoder: Encoder) -> None:
    with pytest.raises(CorpusError, match="give both as positions"):
        load_corpus(write("c.csv", "hello,joy\n"), encoder, Columns("0", "labels"))


def test_a_row_with_too_few_columns_is_named(write: Write, encoder: Encoder) -> None:
    with pytest.raises(CorpusError, match="line 3: expected at least 2 columns, found 1"):
        load_corpus(write("c.csv", "text,labels\nhello,joy\nthanks\n"), encoder)


# Labels


@pytest.mark.parametrize(
    "value",
    ["joy,surprise", " joy , surprise ", "0,2", "joy,2", ["joy", "surprise"], [0, 2], [0.0, 2.0], ["0", "2"]],
    ids=json.dumps,
)
def test_labels_are_names_or_ids_in_a_list_or_one_field(write: Write, encoder: Encoder, value: object) -> None:
    corpus = load_corpus(write("c.jsonl", as_jsonl(TEXTS[:1], [value])), encoder)
    assert np.array_equal(corpus.labels, [[1, 0, 1, 0]])


@pytest.mark.parametrize("value", [1, 1.0, "1", "anger", ["anger"]], ids=json.dumps)
def test_one_label_needs_no_list(write: Write, single_label_encoder: Encoder, value: object) -> None:
    corpus = load_corpus(write("c.jsonl", as_jsonl(TEXTS[:1], [value])), single_label_encoder)
    assert np.array_equal(corpus.labels, [[0, 1, 0, 0]])


@pytest.mark.parametrize("value", ["", [], None], ids=json.dumps)
def test_a_multi_label_row_may_have_no_label(write: Write, encoder: Encoder, value: object) -> None:
    corpus = load_corpus(write("c.jsonl", as_jsonl(TEXTS[:2], ["joy", value])), encoder)
    assert np.array_equal(corpus.labels, [[1, 0, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("separator", ["|", ";", " ", ", "])
def test_the_label_separator_can_be_chosen(write: Write, encoder: Encoder, separator: str) -> None:
    path = write("c.tsv", as_tsv(TEXTS, [label.replace(",", separator) for label in LABELS]))
    assert np.array_equal(load_corpus(path, encoder, Columns(label_separator=separator)).labels, EXPECTED)


def test_an_empty_label_separator_is_refused() -> None:
    with pytest.raises(OptionError, match="label separator ''"):
        Columns(label_separator="")


def test_a_label_in_a_list_is_not_split(write: Write, encoder: Encoder) -> None:
    named = replace(encoder, labels=("joy, or so", "anger"))
    corpus = load_corpus(write("c.jsonl", as_jsonl(TEXTS[:1], [["joy, or so"]])), named)
    assert np.array_equal(corpus.labels, [[1, 0]])


def test_a_name_that_looks_like_an_id_counts_as_a_name(write: Write, encoder: Encoder) -> None:
    stars = replace(encoder, labels=("1", "2", "3"))
    corpus = load_corpus(write("c.jsonl", as_jsonl(TEXTS[:1], ["1"])), stars)
    assert np.array_equal(corpus.labels, [[1, 0, 0]])


@pytest.mark.parametrize(
    "value", ["fear", "4", "-1", "joy|anger", 4, 1.5, True, ["joy", "fear"], [None]], ids=json.dumps
)
def test_an_unknown_label_is_named_with_its_row(write: Write, encoder: Encoder, value: object) -> None:
    path = write("c.jsonl", as_jsonl(TEXTS[:2], ["joy", value]))
    with pytest.raises(CorpusError, match=r"line 2: label '.+' is not one of the encoder's 4 labels \(joy, anger"):
        load_corpus(path, encoder)


def test_an_unknown_label_is_answered_with_every_label_where_they_are_few(write: Write, encoder: Encoder) -> None:
    with pytest.raises(CorpusError, match=r"\(joy, anger, surprise, neutral\)"):
        load_corpus(write("c.csv", "text,labels\nhello,fear\n"), encoder)


@pytest.mark.parametrize("value", ["", "joy,anger"], ids=["none", "two"])
def test_a_single_label_encoder_needs_exactly_one_label_a_row(
    write: Write, single_label_encoder: Encoder, value: str
) -> None:
    path = write("c.jsonl", as_jsonl(TEXTS, ["joy", value, "anger"]))
    with pytest.raises(CorpusError, match=r"1 of 3 rows have no label or several, .* exactly one: line 2;"):
        load_corpus(path, single_label_encoder)


def test_the_same_label_twice_is_one_label(write: Write, single_label_encoder: Encoder) -> None:
    corpus = load_corpus(write("c.jsonl", as_jsonl(TEXTS[:1], [["joy", "0"]])), single_label_encoder)
    assert np.array_equal(corpus.labels, [[1, 0, 0, 0]])


# Files that cannot be read


def test_a_missing_file_is_refused(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(CorpusError, match=r"nowhere\.csv: no such file"):
        load_corpus(tmp_path / "nowhere.csv", encoder)


def test_a_folder_is_no_corpus(tmp_path: Path, encoder: Encoder) -> None:
    with pytest.raises(CorpusError, match="no such file"):
        load_corpus(tmp_path, encoder)


@pytest.mark.parametrize("name", ["c.txt", "c.json", "c", "c.gz", "csv", ".csv"])
def test_an_unknown_suffix_is_answered_with_the_known_ones(write: Write, encoder: Encoder, name: str) -> None:
    with pytest.raises(CorpusError, match=r"unknown suffix; expected \.csv, \.tsv or \.jsonl .*\.gz.*\.parquet"):
        load_corpus(write(name, "text\nhello\n"), encoder)


def test_a_gzip_suffix_without_gzip_data_is_refused(tmp_path: Path, encoder: Encoder) -> None:
    (tmp_path / "c.csv.gz").write_text("text\nhello\n", encoding="utf-8")
    with pytest.raises(CorpusError, match=r"suffix does not fit its content \(no gzip data\); rename it"):
        load_corpus(tmp_path / "c.csv.gz", encoder)


def test_gzip_data_without_a_gzip_suffix_is_refused(write: Write, encoder: Encoder) -> None:
    with pytest.raises(CorpusError, match=r"suffix does not fit its content \(gzip data\); rename it"):
        load_corpus(write("c.csv", gzip.compress(b"text\nhello\n")), encoder)


@pytest.mark.parametrize("damage", ["cut", "body", "checksum"])
def test_damaged_gzip_data_is_refused(tmp_path: Path, encoder: Encoder, damage: str) -> None:
    content = bytearray(gzip.compress(as_csv(TEXTS, LABELS).encode()))
    if damage == "cut":
        del content[-12:]
    else:
        content[10 if damage == "body" else -8] ^= 0xFF
    (tmp_path / "c.csv.gz").write_bytes(content)
    with pytest.raises(CorpusError, match="damaged gzip data"):
        load_corpus(tmp_path / "c.csv.gz", encoder)


@pytest.mark.parametrize("name", ["c.csv", "c.csv.gz", "c.jsonl"])
def test_parquet_data_under_another_suffix_is_refused(write: Write, encoder: Encoder, name: str) -> None:
    with pytest.raises(CorpusError, match=r"holds Parquet data; rename it to \.parquet"):
        load_corpus(write(name, b"PAR1\x15\x04\x15"), encoder)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_text_that_is_not_utf_8_is_refused(write: Write, encoder: Encoder, encoding: str) -> None:
    with pytest.raises(CorpusError, match=r"not UTF-8 at byte [0-9]+; convert it"):
        load_corpus(write("c.csv", "text\nun café\n".encode(encoding)), encoder)


@pytest.mark.parametrize(
    ("line", "telling"),
    [
        ('{"text": "thanks"', "not valid JSON"),
        ("{'text': 'thanks'}", "not valid JSON"),
        ('["thanks"]', "expected a JSON object, found list"),
        ('"thanks"', "expected a JSON object, found str"),
    ],
    ids=["cut", "python", "a-list", "a-string"],
)
def test_a_malformed_json_line_is_named(write: Write, encoder: Encoder, line: str, telling: str) -> None:
    with pytest.raises(CorpusError, match=f"line 2: {telling}"):
        load_corpus(write("c.jsonl", f'{{"text": "hello"}}\n{line}\n'), encoder)


@pytest.mark.parametrize("content", ['text\n"hello\n', 'text\n"hello" there\n'], ids=["never-closed", "text-behind"])
def test_malformed_csv_quotes_are_refused_with_their_line(write: Write, encoder: Encoder, content: str) -> None:
    with pytest.raises(CorpusError, match="line 2: not valid CSV"):
        load_corpus(write("c.csv", content), encoder)


@pytest.mark.parametrize("columns", [Columns(), Columns("body", "mood")], ids=["default", "given"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.csv", ""),
        ("c.csv", "\n"),
        ("c.tsv", ""),
        ("c.jsonl", ""),
        ("c.jsonl", "\n\n"),
        ("c.csv.gz", ""),
        ("c.csv", "text,labels,body,mood\n"),
    ],
    ids=["csv", "csv-blank", "tsv", "jsonl", "jsonl-blank", "gzip", "header-only"],
)
def test_a_corpus_without_rows_is_refused(
    write: Write, encoder: Encoder, name: str, content: str, columns: Columns
) -> None:
    with pytest.raises(CorpusError, match="it has no rows; a corpus needs at least one text"):
        load_corpus(write(name, content), encoder, columns)


@pytest.mark.parametrize("bad", ['{"text": ""}', '{"text": " \\t"}', "{}", '{"text": null}', '{"text": 7}'])
def test_rows_without_text_are_named(write: Write, encoder: Encoder, bad: str) -> None:
    content = f'{{"text": "hello"}}\n{bad}\n{{"text": "thanks"}}\n{bad}\n'
    with pytest.raises(CorpusError, match="2 of 4 rows have empty or missing text: line 2, line 4; correct or remove"):
        load_corpus(write("c.jsonl", content), encoder)


def test_an_empty_csv_field_is_an_empty_text(write: Write, encoder: Encoder) -> None:
    with pytest.raises(CorpusError, match="1 of 2 rows have empty or missing text: line 3;"):
        load_corpus(write("c.csv", "text,labels\nhello,joy\n,joy\n"), encoder)


def test_no_more_than_ten_bad_rows_are_named(write: Write, encoder: Encoder) -> None:
    with pytest.raises(CorpusError, match=r"12 of 12 rows .* line 9, line 10 \.\.\.;"):
        load_corpus(write("c.jsonl", '{"text": ""}\n' * 12), encoder)


def test_lone_surrogates_are_named(write: Write, encoder: Encoder) -> None:
    content = '{"text": "hello"}\n{"text": "half \\ud800 a pair"}\n'
    with pytest.raises(CorpusError, match=r"1 of 2 rows have a lone surrogate.*: line 2;"):
        load_corpus(write("c.jsonl", content), encoder)


def test_escaped_surrogate_pairs_are_one_character(write: Write, encoder: Encoder) -> None:
    assert load_corpus(write("c.jsonl", '{"text": "\\ud83d\\ude02"}'), encoder).texts == ("😂",)


@pytest.mark.parametrize(
    "content",
    [
        "text,labels\nhello and a long sentence that ends in private,fear\n",
        "hello and a long sentence that ends in private\n",
    ],
    ids=["unknown-label", "no-header"],
)
def test_errors_show_no_whole_text(write: Write, encoder: Encoder, content: str) -> None:
    with pytest.raises(CorpusError) as refusal:
        load_corpus(write("c.csv", content), encoder)
    assert "private" not in str(refusal.value)


# Real files


def test_goemotions_as_published_loads(
    data_folder: Path, tmp_path: Path, make_tiny_encoder: Callable[..., Path]
) -> None:
    labels = tuple((data_folder / "goemotions/labels.txt").read_text(encoding="utf-8").split())
    encoder = load_encoder(make_tiny_encoder(tmp_path / "e", labels=labels))
    corpus = load_corpus(data_folder / "goemotions/dev.tsv", encoder, Columns("0", "1"))
    assert (len(corpus), corpus.labels.shape) == (5426, (5426, 28))
    assert corpus.texts[0] == "Is this in New Orleans?? I really feel like this is New Orleans."
    assert corpus.labels[1].nonzero()[0].tolist() == [4, 27]
    assert corpus.labels.any(1).all()


def test_the_reddit_sample_as_published_loads(data_folder: Path, encoder: Encoder) -> None:
    corpus = load_corpus(data_folder / "reddit/random_sample_10k.csv.gz", encoder, Columns("body"))
    assert (corpus.name, len(corpus), corpus.labels) == ("random_sample_10k", 10_000, None)
