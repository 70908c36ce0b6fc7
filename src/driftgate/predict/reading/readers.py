"""Rows out of CSV, TSV, JSONL and plain text. A row that cannot be read is rejected; the next one is read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from driftgate.edges.spelling import option
from driftgate.errors import CorpusError
from driftgate.files import parse_json
from driftgate.inputs.corpus_files import USUAL_TEXT_COLUMN
from driftgate.predict.reading.formats import choose_column
from driftgate.predict.reading.rows import Reason, Rejected, Row, find_fault, find_undecodable
from driftgate.predict.reading.text_files import Lines, RowTooLargeError
from driftgate.predict.reading.text_records import each_line, split_records

_OF_A_PAIR = ("the first text", "the second text")
_ROWS_TO_FIND_TEXT = 1000
"""A JSONL file whose first rows all lack the column was given the wrong name, or is no JSONL."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How rows are read.

    Args:
        source: what error messages call the input.
        text_column, id_column, pair_column: a name, or a position from 0 where a CSV or TSV file has no header; empty means
            "text", no ids, and no pairs: the pair column holds the second texts.
        columns_are_known: the text column was found when all of the file was read; a part of it need not have one.
        begins_with_columns: what is read first says which columns there are, and is no row of the part, although the file has no
            header.
        keep_texts: whether rejected rows keep what was read of them.
        full_digest: whether all of the file tells it from another, and not only parts.
    """

    source: str
    text_column: str = ""
    id_column: str = ""
    encoding: str = "utf-8"
    keep_texts: bool = False
    pair_column: str = ""
    full_digest: bool = False
    columns_are_known: bool = False
    begins_with_columns: bool = False

    @property
    def text_name(self) -> str:
        """The column of texts."""
        return self.text_column or USUAL_TEXT_COLUMN

    @property
    def text_columns(self) -> dict[str, str]:
        """The arguments that name the columns of texts, with their names: one, or two for pairs."""
        return {"text_column": self.text_name, **({"pair_column": self.pair_column} if self.pair_column else {})}

    def judge(
        self, number: int, texts: Sequence[Any], row_id: Any, line: int | None, last_line: int | None
    ) -> Row | Rejected:
        """The row, or why not.

        Args:
            texts: what its columns of texts hold, one value or both of a pair.
        """
        for place, text in enumerate(texts):
            fault = find_fault(text, row_id, self.encoding)
            if fault is not None:
                if len(texts) > 1:
                    fault = fault[0], ": ".join(part for part in (_OF_A_PAIR[place], fault[1]) if part)
                readable = [text if isinstance(text, str) else None for text in texts]
                return self.reject(number, fault, line, last_line, *readable)
        return Row(number, texts[0] if len(texts) == 1 else (texts[0], texts[1]), row_id)

    def reject(
        self,
        number: int,
        fault: tuple[Reason, str],
        line: int | None,
        last_line: int | None,
        text: str | None,
        second: str | None = None,
    ) -> Rejected:
        """The row rejected; its texts are dropped unless asked for."""
        kept = (text, second) if self.keep_texts else (None, None)
        return Rejected(number, *fault, line, last_line, *kept)


def read_plain(lines: Lines, options: ReadOptions) -> Iterator[Row | Rejected]:
    """One text a line; an empty line is an empty text."""
    for number, line in enumerate(each_line(lines)):
        at = lines.number
        if isinstance(line, RowTooLargeError):
            yield options.reject(number, (Reason.TOO_LARGE, str(line)), at, at, None)
        else:
            yield options.judge(number, [line.rstrip("\r\n")], None, at, at)


def read_jsonl(lines: Lines, options: ReadOptions) -> Iterator[Row | Rejected]:
    """One JSON object a line; blank lines are passed over.

    Raises:
        CorpusError: the text column, or that of second texts, is in none of the first rows.
    """
    text_names, id_name = list(options.text_columns.values()), options.id_column
    # Of the rows so far, until one has the text columns.
    names: dict[str, None] | None = None if options.columns_are_known else {}
    number = 0
    for line in each_line(lines):
        at = lines.number
        if isinstance(line, str) and not line.strip():
            continue
        record, fault = _parse_json(line, options.encoding)
        if record is None:
            yield options.reject(number, fault, at, at, line if isinstance(line, str) else None)
        else:
            texts = [record.get(name) for name in text_names]
            yield options.judge(number, texts, record.get(id_name) if id_name else None, at, at)
        number += 1
        if names is not None:
            names = None if record and record.keys() >= {*text_names} else {**names, **dict.fromkeys(record or ())}
        if names is not None and number == _ROWS_TO_FIND_TEXT:
            _refuse_without_text(names, options)
    if names:
        _refuse_without_text(names, options)


def _refuse_without_text(names: dict[str, None], options: ReadOptions) -> None:
    if not names:
        raise CorpusError(
            f"{options.source}: none of the first {_ROWS_TO_FIND_TEXT:,} rows is a JSON object; say what the input is with "
            f"{option('input_format')} (txt: one text a line)"
        )
    for argument, name in options.text_columns.items():
        choose_column(options.source, list(names), name, argument)


def _parse_json(line: str | RowTooLargeError, encoding: str) -> tuple[dict[str, Any] | None, tuple[Reason, str]]:
    """The object on the line, or None and why not."""
    if isinstance(line, RowTooLargeError):
        return None, (Reason.TOO_LARGE, str(line))
    undecodable = find_undecodable(line, encoding)
    if undecodable is not None:
        return None, undecodable
    try:
        record = parse_json(line)
    except (ValueError, RecursionError) as error:
        return None, (Reason.BROKEN_JSON, str(error))
    if not isinstance(record, dict):
        return None, (Reason.BROKEN_JSON, f"expected a JSON object, found {type(record).__name__}")
    return record, (Reason.BROKEN_JSON, "")


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where they are, of so many fields; `texts` has one place, or two for pairs."""

    fields: int
    texts: tuple[int, ...]
    id: int | None


