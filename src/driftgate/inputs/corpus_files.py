"""Read rows of text and labels from CSV, TSV, JSONL (gzip too) and Parquet files, without interpreting them."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.edges.spelling import option
from driftgate.errors import CorpusError, OptionError
from driftgate.files import parse_json

USUAL_TEXT_COLUMN = "text"
_USUAL_COLUMNS = {"text": (USUAL_TEXT_COLUMN,), "label": ("labels", "label")}
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
        pair: column of the second texts, where rows are pairs; empty means that they are not.
        group: column that names the group a row is a candidate of, such as a query; empty means that rows are no candidates.
    """

    text: str = ""
    label: str = ""
    label_separator: str = ","
    pair: str = ""
    group: str = ""

    def __post_init__(self) -> None:
        if not self.label_separator:
            raise OptionError("label separator '': expected at least one character, such as ','")
        require_other_column(self.text, self.pair)

    @property
    def by_role(self) -> dict[str, str]:
        """The column of "text", "pair", "label" and "group", as given."""
        return {"text": self.text, "pair": self.pair, "label": self.label, "group": self.group}


def require_other_column(text: str, pair: str) -> None:
    """Refuse to pair texts with themselves; an empty `pair` is none.

    Raises:
        OptionError: the column of second texts is that of the first ones.
    """
    if pair and pair == (text or USUAL_TEXT_COLUMN):
        raise OptionError(
            f"{option('pair_column', pair, argument=f'Columns(pair={pair!r})')}: expected a column of second texts, found "
            "that of the first ones; name another"
        )


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as it stands in the file. `where` names it for error messages: "row 7"; `second` is of a pair, else None."""

    where: str
    text: Any
    labels: Any
    second: Any = None
    group: Any = None

    @classmethod
    def of(cls, where: str, values: Any, places: Mapping[str, Any]) -> "RawRow":
        """Read from `values`, a list or mapping, at the places that "text", "pair", "label" and "group" have in it.

        Keys that a JSONL row leaves out are missing values.
        """
        return cls(where, *(_look_up(values, places.get(role)) for role in ("text", "label", "pair", "group")))


def _look_up(values: Any, place: Any) -> Any:
    if place is None:
        return None
    return values.get(place) if isinstance(values, Mapping) else values[place]


def read_rows(path: Path, columns: Columns) -> tuple[list[RawRow], bool]:
    """The rows of `path`, and whether it has labels. The suffix decides the format.

    Raises:
        CorpusError: no such file, an unknown suffix, content that is not what the suffix says, missing columns.
    """
    if not path.is_file():
        raise CorpusError(
            f"corpus {path}: no such file; give a .csv, .tsv, .jsonl or .parquet file, or a data set of the hub as hub:NAME"
        )
    name = path.name.lower()
    kind = Path(name.removesuffix(".gz")).suffix
    if kind == ".parquet":
        return _read_parquet(path, columns)
    reader = {".csv": _read_delimited, ".tsv": _read_delimited, ".jsonl": _read_jsonl}.get(kind)
    if reader is None:
        raise CorpusError(f"corpus {path}: unknown suffix; expected .csv, .tsv or .jsonl (each also .gz), or .parquet")
    return reader(path, _decode(path, compressed=name.endswith(".gz")), columns)


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
        places = _read_positions(path, columns)
    else:
        header = [name.strip() for name in lines.pop(0)[1]]
        places = {role: header.index(name) for role, name in choose_columns(path, header, columns).items()}
    needed = max(places.values()) + 1
    rows = []
    for line, fields in lines:
        if len(fields) < needed:
            raise CorpusError(f"corpus {path}, line {line}: expected at least {needed} columns, found {len(fields)}")
        rows.append(RawRow.of(f"line {line}", fields, places))
    return rows, "label" in places


def _read_positions(path: Path, columns: Columns) -> dict[str, int]:
    """Where each column is, by what it holds, in a file without header."""
    given = columns.by_role
    named = [repr(name) for name in given.values() if name and not name.isdecimal()]
    if named:
        raise CorpusError(
            f"corpus {path}: text column by position, {' and '.join(named)} by name; "
            f"give {'both' if len(named) == 1 else 'all'} as positions"
        )
    return {role: int(position) for role, position in given.items() if position}


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
            record = parse_json(line)
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
    chosen = choose_columns(path, names, columns)
    return [RawRow.of(where, record, chosen) for where, record in records], "label" in chosen


def choose_columns(path: str | Path, names: Sequence[str], columns: Columns) -> dict[str, str]:
    """The column of "text", "pair", "label" and "group", without those that need not be there and are not.

    Raises:
        CorpusError: a column is not there, with those that are.
    """
    found = {}
    for role, given in columns.by_role.items():
        candidates = (given,) if given else _USUAL_COLUMNS.get(role, ())
        name = next((name for name in candidates if name in names), None)
        if name is not None:
            found[role] = name
        elif given or role == "text":
            spelled = option(f"{role}_column", argument=f"Columns({role}=...)")
            raise CorpusError(
                f"corpus {path}: expected a column {' or '.join(map(repr, candidates))}, "
                f"found {', '.join(repr(name[:_NAME_CHARS_IN_ERRORS]) for name in names)}; "
                f"name it with {spelled} (a position from 0 where the file has no header)"
            )
    return found
