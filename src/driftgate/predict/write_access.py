"""What a job may write: never its input, nothing that is there unless told to, and no file that another process writes."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from driftgate import files
from driftgate.edges.spelling import option
from driftgate.errors import OptionError, OutputError
from driftgate.predict.journal import Journal, read_journal
from driftgate.predict.output_paths import Paths
from driftgate.predict.outputs import naming


def require_apart(source: str, written: Iterable[Path]) -> None:
    """Refuse to write over the input, through whatever link.

    Raises:
        OptionError: with the file.
    """
    for path in written:
        if path.exists() and Path(source).exists() and path.samefile(source):
            raise OptionError(f"{path}: input and output are the same file; write to another one")


def find_journal(paths: Paths, *, resume: bool, overwrite: bool) -> Journal | None:
    """Where an interrupted run stopped; None to begin.

    Raises:
        OutputError: something is there that nobody allowed to replace.
    """
    if paths.output.is_dir():
        raise OutputError(f"{paths.output}: expected a file, found a folder")
    journal = read_journal(paths.journal) if resume else None
    if overwrite or (journal is not None and journal.finished):
        return journal
    advice = "no interrupted run is beside it; " if resume and journal is None else ""
    for path in (paths.output, paths.rejects):
        require_free(path, advice)
    if not resume and any(path.exists() for path in paths.unfinished):
        raise OutputError(
            f"{paths.output}: an interrupted run is there; {option('resume', True)} continues it, "
            f"{option('overwrite', True)} starts over"
        )
    return journal


def require_free(path: Path, advice: str = "") -> None:
    """Refuse to write over a file.

    Raises:
        OutputError: with what to do.
    """
    if path.exists():
        raise OutputError(f"{path}: it exists; {advice}{option('overwrite', True)} replaces it")


@contextlib.contextmanager
def locked(paths: Paths) -> Iterator[None]:
    """Hold the output against other processes.

    Raises:
        OptionError: another one is writing it. OutputError: a name that is needed cannot be written.
    """
    with contextlib.ExitStack() as held:
        with naming(paths.output):
            paths.output.parent.mkdir(parents=True, exist_ok=True)
            paths.rejects.parent.mkdir(parents=True, exist_ok=True)
            try:
                held.enter_context(files.locked(*paths.locks))
            except BlockingIOError as error:
                raise OptionError(
                    f"{paths.output}: another process is writing it, or its rejected rows; wait, or choose other names"
                ) from error
            except FileExistsError as error:
                raise OutputError(
                    f"{error.filename}: {error.strerror}, and driftgate would need that name; choose another output"
                ) from error
        yield
