"""Whether an input is still what a plan was made of."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from driftgate.edges.stores import is_url
from driftgate.errors import CorpusError
from driftgate.predict.reading.input_identity import identify_remote
from driftgate.predict.reading.part import Part
from driftgate.predict.reading.text_files import open_bytes
from driftgate.predict.shards.plan import Plan

_PIECE_BYTES = 1 << 20
_PARQUET_END = 8
"""Bytes at the end of a Parquet file: how long its footer is, then PAR1."""


def require_unchanged(plan: Plan, place: int) -> Mapping[str, Any]:
    """Refuse an input that is not what it was when the plan was made.

    Returns:
        what identifies the file that was looked at, as a job's identity of its input has it.

    Raises:
        CorpusError: it is gone, has another size or tag, or other bytes where the rows of the shard were.
    """
    shard = plan.shards[place]
    made_of = next(one for one in plan.inputs if one.name == shard.input)
    now = identify_remote(shard.input) if is_url(shard.input) else _identify_local(shard.input)
    if (now["bytes"] or 0, now.get("tag", "")) != (made_of.bytes, made_of.tag) or (
        shard.sha256 and digest_part(shard.input, shard.part) != shard.sha256
    ):
        raise _changed(shard.input)
    return now


def require_same_file(name: str, before: Mapping[str, Any], scored: Mapping[str, Any]) -> None:
    """Refuse scores of another file than the one that was looked at.

    Raises:
        CorpusError: it was replaced in between.
    """
    if any(scored[key] != value for key, value in before.items()):
        raise _changed(name)


def _changed(name: str) -> CorpusError:
    return CorpusError(f"{name}: it has changed since the plan was made; make the plan again with `driftgate shard`")


def digest_part(name: str, part: Part) -> str:
    """sha256 of all bytes that are read for a part: those of the rows, behind the header of a CSV file or the footer of a Parquet
    file; of the whole file where it is not cut.

    Raises:
        CorpusError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with closing(open_bytes(name)) as file:
            for start, end in _ranges(file, part):
                file.seek(start)
                left = end - start
                while piece := file.read(min(_PIECE_BYTES, left)):
                    digest.update(piece)
                    left -= len(piece)
    except OSError as error:
        raise CorpusError(f"{name}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def _ranges(file: Any, part: Part) -> Iterator[tuple[int, int]]:
    if part.is_whole_file:
        yield 0, 1 << 63
        return
    if part.end_group:
        size = file.seek(-_PARQUET_END, 2) + _PARQUET_END
        yield size - _PARQUET_END - int.from_bytes(file.read(4), "little"), size
    yield 0, part.header_bytes
    yield part.first_byte, part.end_byte


def _identify_local(name: str) -> dict[str, Any]:
    """Some of what `identify` says, without reading the file."""
    path = Path(name)
    if not path.is_file():
        raise CorpusError(
            f"{path}: no such file; the plan was made of it, and names it as seen from the current folder"
        )
    found = path.stat()
    return {"bytes": found.st_size, "modified_ns": found.st_mtime_ns, "inode": found.st_ino}
