"""Read back what a job has written: every row of a shard once, in order, as scores or as a rejected row.

A job counts what it writes. But where file locks do not reach other machines, as with some network file systems, two jobs of one
shard can write to one file, and neither count says so.
"""

import csv
import gzip
import hashlib
import heapq
import io
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, cast

from driftgate.builder.artifact import file_sha256
from driftgate.errors import OutputError
from driftgate.predict.reading.formats import Format
from driftgate.predict.reading.parquet_input import require_pyarrow
from driftgate.predict.reading.part import Part

_ROW = re.compile(rb'\{"row": (\d+)')
_BUFFER_BYTES = 1 << 18


def check_rows(output: Path, rejects: Path | None, form: Format, part: Part) -> tuple[str, str]:
    """The digests of both files, sha256, of the same bytes that were found to have the rows of the part; "" without rejects.

    Raises:
        OutputError: a row is missing, or is there twice.
    """
    digest = ""
    with ExitStack() as opened:
        written = _Digesting(opened.enter_context(output.open("rb")))
        rejected = _Digesting(opened.enter_context(rejects.open("rb"))) if rejects else None
        if form is Format.PARQUET:
            numbers, digest = _parquet_rows(output), file_sha256(output)
        else:
            numbers = _rows(_unpacked(written), form)
        both = heapq.merge(numbers, _rows(rejected.buffered(), Format.JSONL) if rejected else ())
        expected = iter(range(part.first_row, part.first_row + part.rows))
        try:
            for found in both:
                wanted = next(expected, None)
                if found != wanted:
                    raise _wrong(output, wanted, found)
        except (ValueError, EOFError, IndexError, gzip.BadGzipFile) as error:
            raise OutputError(
                f"{output}: what was written cannot be read back ({error}); score the shard again"
            ) from error
        if (missing := next(expected, None)) is not None:
            raise _wrong(output, missing, None)
        return digest or written.hexdigest(), rejected.hexdigest() if rejected else ""


def _wrong(output: Path, expected: int | None, found: int | None) -> OutputError:
    return OutputError(
        f"{output}: expected {'the end' if expected is None else f'row {expected}'}, found "
        f"{'the end' if found is None else f'row {found}'}; did another process write to it, on a file system without locks "
        "between machines? Score the shard again, in one process"
    )


class _Digesting(io.RawIOBase):
    """A file whose digest is that of all that was read of it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest = file, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        self._digest.update(memoryview(buffer)[:count])
        return count

    def buffered(self) -> io.BufferedReader:
        return io.BufferedReader(self, _BUFFER_BYTES)

    def hexdigest(self) -> str:
        """Of the whole file, what nobody asked for included."""
        while self.read(_BUFFER_BYTES):
            pass
        return self._digest.hexdigest()


def _unpacked(written: _Digesting) -> BinaryIO:
    """What was compressed or not."""
    content = written.buffered()
    if content.peek(2)[:2] == b"\x1f\x8b":
        return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=content)), _BUFFER_BYTES)
    return cast("BinaryIO", content)


def _rows(content: BinaryIO, form: Format) -> Iterator[int]:
    """Numbers of the rows of CSV, TSV or JSON lines, which are the first of each."""
    if form is Format.JSONL:
        for line in content:
            found = _ROW.match(line)
            if found is None or not line.endswith(b"\n"):
                raise ValueError("a line without a row")
            yield int(found[1])
        return
    text = io.TextIOWrapper(content, "latin-1", newline="")  # only the numbers are looked at
    records = csv.reader(text, delimiter="\t" if form is Format.TSV else ",")
    next(records, None)
    for record in records:
        yield int(record[0])


def _parquet_rows(output: Path) -> Iterator[int]:
    pa = require_pyarrow(str(output))
    with pa.parquet.ParquetFile(output) as file:
        for batch in file.iter_batches(columns=["row"]):
            yield from batch.column(0).to_pylist()
