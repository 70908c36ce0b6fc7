"""Where windows end is found from bytes, and is where a job ends them: also for texts that are no text."""

from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from driftgate.errors import CorpusError
from driftgate.predict.reading import part as part_module
from driftgate.predict.reading.formats import Format
from driftgate.predict.reading.part import Part
from driftgate.predict.reading.readers import ReadOptions
from driftgate.predict.reading.rows import Rejected, Row, make_windows
from driftgate.predict.reading.source import open_source, take_part
from driftgate.predict.shards import text_scans
from driftgate.predict.shards.input_windows import InputWindows, read_windows
from driftgate.predict.shards.plan import Input
from driftgate.predict.shards.text_scans import scan_text

quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

PIECES = st.sampled_from(
    [
        b"word",
        b" ",
        b",",
        b'"',
        b'""',
        b"\t",
        b"\r\n",
        b"\r",
        b"\n",
        b"\n\n",
        b"\x85",
        b"\xff",
        b"\x00",
        "ü日👩‍👧\u2028\xa0".encode(),
    ]
)
JUNK = st.lists(PIECES, max_size=40).map(b"".join)
JSON_LINES = st.lists(
    st.one_of(
        st.builds(lambda text: b'{"text": "' + text + b'"}', JUNK),
        st.text(max_size=9).map(lambda text: f'{{"meta": "{"m" * 30}", "text": "{text}"}}'.encode("utf-8", "replace")),
        JUNK,
        st.sampled_from(
            [b"", b"  ", "\xa0\u3000".encode(), b'{"text": "\\u00fc\\ud83d\\ude00"}', b"[1]", b'{"text": 3}', b"\x1c"]
        ),
    ),
    max_size=30,
).map(b"\n".join)
MARKS = st.sampled_from([b"", b"\xef\xbb\xbf"])


def rows_of(path: Path, form: Format, read: ReadOptions, part: Part | None = None) -> list[Row | Rejected]:
    source = take_part(open_source(str(path), form, read, part), part)
    try:
        return list(source.rows)
    finally:
        source.close()


def windows_of(path: Path, form: Format, read: ReadOptions) -> InputWindows:
    return read_windows(Input(str(path), path.stat().st_size), form, read, 3, lambda border, position: None)


def check(path: Path, form: Format, read: ReadOptions, max_chars: int) -> None:
    """Borders and rows of every part are those of one job."""
    try:
        whole = rows_of(path, form, read)
    except CorpusError:
        return
    if not whole:
        return
    found = windows_of(path, form, read)
    borders = list(scan_text(str(path), form, read, found.start, found.header_bytes, 3, max_chars))
    cut = [len(window.rows) + len(window.rejected) for window in make_windows(whole, lambda: 0, 3, max_chars)]
    assert [border.rows for border in borders] == list(accumulate(cut))
    parts = [found.part(before, behind) for before, behind in pairwise([found.start, *borders])]
    rows: list[Row | Rejected] = []
    for part in parts:
        rows += rows_of(path, form, read, Part(**{**part_fields(part), "first_row": len(rows)}))
    assert rows == whole


def part_fields(part: Part) -> dict[str, Any]:
    return {name: getattr(part, name) for name in Part.__slots__}


