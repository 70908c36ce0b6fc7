"""Where scores and rejected rows go: a file that appears whole under its name, or a pipe."""

import contextlib
import io
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from driftgate.edges.spelling import option
from driftgate.errors import OutputError
from driftgate.files import create, rename, reopen, sync_file, write_all
from driftgate.predict.journal import Counts, Journal, write_journal
from driftgate.predict.output_paths import Paths
from driftgate.predict.reading.formats import PIPE
from driftgate.predict.writers import Writer


class FileOutput:
    """A partial file and a journal; a resumed run cuts the file back to the journal and appends."""

    def __init__(self, paths: Paths, writer: Writer, journal: Journal, commit_seconds: float) -> None:
        self._paths, self._writer, self._journal = paths, writer, journal
        self._commit_seconds = commit_seconds
        self._kept = journal
        self._kept_at = time.monotonic()
        with naming(paths.output):
            paths.output.parent.mkdir(parents=True, exist_ok=True)
            paths.rejects.parent.mkdir(parents=True, exist_ok=True)
            if not journal.output_bytes:
                paths.journal.unlink(missing_ok=True)  # of a run that is overwritten
                sync_file(paths.journal.parent)  # before the rows that it counts
            self._rows = _open_at(paths.partial, journal.output_bytes)
            try:
                self._rejected = _open_at(paths.rejects_partial, journal.rejects_bytes)
            except BaseException:
                self._rows.close()
                raise

    def begin(self) -> None:
        """Write what stands before the first row, unless it is there."""
        if not self._journal.output_bytes:
            self.append(self._writer.head(), b"", self._journal.counts)

    def append(self, rows: bytes, rejected: bytes, counts: Counts) -> None:
        """Write a window; `counts` are those of the whole job behind it."""
        with naming(self._paths.output):
            write_all(self._rows, rows)
            write_all(self._rejected, rejected)
            self._journal = replace(
                self._journal,
                counts=counts,
                output_bytes=self._journal.output_bytes + len(rows),
                rejects_bytes=self._journal.rejects_bytes + len(rejected),
            )
            if counts.rows > self._kept.counts.rows and time.monotonic() - self._kept_at >= self._commit_seconds:
                self._commit()

    def keep(self) -> bool:
        """Make what was appended survive a crash; False where nothing can be kept."""
        with naming(self._paths.output):
            if self._journal.counts.rows > self._kept.counts.rows:
                self._commit()
        return self._kept.counts.rows > 0

    def finish(self) -> None:
        """Give the output its name."""
        with naming(self._paths.output):
            self._journal = replace(self._journal, finished=True)
            self._commit()
            self.close()
            publish(self._paths, self._writer)

    def close(self) -> None:
        """Let go of the files, finished or not."""
        self._rows.close()
        self._rejected.close()
        if not self._kept.counts.rows and not self._kept.finished:  # nothing to go back to
            for path in (*self._paths.unfinished, *self._paths.temporary):
                path.unlink(missing_ok=True)

    def _commit(self) -> None:
        os.fsync(self._rows.fileno())
        os.fsync(self._rejected.fileno())
        write_journal(self._paths.journal, self._paths.journal_partial, self._journal)
        self._kept, self._kept_at = self._journal, time.monotonic()


class StreamOutput:
    """A pipe, used as `FileOutput` is: what is written there is gone, so nothing can be resumed.

    Rejected rows go to a file if one is named.
    """

    def __init__(self, name: str, rejects: Path | None, writer: Writer) -> None:
        self._name = name
        self._stream: BinaryIO | io.FileIO = sys.stdout.buffer if name == PIPE else io.FileIO(name, "w")
        self._writer, self._rejects = writer, rejects
        self._rejected = _open_at(_partial(rejects), 0) if rejects else None

    def begin(self) -> None:
        self._write(self._writer.head())

    def append(self, rows: bytes, rejected: bytes, counts: Counts) -> None:  # noqa: ARG002
        self._write(rows)
        if self._rejected is not None:
            with naming(self._rejects):
                write_all(self._rejected, rejected)

    def keep(self) -> bool:
        return False

    def finish(self) -> None:
        self.close()
        if self._rejects is not None:
            _publish_rejects(_partial(self._rejects), self._rejects)

    def close(self) -> None:
        if self._name != PIPE:
            self._stream.close()
        if self._rejected is not None:
            self._rejected.close()

    def _write(self, content: bytes) -> None:
        with naming(self._name):
            _write_stream(self._stream, content)
            self._stream.flush()


def publish(paths: Paths, writer: Writer) -> None:
    """The last steps of a finished job, each of which may have been done already by a run killed behind it.

    Raises:
        OutputError: somebody removed what the job had written.
    """
    if not paths.partial.exists() and not paths.output.exists():
        raise OutputError(
            f"{paths.partial}: the rows of the finished run are gone; start over with {option('overwrite', True)}"
        )
    if paths.partial.exists():
        paths.converted.unlink(missing_ok=True)  # of a run that was killed here, or a link that somebody put there
        if writer.convert(paths.partial, paths.converted):
            sync_file(paths.converted)
            rename(paths.converted, paths.output)
            paths.partial.unlink()
        else:
            rename(paths.partial, paths.output)
    _publish_rejects(paths.rejects_partial, paths.rejects)
    for leftover in paths.temporary:
        leftover.unlink(missing_ok=True)
    sync_file(paths.output.parent)  # the journal goes last, on the disk too: without it nothing would finish the job
    paths.journal.unlink(missing_ok=True)
    sync_file(paths.output.parent)


def _publish_rejects(partial: Path, rejects: Path) -> None:
    if not partial.exists():
        return
    if partial.stat().st_size:
        rename(partial, rejects)
    else:
        rejects.unlink(missing_ok=True)  # of a run that is overwritten
        partial.unlink()
        sync_file(rejects.parent)


def _partial(path: Path) -> Path:
    return path.with_name(f"{path.name}.partial")


def _open_at(path: Path, size: int) -> io.FileIO:
    """The file cut to `size` bytes, ready to append.

    Raises:
        OutputError: it has fewer.
    """
    if not size:
        return create(path)
    try:
        file = reopen(path)
    except FileNotFoundError as error:
        raise _too_short(path, size, 0) from error
    if (found := file.seek(0, os.SEEK_END)) < size:
        file.close()
        raise _too_short(path, size, found)
    file.truncate(size)
    file.seek(size)
    return file


def _too_short(path: Path, size: int, found: int) -> OutputError:
    return OutputError(
        f"{path}: expected at least {size} bytes, as its journal says, found {found}; use {option('overwrite', True)}"
    )


def _write_stream(stream: BinaryIO | io.FileIO, content: bytes) -> None:
    """Standard output may be anything that somebody put in its place, without a descriptor."""
    left = memoryview(content)
    while left:
        left = left[stream.write(left) :]


@contextlib.contextmanager
def naming(path: Path | str | None) -> Iterator[None]:
    """Errors of the operating system with the name of the output; a pipe that nobody reads stays what it is.

    Raises:
        OutputError: cannot be written.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
