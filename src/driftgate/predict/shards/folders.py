"""Where outputs of shards and their seals are: a folder of this machine or one that machines share, or an object store."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from driftgate import files
from driftgate.builder.artifact import file_sha256
from driftgate.edges import remote_files, remote_outputs
from driftgate.edges.stores import is_url, join, local_name
from driftgate.errors import OutputError
from driftgate.predict.outputs import naming


@dataclass(frozen=True, slots=True)
class SealedFile:
    """A file that a seal vouches for, as it was when it was sealed.

    Args:
        name: in the folder of the plan.
        tag: what an object store calls this content; empty in a folder of files.
    """

    name: str
    bytes: int
    sha256: str
    tag: str = ""


class LocalFolder:
    """A folder of this machine, or one that machines share. A file appears whole there because it is renamed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, name: str) -> str:
        """A file in it, as messages name it."""
        return str(self.folder / name)

    def read(self, name: str) -> bytes | None:
        """A small file; None where there is none."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> bool:
        """Write a small file whole; in an object store False, and nothing is written, where there is one."""
        with naming(self.folder / name):
            self.folder.mkdir(parents=True, exist_ok=True)
            files.write_whole(self.folder / name, content.decode())
        return True

    def remove(self, name: str) -> None:
        """Remove a file, if there is one."""
        (self.folder / name).unlink(missing_ok=True)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.folder / name).exists()

    def has_sealed(self, sealed: SealedFile) -> bool:
        """Whether a file is there as it was sealed."""
        path = self.folder / sealed.name
        return path.is_file() and path.stat().st_size == sealed.bytes and file_sha256(path) == sealed.sha256

    def open(self, name: str) -> BinaryIO:
        """A file to read, from any place."""
        return (self.folder / name).open("rb")


class ObjectFolder:
    """Names in an object store that begin alike, used as `LocalFolder` is.

    There are no names to change there and no locks. An object appears whole when it has been sent, and what decides between
    two workers is the seal, which the store writes only where there is none. What they send has names of its own, made of its
    digest, so that nobody's output is replaced by another one's.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def path(self, name: str) -> str:
        return join(self._url, name)

    def read(self, name: str) -> bytes | None:
        return remote_files.read_whole(self.path(name))

    def write(self, name: str, content: bytes) -> bool:
        return remote_outputs.write_unless_there(self.path(name), content)

    def remove(self, name: str) -> None:
        remote_outputs.remove(self.path(name))

    def has(self, name: str) -> bool:
        return remote_files.exists(self.path(name))

    def has_sealed(self, sealed: SealedFile) -> bool:
        if not self.has(sealed.name):
            return False
        found = remote_files.look(self.path(sealed.name))
        if sealed.tag:
            return (found.size, found.tag) == (sealed.bytes, sealed.tag)
        with remote_files.RemoteFile(self.path(sealed.name)) as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sealed.sha256

    def open(self, name: str) -> BinaryIO:
        return cast("BinaryIO", remote_files.RemoteFile(self.path(name)))

    def send(self, written: Path, sealed: SealedFile) -> SealedFile:
        """Copy a file of this machine there, under a name of its own.

        Raises:
            OutputError: it cannot be written.
        """
        stem, _, suffix = sealed.name.partition(".")
        name = f"{stem}.{sealed.sha256[:16]}.{suffix}"
        found = remote_outputs.upload(written, self.path(name))
        if found.size != sealed.bytes:
            raise OutputError(f"{self.path(name)}: {found.size} bytes arrived of {sealed.bytes}; score the shard again")
        return SealedFile(name, sealed.bytes, sealed.sha256, found.tag)


def folder_of(plan_path: Path | str) -> LocalFolder | ObjectFolder:
    """The folder of a plan."""
    name = local_name(str(plan_path))
    return ObjectFolder(name.rpartition("/")[0]) if is_url(name) else LocalFolder(Path(name).parent)