@quick
@given(mark=MARKS, content=JUNK, max_chars=st.sampled_from([1, 7, 20, 1 << 22]), keep=st.booleans())
@example(mark=b"", content=b"\n", max_chars=1, keep=False)
def test_plain_text(mark: bytes, content: bytes, max_chars: int, keep: bool, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_bytes(mark + content)
    check(tmp_path / "in.txt", Format.TXT, ReadOptions("in.txt", keep_texts=keep), max_chars)


@quick
@given(mark=MARKS, content=JSON_LINES, max_chars=st.sampled_from([1, 7, 20, 1 << 22]), keep=st.booleans())
def test_json_lines(mark: bytes, content: bytes, max_chars: int, keep: bool, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(mark + b'{"text": "first"}\n' + content)
    check(tmp_path / "in.jsonl", Format.JSONL, ReadOptions("in.jsonl", keep_texts=keep), max_chars)


@quick
@given(
    mark=MARKS, content=JUNK, tabs=st.booleans(), header=st.booleans(), max_chars=st.sampled_from([1, 7, 20, 1 << 22])
)
@example(mark=b"\xef\xbb\xbf", content=b'"a,b', tabs=False, header=False, max_chars=1)
@example(mark=b"", content=b"a,b\n1\n2\nc,d\n3\n4\n5\n", tabs=False, header=False, max_chars=1 << 22)
def test_delimited_text(mark: bytes, content: bytes, tabs: bool, header: bool, max_chars: int, tmp_path: Path) -> None:
    separator = b"\t" if tabs else b","
    first = separator.join((b"id", b"text") if header else (b"7", b"first"))
    (tmp_path / "in").write_bytes(mark + first + b"\n" + content)
    read = ReadOptions("in", "" if header else "1", "id" if header else "0", keep_texts=True)
    check(tmp_path / "in", Format.TSV if tabs else Format.CSV, read, max_chars)


@quick
@given(
    texts=st.lists(
        st.one_of(st.none(), st.sampled_from(["", " ", "\u3000"]), st.text(max_size=12)), min_size=1, max_size=40
    ),
    groups=st.integers(1, 12),
    max_chars=st.sampled_from([1, 7, 20, 1 << 22]),
    dictionary=st.booleans(),
)
def test_parquet(texts: list[str | None], groups: int, max_chars: int, dictionary: bool, tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    from driftgate.predict.reading.parquet_input import ParquetRows
    from driftgate.predict.shards.borders import ParquetScan, find_borders

    texts = [None if text is None else text.encode("utf-8", "replace").decode() for text in texts]
    column = pa.array(texts, pa.string())
    path = tmp_path / "in.parquet"
    parquet.write_table(
        pa.table({"text": column.dictionary_encode() if dictionary else column}), path, row_group_size=groups
    )
    read = ReadOptions("in.parquet")
    whole = rows_of(path, Format.PARQUET, read)
    opened = ParquetRows(str(path), read)
    borders = list(find_borders(ParquetScan(opened), 3, max_chars=max_chars))
    opened.close()
    cut = [len(window.rows) + len(window.rejected) for window in make_windows(whole, lambda: 0, 3, max_chars)]
    assert [border.rows for border in borders] == list(accumulate(cut))
    found, rows = windows_of(path, Format.PARQUET, read), []
    for before, behind in pairwise([found.start, *borders]):
        part = found.part(before, behind)
        assert part.end_group - part.first_group <= (behind.rows - before.rows) // groups + 2
        rows += rows_of(path, Format.PARQUET, read, Part(**{**part_fields(part), "first_row": len(rows)}))
    assert rows == whole


@pytest.fixture
def small_rows(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Lines and fields of more than 20 characters are too large."""
    from driftgate.predict.reading import text_files, text_records

    for module in (text_files, text_records, part_module, text_scans):
        monkeypatch.setattr(module, "MAX_ROW_CHARS", 20)
    return 20


@pytest.mark.parametrize("form", [Format.CSV, Format.JSONL, Format.TXT])
def test_what_may_be_too_large_is_decided_by_characters_and_not_by_bytes(
    form: Format, small_rows: int, tmp_path: Path
) -> None:
    many_bytes, many_chars = "ü" * 12, "x" * 30
    lines = {
        Format.TXT: ["short", many_bytes, many_chars, *"abcdef"],
        Format.JSONL: [
            '{"text":"short"}',
            f'{{"text":"{"日" * 8}"}}',
            f'{{"text":"{many_chars}"}}',
            *['{"text":"a"}'] * 6,
        ],
        Format.CSV: ["text", "short", many_bytes, f'"{many_bytes}\n{many_bytes}"', *"abcdef"],
    }[form]
    (tmp_path / "in").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = rows_of(tmp_path / "in", form, ReadOptions("in"))
    assert any(isinstance(row, Rejected) for row in rows)
    check(tmp_path / "in", form, ReadOptions("in"), 1 << 22)
    check(tmp_path / "in", form, ReadOptions("in"), 5)
