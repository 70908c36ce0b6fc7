"""The windows of one input, and the parts that they can be cut into."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import accumulate, islice, pairwise
from typing import Any

from driftgate.errors import CorpusError
from driftgate.predict.reading.formats import Format, is_gzip_name
from driftgate.predict.reading.parquet_input import ParquetRows
from driftgate.predict.reading.part import CountedLines, Part
from driftgate.predict.reading.readers import ReadOptions
from driftgate.predict.reading.source import open_source
from driftgate.predict.reading.text_files import open_bytes
from driftgate.predict.reading.text_records import split_records
from driftgate.predict.shards.borders import Border, ParquetScan, find_borders
from driftgate.predict.shards.plan import Input
from driftgate.predict.shards.text_scans import scan_text

_ROWS_TO_LOOK_AT = 1000
"""So many are read as a job reads them: its errors about columns and formats come from these."""


@dataclass(frozen=True, slots=True)
class _RowGroups:
    """Of a Parquet file: the rows and bytes before each, and behind the last."""

    rows: list[int]
    bytes: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class InputWindows:
    """What a plan knows of a file.

    Args:
        start: before its first row. `borders`: behind each window, or behind all rows where it is one shard.
        why_whole: why it is one shard; empty where it can be cut.
        header_bytes: as of `Part`, for parts that do not begin the file.
        id_type: Arrow's type of the ids of a Parquet file.
    """

    file: Input
    start: Border
    borders: list[Border]
    why_whole: str = ""
    header_bytes: int = 0
    groups: _RowGroups | None = None
    id_type: Any = field(default=None, compare=False)

    @property
    def rows(self) -> int:
        """All of them."""
        return self.borders[-1].rows

    def part(self, before: Border, behind: Border) -> Part:
        """The rows between two borders, numbered from 0."""
        rows = behind.rows - before.rows
        if self.why_whole:
            return Part(0, rows)
        if self.groups is None:
            return Part(0, rows, before.byte, behind.byte, before.line, self.header_bytes)
        starts = self.groups.rows
        touched = [at for at, (a, b) in enumerate(pairwise(starts)) if a < behind.rows and b > before.rows]
        first, end = touched[0], touched[-1] + 1
        reached = self.groups.bytes[first:end]
        return Part(
            0,
            rows,
            min(start for start, _ in reached),
            max(stop for _, stop in reached),
            first_group=first,
            end_group=end,
            skipped_rows=before.rows - starts[first],
        )


def read_windows(
    file: Input, form: Format, read: ReadOptions, window_rows: int, tell: Callable[[Border, int], None]
) -> InputWindows:
    """Read all of a file.

    Args:
        tell: called behind each window with how many bytes are read.

    Raises:
        CorpusError: it cannot be read, lacks the columns, or has no rows.
    """
    name = file.name
    why = _why_whole(name, form, read.encoding)
    if why:
        with closing(open_source(name, form, read)) as source:
            found = InputWindows(file, Border(0), [Border(sum(1 for _ in source.rows))], why_whole=why)
    elif form is Format.PARQUET:
        found = _read_parquet(file, read, window_rows, tell)
    else:
        found = _read_text(file, form, read, window_rows, tell)
    if not found.borders or not found.rows:
        raise CorpusError(f"{name}: it has no rows; expected at least one text")
    return found


def _why_whole(name: str, form: Format, encoding: str) -> str:
    if form is Format.PARQUET:
        return ""
    with closing(open_bytes(name)) as file:
        gzipped = file.read(2) == b"\x1f\x8b"
        if gzipped or is_gzip_name(name):
            return "gzip can only be read from its start"
        if not file.seekable():
            return "its server gives no pieces of it"
    if encoding.lower().replace("_", "-") not in ("utf-8", "utf8", "ascii"):
        return f"only UTF-8 can be read from the middle, and its encoding is {encoding}"
    return ""


def _read_text(
    file: Input, form: Format, read: ReadOptions, window_rows: int, tell: Callable[[Border, int], None]
) -> InputWindows:
    with closing(open_source(file.name, form, read)) as source:
        for _ in islice(source.rows, _ROWS_TO_LOOK_AT + 1):
            pass
    with closing(CountedLines(file.name, newline=form.newline)) as lines:
        start, header = Border(0, lines.offset), 0
        if form.is_delimited:
            next(split_records(lines, tabs=form is Format.TSV), None)
            header = lines.offset
            if not read.text_column.isdecimal():
                start = Border(0, lines.offset, lines.number)
    borders = []
    for border in scan_text(file.name, form, read, start, header, window_rows):
        borders.append(border)
        tell(border, border.byte)
    return InputWindows(file, start, borders, header_bytes=header)


def _read_parquet(
    file: Input, read: ReadOptions, window_rows: int, tell: Callable[[Border, int], None]
) -> InputWindows:
    with closing(ParquetRows(file.name, read)) as rows:
        about = [rows.metadata.row_group(at) for at in range(rows.metadata.num_row_groups)]
        groups = _RowGroups([0, *accumulate(group.num_rows for group in about)], [_bytes_of(group) for group in about])
        borders = []
        for border in find_borders(ParquetScan(rows), window_rows):
            borders.append(border)
            tell(border, file.bytes * border.rows // max(rows.total, 1))
        return InputWindows(file, Border(0), borders, groups=groups, id_type=rows.id_type)


def _bytes_of(group: Any) -> tuple[int, int]:
    """Where a row group lies in its file."""
    columns = [group.column(at) for at in range(group.num_columns)]
    starts = [
        min(offset for offset in (column.dictionary_page_offset, column.data_page_offset) if offset)
        for column in columns
    ]
    return min(starts), max(start + column.total_compressed_size for start, column in zip(starts, columns, strict=True))
