"""What is read of CSV, TSV, JSONL, Parquet and plain text, and which rows are rejected why."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from driftgate.errors import CorpusError, OptionError
from driftgate.predict.reading import rows as rows_module
from driftgate.predict.reading import text_files
from driftgate.predict.reading.formats import Format, find_format
from driftgate.predict.reading.readers import ReadOptions
from driftgate.predict.reading.rows import Rejected, Row, make_windows
from driftgate.predict.reading.source import open_source

HARD = 'a "quoted", and\nbroken text\r\nof three lines'


def read(path: Path, form: str = "", **options: Any) -> list[Row | Rejected]:
    found = find_format(str(path), form, output=False)
    source = open_source(str(path), found, ReadOptions(str(path), **options))
    try:
        return list(source.rows)
    finally:
        source.close()


def texts(found: list[Row | Rejected]) -> list[str]:
    return [row.text if isinstance(row, Row) else f"rejected: {row.reason}" for row in found]


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# What is read


def test_csv_fields_keep_quotes_commas_and_newlines(tmp_path: Path) -> None:
    content = io.StringIO(newline="")
    csv.writer(content).writerows([["id", "body"], ["x", HARD], ["y", "plain"]])
    found = read(write(tmp_path / "a.csv", content.getvalue()), text_column="body", id_column="id")
    assert found == [Row(0, HARD, "x"), Row(1, "plain", "y")]


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "really-gzip.csv"])
def test_a_byte_order_mark_is_not_part_of_the_first_name(name: str, tmp_path: Path) -> None:
    content = "\ufefftext,id\r\nhello,1\r\n".encode()
    path = write(tmp_path / name, content if name == "a.csv" else gzip.compress(content))
    assert texts(read(path)) == ["hello"]


def test_a_quote_in_tsv_is_a_quote(tmp_path: Path) -> None:
    assert texts(read(write(tmp_path / "a.tsv", 'text\tn\n"so he said\t1\nyes"\t2\n'))) == ['"so he said', 'yes"']


def test_a_file_without_header_is_read_by_position(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.tsv", "hello\t3\tid1\nbye\t4\tid2\n"), text_column="0", id_column="2")
    assert found == [Row(0, "hello", "id1"), Row(1, "bye", "id2")]


def test_json_lines_may_leave_the_text_out_of_some_rows(tmp_path: Path) -> None:
    content = '{"id": 1}\n\n{"id": 2, "text": "hello"}\n{"id": 3, "text": null}\n'
    assert texts(read(write(tmp_path / "a.jsonl", content))) == ["rejected: no text", "hello", "rejected: no text"]


def test_in_plain_text_row_numbers_are_line_numbers_from_0(tmp_path: Path) -> None:
    found = read(write(tmp_path / "a.txt", "one\r\n\nthree\u2028still three\nfour"))
    assert [row.number for row in found] == [0, 1, 2, 3]
    assert texts(found) == ["one", "rejected: empty text", "three\u2028still three", "four"]


def test_parquet_gives_ids_of_their_own_type(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"n": [7, 8, 9], "body": ["hello", None, "bye"], "other": [1.0, 2.0, 3.0]})
    parquet.write_table(table, tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", text_column="body", id_column="n")
    assert found[0] == Row(0, "hello", 7)
    assert texts(found) == ["hello", "rejected: no text", "bye"]


def test_one_parquet_text_that_is_not_unicode_is_one_rejected_row(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    broken = pa.array([b"good", b"caf\xe9", b"fine"]).view(pa.string())
    parquet.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    assert texts(read(tmp_path / "a.parquet")) == ["good", "rejected: not decodable", "fine"]


def test_another_encoding_is_read_when_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text\ncafé\n".encode("cp1252"))
    assert texts(read(path, encoding="cp1252")) == ["café"]
    wide = write(tmp_path / "b.csv", "text\ncafé\n".encode("utf-16"))
    assert texts(read(wide, encoding="utf-16")) == ["café"]


def test_ten_thousand_columns_are_read(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(9_999)]
    path = write(tmp_path / "a.csv", ",".join([*names, "text"]) + "\n" + "0," * 9_999 + "hello\n")
    assert texts(read(path)) == ["hello"]


def test_a_cell_of_ten_megabytes_is_a_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,n\n" + "word " * 2_000_000 + ",1\nshort,2\n")
    found = read(path)
    assert [len(text) for text in texts(found)] == [10_000_000, 5]


# What is rejected


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        ("a,b,c", "wrong number of fields", "expected 2, found 3"),
        ("a", "wrong number of fields", "expected 2, found 1"),
        ('"a"b,1', "broken CSV", "expected after"),
        (",1", "empty text", ""),
        ("  ,1", "empty text", ""),
        ("caf\udce9,1", "not decodable", "byte 0xe9 is not utf-8; try encoding='cp1252'"),
        ("fine,\udce9", "not decodable", "byte 0xe9"),
    ],
)
def test_a_bad_csv_row_is_rejected_and_the_next_is_read(line: str, reason: str, detail: str, tmp_path: Path) -> None:
    content = f"text,id\nbefore,0\n{line}\nafter,2\n".encode("utf-8", "surrogateescape")
    before, bad, after = read(write(tmp_path / "a.csv", content), id_column="id")
    assert isinstance(bad, Rejected)
    assert (bad.number, bad.reason, bad.line, bad.text) == (1, reason, 3, None)
    assert detail in bad.detail
    assert texts([before, after]) == ["before", "after"]
    assert after.number == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"text": "a"', "broken JSON"),
        ('["text"]', "broken JSON"),
        ('{"text": 5}', "not a string"),
        ('{"text": "\\ud800"}', "lone surrogate"),
        ('{"text": "caf\udce9"}', "not decodable"),
        ('{"text": ""}', "empty text"),
    ],
)
def test_a_bad_json_row_is_rejected_and_the_next_is_read(line: str, reason: str, tmp_path: Path) -> None:
    content = f'{{"text": "before"}}\n{line}\n{{"text": "after"}}\n'.encode("utf-8", "surrogateescape")
    assert texts(read(write(tmp_path / "a.jsonl", content))) == ["before", f"rejected: {reason}", "after"]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.txt"])
def test_a_line_too_large_for_memory_is_rejected_and_the_next_is_read(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "MAX_ROW_CHARS", 100)
    rows = ["fine", "x" * 1000, "after"]
    lines = [json.dumps({"text": row}) for row in rows] if name == "a.jsonl" else rows
    head = "text\n" if name == "a.csv" else ""
    path = write(tmp_path / name, head + "\n".join(lines) + "\n")
    assert texts(read(path)) == ["fine", "rejected: too large", "after"]


def test_an_open_quote_rejects_one_row_that_says_which_lines_it_swallowed(tmp_path: Path) -> None:
    bad = read(write(tmp_path / "a.csv", 'text\nfine\n"never closed\na\nb\n'))[1]
    assert isinstance(bad, Rejected)
    assert (bad.reason, bad.line, bad.last_line) == ("broken CSV", 3, 5)


def test_rejected_rows_keep_their_text_only_where_asked(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "secret"\n{"text": "a"}\n')
    (without, _), (with_text, _) = read(path), read(path, keep_texts=True)
    assert isinstance(without, Rejected)
    assert isinstance(with_text, Rejected)
    assert without.text is None
    assert "secret" not in str(without)
    assert with_text.text == '{"text": "secret"\n'


# What is refused as a whole


def test_a_missing_column_is_refused_with_the_nearest_names(tmp_path: Path) -> None:
    names = ["id", "Comment_Body", "score", *(f"extra{number}" for number in range(10_000))]
    path = write(tmp_path / "a.csv", ",".join(names) + "\n")
    with pytest.raises(
        CorpusError, match=r"'comment_body', found 'Comment_Body'.*more; name it with text_column"
    ) as caught:
        read(path, text_column="comment_body")
    assert len(str(caught.value)) < 500


def test_json_without_the_column_anywhere_is_refused_with_its_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"body": "a"}\n{"body": "b", "n": 1}\n')
    with pytest.raises(CorpusError, match="expected a column 'text', found 'body', 'n'"):
        read(path)


def test_plain_text_taken_for_json_is_refused_soon(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", "hello\n" * 2000)
    with pytest.raises(CorpusError, match="txt: one text a line"):
        read(path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv.gz", b"text\nplain\n", "suffix says gzip"),
        ("a.csv", b"PAR1....", "Parquet data"),
        ("a.csv", "text\nhello\n".encode("utf-16"), "encoding='utf-16'"),
        ("a.csv.gz", gzip.compress(b"text\n" + b"hello\n" * 100_000)[:-200], "damaged gzip data"),
        ("a.csv", b"te\xe9xt\nhello\n", "byte 0xe9 is not utf-8"),
        ("a.csv", b"text,text\nhello,you\n", "2 columns are called"),
    ],
)
def test_content_that_is_not_what_the_name_says_is_refused(
    name: str, content: bytes, words: str, tmp_path: Path
) -> None:
    with pytest.raises(CorpusError, match=words):
        read(write(tmp_path / name, content))


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="encoding klingon"):
        read(write(tmp_path / "a.csv", "text\na\n"), encoding="klingon")


@pytest.mark.parametrize(
    ("name", "given", "output", "words"),
    [
        ("a.xlsx", "", False, "csv, .tsv, .jsonl"),
        ("a.txt", "", True, "csv, .tsv, .jsonl"),
        ("a.csv", "excel", False, "expected csv, tsv"),
        ("-", "parquet", False, "a pipe cannot"),
        ("a.parquet.gz", "", True, "leave .gz off"),
    ],
)
def test_formats_that_do_not_fit_are_refused(name: str, given: str, output: bool, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        find_format(name, given, output=output)


def test_pipes_are_json_lines_unless_told_otherwise() -> None:
    assert find_format("-", "", output=False) is Format.JSONL
    assert find_format("-", "txt", output=False) is Format.TXT
    assert find_format("/dev/null", "", output=True) is Format.JSONL


# Windows


def test_windows_end_by_rows_or_by_characters_and_lose_nothing() -> None:
    rows = [Row(number, "x" * (1000 if number == 5 else 1)) for number in range(12)]
    windows = list(make_windows(iter(rows), lambda: 0, max_rows=4, max_chars=500))
    assert [len(window.rows) for window in windows] == [4, 2, 4, 2]
    assert [row for window in windows for row in window.rows] == rows


def test_rejected_rows_fill_a_window_too() -> None:
    bad = [Rejected(number, rows_module.Reason.EMPTY) for number in range(10)]
    assert [len(window.rejected) for window in make_windows(iter(bad), lambda: 0, max_rows=4)] == [4, 4, 2]