def read_delimited(lines: Lines, options: ReadOptions, *, tabs: bool) -> Iterator[Row | Rejected]:
    """CSV with quotes as RFC 4180 has them; TSV without, as IANA's text/tab-separated-values. Blank lines are passed over.

    Raises:
        CorpusError: an unreadable header, or one without the columns asked for.
    """
    columns: _Columns | None = None
    number = 0
    for first, fields, broken in split_records(lines, tabs=tabs):
        if columns is None:
            columns = _find_columns(fields, broken, options)
            if options.begins_with_columns or not options.text_column.isdecimal():
                continue
        fault = broken
        if fault is None and len(fields) != columns.fields:
            fault = Reason.WRONG_FIELDS, f"expected {columns.fields}, found {len(fields)}"
        if fault:
            yield options.reject(number, fault, first, lines.number, ",".join(fields) or None)
        else:
            row_id = None if columns.id is None else fields[columns.id]
            yield options.judge(number, [fields[at] for at in columns.texts], row_id, first, lines.number)
        number += 1


def _find_columns(fields: list[str], fault: tuple[Reason, str] | None, options: ReadOptions) -> _Columns:
    """Where the columns are, from the first record: the header, or a row of a file without."""
    source, row_id = options.source, options.id_column
    fault = fault or next((found for name in fields if (found := find_undecodable(name, options.encoding))), None)
    if fault:
        raise CorpusError(f"{source}: its first row cannot be read: {fault[0]}, {fault[1]}")
    texts = options.text_columns
    if not options.text_column.isdecimal():
        names = [name.strip() for name in fields]
        texts_at = tuple(names.index(choose_column(source, names, name, argument)) for argument, name in texts.items())
        id_at = names.index(choose_column(source, names, row_id, "id_column")) if row_id else None
        return _Columns(len(fields), texts_at, id_at)
    for kind, name in (("id", row_id), ("pair", options.pair_column)):
        if name and not name.isdecimal():
            raise CorpusError(f"{source}: text column by position, {kind} column by name; give both as positions")
    positions = [int(position) for position in (*texts.values(), row_id) if position]
    if max(positions) >= len(fields):
        raise CorpusError(
            f"{source}: expected a column at position {max(positions)}, counted from 0; its first row has {len(fields)}"
        )
    return _Columns(len(fields), tuple(positions[: len(texts)]), positions[-1] if row_id else None)
