"""Files at URLs, to write. Each appears whole."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from driftgate.edges.remote_files import RemoteVersion, look
from driftgate.edges.stores import opened_store, scheme_of
from driftgate.errors import OutputError

_COPY_BYTES = 1 << 20
_CAN_CREATE = ("s3", "s3a", "gs", "gcs", "memory")
"""Where a client can ask for an object to be written unless there is one, and the store decides. Others look first and write
then, which two writers can both do."""


def write_unless_there(url: str, content: bytes) -> bool:
    """Write a small file whole; False, and nothing is written, where there is one.

    Raises:
        OutputError: it cannot be written.
    """
    with opened_store(url, OutputError) as (system, path):
        try:
            system.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        return True


def require_exclusive(url: str) -> None:
    """Refuse a store that cannot be asked to write only where nothing is, or does not heed it, as some servers of S3.

    Raises:
        OutputError: it is one, or cannot be written at all.
    """
    scheme = scheme_of(url)
    if scheme not in _CAN_CREATE:
        raise OutputError(
            f"{url}: of two workers on one shard both could win there, because {scheme}:// has no way to write a file only where "
            "there is none; expected a folder on this machine, s3:// or gs://"
        )
    probe = f"{url}.probe"
    write_unless_there(probe, b"")
    try:
        if write_unless_there(probe, b""):
            raise OutputError(
                f"{url}: its server ignores If-None-Match, so that of two workers on one shard both could win; expected a "
                "folder on this machine, or a store with conditional writes"
            )
    finally:
        remove(probe)


def write_whole(url: str, content: bytes) -> None:
    """Write a small file, over what is there.

    Raises:
        OutputError: it cannot be written.
    """
    with opened_store(url, OutputError) as (system, path):
        system.pipe_file(path, content)


def upload(source: Path, url: str) -> RemoteVersion:
    """Copy a file of this machine there; it appears whole.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing_file(url) as target, source.open("rb") as file:
        while piece := file.read(_COPY_BYTES):
            target.write(piece)
    return look(url)


@contextmanager
def replacing_file(url: str) -> Iterator[BinaryIO]:
    """A file to write to, which appears whole when the block ends well.

    Raises:
        OutputError: it cannot be written.
    """
    with opened_store(url, OutputError) as (system, path):
        file = system.open(path, "wb", autocommit=False)
        try:
            yield cast("BinaryIO", file)
            file.close()
        except BaseException:
            with suppress(Exception):
                file.discard()
                file.closed = True  # or it would be sent when it is forgotten
            raise
        file.commit()


def remove(url: str) -> None:
    """Remove a file, if there is one.

    Raises:
        OutputError: it cannot be removed.
    """
    with opened_store(url, OutputError) as (system, path), suppress(FileNotFoundError):
        system.rm_file(path)
