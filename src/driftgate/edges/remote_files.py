"""Files at URLs, to read: objects of S3 and Google Cloud Storage, files on the Hugging Face hub and on web servers."""

import io
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from driftgate.edges.stores import WEB, naming_store, opened_store, scheme_of
from driftgate.errors import CorpusError, OutputError

_BLOCK_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class RemoteVersion:
    """What a store says of a file.

    Args:
        size: in bytes; None where the server does not say.
        tag: changes when the content does: an ETag, a digest; empty where the store has none.
    """

    size: int | None
    tag: str


def look(url: str) -> RemoteVersion:
    """What is there now.

    Raises:
        CorpusError: nothing, or it cannot be reached.
    """
    with opened_store(url, CorpusError) as (system, path):
        about = system.info(path)
        if about["type"] != "file":
            raise CorpusError(f"{url}: expected a file, found a folder")
        tags = (about.get(key) for key in ("ETag", "etag", "xet_hash", "blob_id", "Content-MD5"))
        return RemoteVersion(about["size"], next((str(tag).strip('"') for tag in tags if tag), ""))


def find_files(pattern: str) -> list[str]:
    """URLs that match a glob, in the order of names.

    Raises:
        CorpusError: the store cannot be reached.
    """
    with opened_store(pattern, CorpusError) as (system, path):
        marks = "*" if scheme_of(pattern) in WEB else "*?["  # a question mark begins a query there
        if not any(mark in path for mark in marks):
            return [pattern]
        return sorted(system.unstrip_protocol(found) for found in system.glob(path))


class RemoteFile(io.RawIOBase):
    """A file at a URL, to read, from any place where the server allows that.

    Args:
        random: pieces here and there are read, and not all of it from some place on.

    Raises:
        CorpusError: it cannot be read; also from every method.
    """

    def __init__(self, url: str, *, random: bool = False) -> None:
        self._url = url
        with opened_store(url, CorpusError) as (system, path):
            how = {"cache_type": "none"} if random else {"cache_type": "readahead", "block_size": _BLOCK_BYTES}
            self._file = system.open(path, "rb", **how)
            self._gives_pieces = random or scheme_of(url) not in WEB or _gives_pieces(self._file)
            if not self._gives_pieces:
                self._file.close()
                self._file = system.open(path, "rb", block_size=0)
        self.size: int = self._file.size or 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        """Whether the server gives pieces of it."""
        return self._gives_pieces

    def readinto(self, buffer: Any) -> int:
        with naming_store(self._url, CorpusError):
            content: bytes = self._file.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with naming_store(self._url, CorpusError):
            self._file.seek(offset, whence)
            return int(self._file.tell())

    def tell(self) -> int:
        return int(self._file.tell())

    def close(self) -> None:
        if not self.closed:
            with suppress(Exception):  # nothing is lost by it
                self._file.close()
        super().close()


def _gives_pieces(file: Any) -> bool:
    """Whether a web server does; many say nothing about it."""
    try:
        file.seek(1)
        file.read(1)
        file.seek(0)
    except ValueError:
        return False
    return True


def read_whole(url: str) -> bytes | None:
    """A small file; None where there is none.

    Raises:
        OutputError: it cannot be reached.
    """
    with opened_store(url, OutputError) as (system, path):
        try:
            content: bytes = system.cat_file(path)
        except FileNotFoundError:
            return None
        return content


def exists(url: str) -> bool:
    """Whether something is there.

    Raises:
        OutputError: nobody can say.
    """
    with opened_store(url, OutputError) as (system, path):
        try:
            system.info(path)
        except FileNotFoundError:
            return False
        return True
