"""Records of text files that are not compressed, found by bytes as long as these tell where a record ends."""

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import numpy as np

from driftgate.predict.reading.formats import Format
from driftgate.predict.reading.part import ByteLines, CountedLines, LineTooLongError, Part
from driftgate.predict.reading.readers import ReadOptions
from driftgate.predict.reading.rows import MAX_ROW_CHARS, WINDOW_CHARS, Reason, count_chars
from driftgate.predict.reading.source import open_source
from driftgate.predict.reading.text_files import open_bytes
from driftgate.predict.reading.text_records import each_line, split_records
from driftgate.predict.shards.borders import Border, find_borders

_BLOCK_BYTES = 1 << 22
_NEWLINE, _BRACE = b"\n{"


class _TextScan:
    """Records of a text file that is not compressed; `_at` is the byte and the line behind the one at hand."""

    def __init__(self, name: str, form: Format, read: ReadOptions, start: Border, header_bytes: int) -> None:
        self._name, self._form, self._read, self._header_bytes = name, form, read, header_bytes
        self._counted = (start.byte, start.line)

    @property
    def _at(self) -> tuple[int, int]:
        raise NotImplementedError

    def count_chars(self, records: int) -> int:
        """As a job finds them that begins there."""
        byte, line = self._counted
        self._counted = self._at
        part = Part(0, records, byte, self._at[0], line, self._header_bytes)
        with closing(open_source(self._name, self._form, self._read, part)) as source:
            return sum(map(count_chars, islice(source.rows, records)))

    def border(self, rows: int) -> Border:
        self._counted = self._at
        return Border(rows, *self._counted)


class LineScan(_TextScan):
    """Where a line is a record, found in blocks of bytes.

    Raises:
        LineTooLongError: whether a line is too large depends on its characters.
    """

    @property
    def _at(self) -> tuple[int, int]:
        byte, line = self._before
        return byte + self._ends[self._index], line + self._index + 1

    def __iter__(self) -> Iterator[int]:
        self._before = self._counted
        with closing(open_bytes(self._name)) as file:
            file.seek(self._before[0])
            rest = b""
            while block := file.read(_BLOCK_BYTES):
                content = rest + block
                end = content.rfind(b"\n") + 1
                yield from self._records(content[:end])
                rest = content[end:]
                if len(rest) > MAX_ROW_CHARS:
                    raise LineTooLongError
            yield from self._records(rest)

    def _records(self, content: bytes) -> Iterator[int]:
        """The sizes of the records in these lines, of which only the last one of a file may have no end."""
        if not content:
            return
        values = np.frombuffer(content, dtype=np.uint8)
        ends = np.flatnonzero(values == _NEWLINE) + 1
        if content[-1] != _NEWLINE:
            ends = np.append(ends, len(content))
        sizes = np.diff(ends, prepend=0)
        if sizes.max() > MAX_ROW_CHARS:
            raise LineTooLongError
        self._ends = ends.tolist()
        of_records = np.arange(len(ends))
        if self._form is Format.JSONL:
            of_records = of_records[self._are_records(content, values, ends - sizes, ends)]
        for self._index, size in zip(of_records.tolist(), sizes[of_records].tolist(), strict=True):
            yield size
        byte, line = self._before
        self._before, self._index = (byte + self._ends[-1], line + len(self._ends)), -1
        self._ends = [0]

    def _are_records(self, content: bytes, values: Any, starts: Any, ends: Any) -> Any:
        """Lines with more than space, bool, (lines,)."""
        found = values[starts] == _BRACE
        for at in np.flatnonzero(~found).tolist():
            found[at] = bool(content[starts[at] : ends[at]].decode("utf-8", "surrogateescape").strip())
        return found


class RecordScan(_TextScan):
    """Where lines have to be read to know where a record ends, as text."""

    _kind: type[CountedLines] = CountedLines

    @property
    def _at(self) -> tuple[int, int]:
        return self._lines.offset, self._lines.number

    def __iter__(self) -> Iterator[int]:
        byte, line = self._counted
        lines = self._kind(self._name, newline=self._form.newline, first_byte=byte, first_line=line)
        with closing(lines) as self._lines:
            before = lines.offset
            for _ in self._records():
                yield lines.offset - before
                before = lines.offset

    def _records(self) -> Iterator[object]:
        if self._form.is_delimited:
            for _, _, fault in split_records(self._lines, tabs=self._form is Format.TSV):
                if fault and fault[0] is Reason.TOO_LARGE:
                    self._lines.refuse_bytes()
                yield fault
            return
        for line in each_line(self._lines):
            if self._form is Format.TXT or not isinstance(line, str) or line.strip():
                yield line


class ByteRecordScan(RecordScan):
    """As bytes.

    Raises:
        LineTooLongError: whether a line or record is too large depends on its characters.
    """

    _kind = ByteLines


def scan_text(
    name: str,
    form: Format,
    read: ReadOptions,
    start: Border,
    header_bytes: int,
    window_rows: int,
    max_chars: int = WINDOW_CHARS,
) -> Iterator[Border]:
    """The windows of a text file, by its bytes as long as they tell where a record ends."""
    last = start
    for scan in (ByteRecordScan if form.is_delimited else LineScan, RecordScan):
        records = scan(name, form, read, last, header_bytes)
        try:
            for border in find_borders(records, window_rows, last.rows, max_chars):
                last = border
                yield border
        except LineTooLongError:
            continue
        return
