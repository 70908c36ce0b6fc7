"""Unpacking someone else's archive: nothing lands outside a folder that is removed, and no more of it than was allowed.

The members are copied one by one instead of trusting `tarfile` with names, owners, modes and links: an archive of a model
needs folders and plain files only.
"""

import contextlib
import gzip
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from driftgate.edges.limits import Limit
from driftgate.edges.spelling import option
from driftgate.errors import ArtifactError
from driftgate.onnx_graph.onnx_file import LONGEST, describe_content

SUFFIXES = (".tar.gz", ".tgz", ".tar")

_MOST_MEMBERS = 10_000
_MOST_GROWTH = 20
"""Bytes out of a byte in. Weights hardly compress: the zoo's archive of a 499 MB RoBERTa has 295 MB."""
_ALWAYS_ALLOWED = 64 << 20
"""Tiny models of equal numbers compress far better, and cannot fill a disk."""
_HEADER_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 20


def is_archive(path: Path) -> bool:
    """Whether the name says so."""
    return path.name.lower().endswith(SUFFIXES)


@contextlib.contextmanager
def unpacked(archive: Path, max_bytes: int | None = None) -> Iterator[Path]:
    """A temporary folder with the archive's files, removed afterwards.

    Args:
        archive: tar, perhaps gzipped.
        max_bytes: allowed for all files; None for 20 times the archive's size (64 MiB at least), and what the disk has free.

    Raises:
        ArtifactError: not an archive, a damaged one, one that is too large, or one with a member that has no place in it:
            a path that leaves the folder, a link, a device, a file twice.
    """
    with tempfile.TemporaryDirectory(prefix="driftgate-") as name:
        folder = Path(name)
        try:
            free = shutil.disk_usage(folder).free
            guessed = max(_ALWAYS_ALLOWED, _MOST_GROWTH * archive.stat().st_size)
            if max_bytes is not None:
                Limit(option("max_bytes"), 1, free, lambda: f", what is free in {folder.parent}").require(max_bytes)
            _unpack(archive, folder, min(free, guessed) if max_bytes is None else max_bytes)
        except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
            raise ArtifactError(
                f"{archive}: expected a tar archive, found {_kind(archive)} ({error}); fetch it again"
            ) from error
        except OSError as error:
            raise ArtifactError(f"{archive}: cannot be unpacked into {folder} ({error.strerror or error})") from error
        yield folder


def _kind(archive: Path) -> str:
    with archive.open("rb") as file:
        start = file.read(LONGEST)
    zipped = start.startswith(b"\x1f\x8b")
    return (not zipped and describe_content(start)) or "one that is cut off or damaged"


def _unpack(archive: Path, folder: Path, max_bytes: int) -> None:
    with archive.open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        with gzip.open(raw) if zipped else contextlib.nullcontext(raw) as stream:
            _unpack_stream(_Metered(stream, archive), archive, folder, max_bytes)


def _unpack_stream(metered: "_Metered", archive: Path, folder: Path, max_bytes: int) -> None:
    metered.allow(_HEADER_BYTES)
    written = 0
    with tarfile.open(fileobj=metered, mode="r|") as tar:  # type: ignore[call-overload]  # it only reads
        for count, member in enumerate(_members(tar, metered), 1):
            _refuse_unsafe(archive, member)
            if count > _MOST_MEMBERS:
                raise ArtifactError(f"{archive}: expected at most {_MOST_MEMBERS} files, found more; do not unpack it")
            written += member.size
            if written > max_bytes:
                raise ArtifactError(
                    f"{archive}: expected at most {max_bytes} bytes in it, {member.name!r} brings them to {written}; if you "
                    f"trust it, allow them with {option('max_bytes', written)} or more"
                )
            metered.allow(member.size + _HEADER_BYTES)
            _copy(archive, tar, member, folder)


def _members(tar: tarfile.TarFile, metered: "_Metered") -> Iterator[tarfile.TarInfo]:
    """Members in order; what describes one is read under an allowance, as it may claim to be of any length."""
    while (member := tar.next()) is not None:
        yield member
        metered.allow(_HEADER_BYTES)
    # A damaged description ends the members as if there were no more. Reading on also lets gzip check its sum.
    while tar.fileobj and (rest := tar.fileobj.read(_CHUNK_BYTES)):
        if rest.strip(b"\0"):
            raise tarfile.ReadError("a file in it has no readable description")


def _refuse_unsafe(archive: Path, member: tarfile.TarInfo) -> None:
    """Read as either system would: a path that is harmless here may not be elsewhere."""
    name = member.name
    windows = PureWindowsPath(name)
    if PurePosixPath(name).is_absolute() or windows.drive or windows.root or ".." in windows.parts or "\0" in name:
        raise ArtifactError(f"{archive}: {name!r} would be written outside the folder; the archive is not safe")
    if member.issym() or member.islnk():
        raise ArtifactError(
            f"{archive}: {name!r} is a link to {member.linkname!r}, expected files and folders only; the archive is not safe"
        )
    if not (member.isdir() or (member.isreg() and not member.issparse())):
        raise ArtifactError(
            f"{archive}: {name!r} is a device, a pipe or a sparse file, expected files and folders only"
        )


def _copy(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    target = folder / PurePosixPath(member.name)
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with content, target.open("xb") as file:
            shutil.copyfileobj(content, file, _CHUNK_BYTES)
    except FileExistsError as error:
        raise ArtifactError(f"{archive}: {member.name!r} is in it twice, expected each file once") from error


class _Metered:
    """A stream that gives no more bytes than it was last allowed, whatever the archive says of itself."""

    def __init__(self, stream: BinaryIO | gzip.GzipFile, archive: Path) -> None:
        self._stream = stream
        self._archive = archive
        self._left = 0

    def allow(self, size: int) -> None:
        self._left = size

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise ArtifactError(
                f"{self._archive}: the description of a file in it is too long; the archive is not safe"
            )
        return data
