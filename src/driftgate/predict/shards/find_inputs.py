"""Which files a plan is made of: names and globs, here or at URLs, each file once."""

import glob
from collections.abc import Sequence
from pathlib import Path

from driftgate.edges.remote_files import find_files, look
from driftgate.edges.stores import is_url, local_name
from driftgate.errors import CorpusError, OptionError
from driftgate.predict.reading.formats import is_pipe
from driftgate.predict.shards.plan import Input


def find_inputs(given: Sequence[str]) -> list[Input]:
    """Files and globs to files: globs in the order of names.

    Raises:
        OptionError: a glob or name that finds nothing, a pipe, a folder, or a file that is given twice, under whatever names.
        CorpusError: a store cannot be reached.
    """
    found: list[Input] = []
    seen: dict[object, str] = {}
    for one in given:
        for name in _match(one):
            is_there, file = _look(name)
            if is_there in seen:
                also = f", which is {seen[is_there]}" if seen[is_there] != name else ""
                raise OptionError(f"{name}{also}: it is given twice, and its rows would be scored twice")
            seen[is_there] = name
            found.append(file)
    return found


def _match(given: str) -> list[str]:
    if is_url(given):
        found = find_files(given)
    else:
        name = local_name(given)
        # Absolute patterns too, which Path.glob does not take.
        found = [name] if Path(name).exists() else sorted(glob.glob(name, recursive=True))  # noqa: PTH207
    if not found:
        raise OptionError(f"{given}: no such file, and no file whose name matches it")
    return found


def _look(name: str) -> tuple[object, Input]:
    """What it is whatever it is called, and the file as a plan names it."""
    if is_url(name):
        version = look(name)
        return name, Input(name, version.size or 0, version.tag)
    if is_pipe(name) or Path(name).is_dir():
        raise OptionError(f"{name}: expected a file; a pipe or a folder cannot be cut into shards")
    try:
        about = Path(name).stat()
        with Path(name).open("rb"):
            pass
    except OSError as error:
        raise CorpusError(f"{name}: cannot be read: {error.strerror}") from error
    return (about.st_dev, about.st_ino), Input(name, about.st_size)
