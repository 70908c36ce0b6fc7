"""A range of the rows of a file, read from where it begins."""

from dataclasses import dataclass
from functools import partial

from driftgate.predict.reading.rows import MAX_ROW_CHARS
from driftgate.predict.reading.text_files import Lines


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive rows of an input.

    Args:
        first_row: what the first one is numbered, from 0; in a plan of several files rows are numbered through all of them.
        rows: how many, rejected ones included.
        first_byte, end_byte: where they are in the file, which is not compressed; both 0 for a file that is read whole. Of a
            Parquet file, where the row groups are.
        first_line: lines of the file before them.
        header_bytes: of the first record of a CSV or TSV file, which says how many fields there are and is read first; 0 where
            the part begins with it.
        first_group, end_group: the row groups of a Parquet file that hold the rows. `skipped_rows`: rows of the first group that
            belong to the part before.
    """

    first_row: int
    rows: int
    first_byte: int = 0
    end_byte: int = 0
    first_line: int = 0
    header_bytes: int = 0
    first_group: int = 0
    end_group: int = 0
    skipped_rows: int = 0

    @property
    def is_whole_file(self) -> bool:
        """Whether it is read as any file is."""
        return not self.end_byte


class CountedLines(Lines):
    """Lines of a UTF-8 file, with `offset`: the byte behind the last one."""

    def __init__(
        self, name: str, *, newline: str, first_byte: int = 0, first_line: int = 0, encoding: str = "utf-8"
    ) -> None:
        super().__init__(name, encoding, newline=newline, first_byte=first_byte)
        self.number = first_line
        self.offset = first_byte or self.mark_bytes

    def refuse_bytes(self) -> None:
        """What is too large is known of characters."""

    def _read(self) -> str:
        line = super()._read()
        self.offset += len(line.encode("utf-8", "surrogateescape"))
        return line


class LineTooLongError(Exception):
    """It may have too many characters or just too many bytes."""


class ByteLines(CountedLines):
    """Lines with a character for each byte, which are quick to count: in UTF-8, commas, quotes and line ends are single bytes.

    Raises:
        LineTooLongError: whether a line or record is too large depends on its characters.
    """

    def __init__(self, name: str, *, newline: str, first_byte: int = 0, first_line: int = 0) -> None:
        super().__init__(name, newline=newline, first_byte=first_byte, first_line=first_line, encoding="latin-1")
        self._readline = self._text.readline

    def __next__(self) -> str:
        line = self._readline(MAX_ROW_CHARS + 1)
        if not line:
            raise StopIteration
        if len(line) > MAX_ROW_CHARS:
            raise LineTooLongError
        self.number += 1
        self.offset += len(line)
        return line

    def refuse_bytes(self) -> None:
        """What is too large may only have too many bytes."""
        raise LineTooLongError


class PartLines(Lines):
    """The header of a file, where it has one, then the lines of a part."""

    def __init__(self, name: str, *, newline: str, part: Part) -> None:
        self._open = partial(
            CountedLines, name, newline=newline, first_byte=part.first_byte, first_line=part.first_line
        )
        self._in_header, self._header_bytes = bool(part.header_bytes), part.header_bytes
        self._lines = CountedLines(name, newline=newline) if self._in_header else self._open()
        self.total_bytes = self._lines.total_bytes

    def __next__(self) -> str:
        line = next(self._lines)
        if self._in_header and self._lines.offset >= self._header_bytes:
            # Now and not with the next line: whoever reads asks before that for its number.
            self._lines.close()
            self._lines, self._in_header = self._open(), False
        return line

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
