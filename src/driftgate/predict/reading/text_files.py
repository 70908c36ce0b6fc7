"""Text from files and pipes, gzip or not, line by line, with how far the file is read."""

import codecs
import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from driftgate.edges.remote_files import RemoteFile
from driftgate.edges.spelling import option
from driftgate.edges.stores import is_url
from driftgate.errors import CorpusError, OptionError
from driftgate.predict.reading.formats import PIPE, is_gzip_name, is_pipe
from driftgate.predict.reading.rows import MAX_ROW_CHARS

_GZIP_MAGIC = b"\x1f\x8b"
_PARQUET_MAGIC = b"PAR1"
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_BUFFER_BYTES = 1 << 16  # what is buffered counts as read: more would say so of files that are not


class RowTooLargeError(Exception):
    """A line that would not fit into memory; the next one can be read."""


class Lines(Iterator[str]):
    """The lines of a text, ends included. Bytes that are not text become lone surrogates (PEP 383).

    `number` is the number of the last line read, from 1. A line over `MAX_ROW_CHARS` raises RowTooLargeError and is passed
    over; reading goes on behind it.

    Args:
        first_byte: where in a file reading begins; a line begins there.
    """

    def __init__(self, name: str, encoding: str, *, newline: str, first_byte: int = 0) -> None:
        self._name = name
        self._is_pipe = is_pipe(name)
        self._encoding = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
        _require_encoding(encoding)
        self._raw = _open_raw(name)
        self.mark_bytes = 0
        """Of UTF-8's byte-order mark, where the text begins with one."""
        if first_byte:
            self._raw.seek(first_byte)
            self._encoding = encoding  # a mark stands at the beginning only
        try:
            self._text = io.TextIOWrapper(
                self._unpack(from_start=not first_byte), self._encoding, errors="surrogateescape", newline=newline
            )
        except CorpusError:
            self._raw.close()
            raise
        self.number = 0
        self.total_bytes = 0 if self._is_pipe else _size(self._raw)
        """Size of the file, compressed or not; 0 for a pipe, or where a server does not say."""

    @property
    def bytes_read(self) -> int:
        """How far the file is read; 0 for a pipe."""
        return self._raw.tell() if self.total_bytes else 0

    @property
    def descriptor(self) -> int:
        """Of the opened file."""
        return self._raw.fileno()

    def close(self) -> None:
        """Let go of the file; a pipe is the caller's."""
        if not self._is_pipe:  # another thread may wait for a pipe, and closing its buffer would wait for that
            self._text.close()
        self._raw.close()

    def __next__(self) -> str:
        line = self._read()
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > MAX_ROW_CHARS:
            while line and not line.endswith(("\n", "\r")):
                line = self._read()
            raise RowTooLargeError(f"expected at most {MAX_ROW_CHARS:,} characters in a line")
        return line

    def _read(self) -> str:
        try:
            return self._text.readline(MAX_ROW_CHARS + 1)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise CorpusError(
                f"{self._name}: damaged gzip data behind line {self.number} ({error}); fetch it again"
            ) from error
        except UnicodeError as error:
            raise CorpusError(
                f"{self._name}: not {self._encoding} behind line {self.number} ({error}); name its encoding with "
                f"{option('encoding')}"
            ) from error

    def _unpack(self, *, from_start: bool) -> BinaryIO:
        buffered = io.BufferedReader(cast("io.RawIOBase", self._raw), _BUFFER_BYTES)
        head = buffered.peek(4)[:4] if from_start else b""  # the middle of a file does not say what it is
        content: BinaryIO = buffered
        self.mark_bytes = len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0
        if head.startswith(_GZIP_MAGIC):
            content = io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=buffered, mode="rb")), _BUFFER_BYTES)
        elif head and is_gzip_name(self._name):
            raise CorpusError(f"{self._name}: its suffix says gzip, its content does not; rename it")
        elif head == _PARQUET_MAGIC:
            raise CorpusError(f"{self._name}: holds Parquet data; rename it to .parquet")
        if head.startswith(_UTF_16_MARKS) and self._encoding == "utf-8-sig":
            raise CorpusError(
                f"{self._name}: begins with a byte-order mark of UTF-16; say {option('encoding', 'utf-16')}"
            )
        return content


def _require_encoding(encoding: str) -> None:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)
    except LookupError as error:
        raise OptionError(
            f"{option('encoding')} {encoding}: {error}; expected one that Python knows, such as cp1252"
        ) from error


def _size(raw: Any) -> int:
    return raw.size if isinstance(raw, RemoteFile) else os.fstat(raw.fileno()).st_size


def open_bytes(name: str) -> BinaryIO:
    """A file of this machine or at a URL, unbuffered.

    Raises:
        CorpusError: it cannot be read.
    """
    if is_url(name):
        return cast("BinaryIO", RemoteFile(name))
    try:
        return cast("BinaryIO", Path(name).open("rb", buffering=0))
    except OSError as error:
        raise CorpusError(f"{name}: cannot be read: {error.strerror}") from error


def _open_raw(name: str) -> BinaryIO | io.RawIOBase:
    """Unbuffered. Standard input stays open when this is closed."""
    if name != PIPE:
        return open_bytes(name)
    try:
        return io.FileIO(sys.stdin.fileno(), closefd=False)
    except io.UnsupportedOperation:  # replaced by something in memory
        return io.BytesIO(sys.stdin.buffer.read())
