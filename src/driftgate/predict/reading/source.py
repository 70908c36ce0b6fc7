"""An opened input: rows, and how far it is read."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from driftgate.edges.stores import is_url
from driftgate.errors import CorpusError
from driftgate.predict.reading.formats import PIPE, Format, is_pipe
from driftgate.predict.reading.input_identity import identify, identify_remote
from driftgate.predict.reading.parquet_input import ParquetRows
from driftgate.predict.reading.part import Part, PartLines
from driftgate.predict.reading.readers import ReadOptions, read_delimited, read_jsonl, read_plain
from driftgate.predict.reading.rows import Rejected, Row
from driftgate.predict.reading.text_files import Lines


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Rows that are read as they are asked for.

    Args:
        total: bytes of a text file as it lies on disk, or rows of a Parquet file; 0 where nobody knows.
        position: how much of `total` is read.
        opened: what the file was before a row was read, JSON-ready; of a pipe its name.
        identity: what it is now.
        id_type: Arrow's type of the ids of a Parquet file, else None.
    """

    rows: Iterator[Row | Rejected]
    total: int
    position: Callable[[], int]
    opened: Mapping[str, Any]
    identity: Callable[[], Mapping[str, Any]]
    close: Callable[[], None]
    id_type: Any = None


def open_source(name: str, form: Format, options: ReadOptions, part: Part | None = None) -> Source:
    """Open a file, or standard input as "-", from where the part begins.

    Raises:
        CorpusError: no such file, or content that is not what its name says. OptionError: an unknown encoding.
    """
    local = name != PIPE and not is_url(name)
    if local and not Path(name).exists():
        raise CorpusError(f"{name}: no such file")
    if local and Path(name).is_dir():
        raise CorpusError(f"{name}: expected a file, found a folder")
    if form is Format.PARQUET:
        found = ParquetRows(name, options, part)
        identity = partial(_identify, name, found, options)
        return Source(found.rows, found.total, lambda: found.read, identity(), identity, found.close, found.id_type)
    lines: Lines
    if part is None or part.is_whole_file:
        lines = Lines(name, options.encoding, newline=form.newline)
    else:
        lines = PartLines(name, newline=form.newline, part=part)
        options = replace(options, columns_are_known=True, begins_with_columns=bool(part.header_bytes))
    if form.is_delimited:
        rows = read_delimited(lines, options, tabs=form is Format.TSV)
    else:
        rows = (read_jsonl if form is Format.JSONL else read_plain)(lines, options)
    identity = partial(_identify, name, lines, options)
    return Source(rows, lines.total_bytes, lambda: lines.bytes_read, identity(), identity, lines.close)


def _identify(name: str, opened: Lines | ParquetRows, options: ReadOptions) -> Mapping[str, Any]:
    if is_pipe(name):
        return {"pipe": name}
    return identify_remote(name) if is_url(name) else identify(opened.descriptor, whole=options.full_digest)


def take_part(source: Source, part: Part | None) -> Source:
    """The rows of the part alone, numbered as it says; all of them for None."""
    if part is None:
        return source
    read = 0

    def numbered() -> Iterator[Row | Rejected]:
        nonlocal read
        for row in islice(source.rows, part.rows):
            read += 1
            yield replace(row, number=row.number + part.first_row)

    return replace(source, rows=numbered(), total=part.rows, position=lambda: read)
