"""Where the windows of a file end, found without parsing what need not be parsed.

Windows end after so many rows, or earlier where texts are long (`make_windows`). A text has at most as many characters as its
record has bytes, so that most records are only counted. Where bytes reach the limit of characters, the rows are read as a job
reads them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from driftgate.predict.reading.parquet_input import ParquetRows
from driftgate.predict.reading.rows import WINDOW_CHARS, count_chars


@dataclass(frozen=True, slots=True)
class Border:
    """Between two windows: rows of the file before it, and of a text file its bytes and lines."""

    rows: int
    byte: int = 0
    line: int = 0


class Scan(Protocol):
    """Records of a file, one after the other."""

    def __iter__(self) -> Iterator[int]:
        """For each record, at least as many as its texts have characters."""
        ...

    def count_chars(self, records: int) -> int:
        """Characters that a job would hold of so many records, up to the one at hand."""
        ...

    def border(self, rows: int) -> Border:
        """Behind the record at hand."""
        ...


def find_borders(scan: Scan, window_rows: int, rows: int = 0, max_chars: int = WINDOW_CHARS) -> Iterator[Border]:
    """The end of each window, as `make_windows` cuts them.

    Args:
        rows: of the file before the first record.
    """
    first, counted, chars, at_most = rows, rows, 0, 0
    for size in scan:
        rows += 1
        at_most += size
        if at_most >= max_chars:
            chars += scan.count_chars(rows - counted)
            counted, at_most = rows, chars
        if rows - first == window_rows or at_most >= max_chars:
            yield scan.border(rows)
            first, counted, chars, at_most = rows, rows, 0, 0
    if rows > first:
        yield scan.border(rows)


class ParquetScan:
    """Rows of a Parquet file; batches are held until their texts need not be counted any more."""

    def __init__(self, rows: ParquetRows) -> None:
        self._rows = rows
        self._before: list[Any] = []
        self._batch: Any = None
        self._at = 0

    def __iter__(self) -> Iterator[int]:
        for batch in self._rows.read_batches():
            self._batch = batch
            for at, size in enumerate(self._rows.most_chars(batch), 1):
                self._at = at
                yield size
            self._before.append(batch)

    def count_chars(self, records: int) -> int:
        """Of the records before the batch at hand, then of those in it."""
        here = min(records, self._at)
        parts = [self._batch.slice(self._at - here, here)]
        left = records - here
        for batch in reversed(self._before):
            taken = min(left, len(batch))
            parts.append(batch.slice(len(batch) - taken))
            left -= taken
        self._before.clear()
        return sum(count_chars(row) for part in parts for row in self._rows.judge(part, 0))

    def border(self, rows: int) -> Border:
        self._before.clear()
        return Border(rows)
