"""Read rows of text and labels from CSV, TSV, JSONL (gzip too) and Parquet files, without interpreting them."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.errors import CorpusError, OptionError
from driftgate.spelling import option

_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_MAX_FIELD_CHARS = 1 << 27
_NAME_CHARS_IN_ERRORS = 40  # without a header, what was taken for names is a user's text


@dataclass(frozen=True, slots=True)
class Columns:
    """Where texts and labels are.

    A column is a name (the file has a header, or is JSONL or Parquet) or a position from 0 (CSV or TSV without header).

    Args:
        text: column of the texts; empty means "text".
        label: column of the labels; empty means "labels" or "label" where there is one, else no labels.
        label_separator: what separates several labels in one field.
    """

    text: str = ""
    label: str = ""
    label_separator: str = ","

    def __post_init__(self) -> None:
        if not self.label_separator:
            raise OptionError("label separator '': expected at least one character, such as ','")


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it stands in the file. `where` names it for error messages: "row 7"."""

    where: str
    text: Any
    labels: Any


def read_rows(path: Path, columns: Columns) -> tuple[list[RawRow], bool]:
    """The rows of `path`, and whether it has labels. The suffix decides the format.

    Raises:
        CorpusError: no such file, an unknown suffix, content that is not what the suffix says, missing columns.
    """
    if not path.is_file():
        raise CorpusError(
            f"corpus {path}: no such file; give a .csv, .tsv, .jsonl or .parquet file, or a data set of the hub as hub:NAME"
        )
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = suffixes[-1:] == [".gz"]
    kind = (suffixes[:-1] if compressed else suffixes)[-1:] or [""]
    if kind[0] == ".parquet":
        return _read_parquet(path, columns)
    reader = {".csv": _read_delimited, ".tsv": _read_delimited, ".jsonl": _read_jsonl}.get(kind[0])
    if reader is None:
        raise CorpusError(f"corpus {path}: unknown suffix; expected .csv, .tsv or .jsonl (each also .gz), or .parquet")
    return reader(path, _decode(path, compressed=compressed), columns)


def _decode(path: Path, *, compressed: bool) -> str:
    content = path.read_bytes()
    if compressed != content.startswith(_GZIP_MAGIC):
        found = "no gzip data" if compressed else "gzip data"
        raise CorpusError(f"corpus {path}: its suffix does not fit its content ({found}); rename it")
    try:
        content = gzip.decompress(content) if compressed else content
    except (OSError, EOFError, zlib.error) as error:
        raise CorpusError(f"corpus {path}: damaged gzip data ({error}); fetch it again") from error
    if content.startswith(_PARQUET_MAGIC):
        raise CorpusError(f"corpus {path}: holds Parquet data; rename it to .parquet")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"corpus {path}: not UTF-8 at byte {error.start}; convert it to UTF-8") from error


def _read_delimited(path: Path, content: str, columns: Columns) -> tuple[list[RawRow], bool]:
    csv.field_size_limit(_MAX_FIELD_CHARS)
    tabs = path.name.lower().removesuffix(".gz").endswith(".tsv")
    # A TSV field holds no tab and no newline, and a quote in it is just a quote (IANA text/tab-separated-values).
    reader = csv.reader(
        io.StringIO(content, newline=""),
        delimiter="\t" if tabs else ",",
        quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
        strict=True,
    )
    lines = []
    starts_on = 1
    try:
        for fields in reader:
            if fields:
                lines.append((starts_on, fields))
            starts_on = reader.line_num + 1
    except csv.Error as error:
        raise CorpusError(f"corpus {path}, line {starts_on}: not valid {'TSV' if tabs else 'CSV'} ({error})") from error
    if not lines:
        return [], bool(columns.label)
    if columns.text.isdecimal():
        text_at, label_at = int(columns.text), int(columns.label) if columns.label.isdecimal() else None
        if columns.label and label_at is None:
            raise CorpusError(
                f"corpus {path}: text column by position and label column by name; give both as positions"
            )
    else:
        header = [name.strip() for name in lines.pop(0)[1]]
        text_at = header.index(choose_column(path, header, columns.text, ("text",)))
        label = choose_column(path, header, columns.label, ("labels", "label"), optional=True)
        label_at = header.index(label) if label else None
    needed = max(text_at, label_at or 0) + 1
    rows = []
    for line, fields in lines:
        if len(fields) < needed:
            raise CorpusError(f"corpus {path}, line {line}: expected at least {needed} columns, found {len(fields)}")
        rows.append(RawRow(f"line {line}", fields[text_at], None if label_at is None else fields[label_at]))
    return rows, label_at is not None


def _read_jsonl(path: Path, content: str, columns: Columns) -> tuple[list[RawRow], bool]:
    records = list(_json_lines(path, content))
    if not records:
        return [], bool(columns.label)
    names = list(dict.fromkeys(name for _, record in records for name in record))  # a row may leave a key out
    return _rows_of_records(path, records, names, columns)


def _json_lines(path: Path, content: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(content.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise CorpusError(f"corpus {path}, line {number}: not valid JSON ({error})") from error
        if not isinstance(record, dict):
            raise CorpusError(f"corpus {path}, line {number}: expected a JSON object, found {type(record).__name__}")
        yield f"line {number}", record


def _read_parquet(path: Path, columns: Columns) -> tuple[list[RawRow], bool]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise CorpusError(f'corpus {path}: Parquet needs pyarrow; pip install "driftgate[data]"') from error
    if not path.read_bytes().startswith(_PARQUET_MAGIC):
        raise CorpusError(f"corpus {path}: not a Parquet file; its suffix does not fit its content")
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise CorpusError(f"corpus {path}: damaged Parquet data ({error}); fetch it again") from error
    records = [(f"row {number}", record) for number, record in enumerate(table.to_pylist())]
    return _rows_of_records(path, records, table.column_names, columns)


def _rows_of_records(
    path: Path, records: Sequence[tuple[str, Mapping[str, Any]]], names: Sequence[str], columns: Columns
) -> tuple[list[RawRow], bool]:
    text = choose_column(path, names, columns.text, ("text",))
    label = choose_column(path, names, columns.label, ("labels", "label"), optional=True)
    rows = [RawRow(where, record.get(text), record.get(label) if label else None) for where, record in records]
    return rows, bool(label)


def choose_column(
    path: str | Path, names: Sequence[str], given: str, usual: tuple[str, ...], *, optional: bool = False
) -> str:
    """The column name to use; "" where it is optional and absent.

    Raises:
        CorpusError: the column is not there, with those that are.
    """
    candidates = (given,) if given else usual
    found = next((name for name in candidates if name in names), "")
    if not found and (given or not optional):
        column = "label" if optional else "text"
        spelled = option(f"{column}_column", argument=f"Columns({column}=...)")
        raise CorpusError(
            f"corpus {path}: expected a column {' or '.join(map(repr, candidates))}, "
            f"found {', '.join(repr(name[:_NAME_CHARS_IN_ERRORS]) for name in names)}; "
            f"name it with {spelled} (a position from 0 where the file has no header)"
        )
    return found
