"""A range of the rows of a text file, read from where it begins."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from driftgate.predict.reading.rows import Rejected, Row
from driftgate.predict.reading.text_files import Lines


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive rows of an input.

    Args:
        first_row: what the first one is numbered, from 0; in a plan of several files rows are numbered through all of them.
        rows: how many, rejected ones included.
        first_byte, end_byte: where they are in the file, which is not compressed; both 0 for a file that is read whole.
        first_line: lines of the file before them.
        header_bytes: of the header of a CSV or TSV file, which is read first; 0 without one.
    """

    first_row: int
    rows: int
    first_byte: int = 0
    end_byte: int = 0
    first_line: int = 0
    header_bytes: int = 0

    @property
    def is_whole_file(self) -> bool:
        """Whether it is read as any file is."""
        return not self.end_byte


class CountedLines(Lines):
    """Lines of a UTF-8 file, with `offset`: the byte behind the last one."""

    def __init__(self, name: str, *, newline: str, first_byte: int = 0, first_line: int = 0) -> None:
        super().__init__(name, "utf-8", newline=newline, first_byte=first_byte)
        self.number = first_line
        self.offset = first_byte or self.mark_bytes

    def _read(self) -> str:
        line = super()._read()
        self.offset += len(line.encode("utf-8", "surrogateescape"))
        return line


class PartLines(Lines):
    """The header of a file, where it has one, then the lines of a part."""

    def __init__(self, name: str, *, newline: str, part: Part) -> None:
        self._file, self._newline, self._part = name, newline, part
        self._in_header = bool(part.header_bytes)
        self._lines = CountedLines(name, newline=newline) if self._in_header else self._open()
        self.total_bytes = self._lines.total_bytes

    def __next__(self) -> str:
        if self._in_header and self._lines.offset >= self._part.header_bytes:
            self._lines.close()
            self._lines, self._in_header = self._open(), False
        return next(self._lines)

    def close(self) -> None:
        """Let go of the file."""
        self._lines.close()

    @property
    def number(self) -> int:  # type: ignore[override]
        """Of the last line read, from 1, in the whole file."""
        return self._lines.number

    @property
    def descriptor(self) -> int:
        """Of the file as it is open now."""
        return self._lines.descriptor

    def _open(self) -> CountedLines:
        part = self._part
        return CountedLines(self._file, newline=self._newline, first_byte=part.first_byte, first_line=part.first_line)


class PartRows(Iterator[Row | Rejected]):
    """The rows of a part, numbered as it says; `read` of them are done."""

    def __init__(self, rows: Iterator[Row | Rejected], part: Part) -> None:
        self._rows, self._part = rows, part
        self.read = 0

    def __next__(self) -> Row | Rejected:
        if self.read == self._part.rows:
            raise StopIteration
        row = next(self._rows)
        self.read += 1
        return replace(row, number=row.number + self._part.first_row)
