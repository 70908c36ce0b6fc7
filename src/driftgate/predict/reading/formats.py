"""What a file is, by its name or as told, which names stand for pipes, and which column holds what."""

from collections.abc import Sequence
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

from driftgate.edges.spelling import option
from driftgate.errors import CorpusError, OptionError

PIPE = "-"


class Format(StrEnum):
    """How rows are laid out."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    TXT = "txt"
    """One text a line; input only."""

    @property
    def is_delimited(self) -> bool:
        """Whether it has fields and a header."""
        return self in (Format.CSV, Format.TSV)

    @property
    def newline(self) -> str:
        """As `io.open` takes it: a quoted field of CSV has the line ends that were written."""
        return "" if self.is_delimited else "\n"


_BY_SUFFIX = {f".{form}": form for form in Format} | {".ndjson": Format.JSONL}
_OF_PIPES = Format.JSONL


def is_pipe(name: str) -> bool:
    """Standard input or output, or a file that is not regular: a named pipe, /dev/null. What is written there is gone."""
    path = Path(name)
    return name == PIPE or (path.exists() and not path.is_file() and not path.is_dir())


def is_gzip_name(name: str) -> bool:
    """Whether the name says gzip."""
    return name.lower().endswith(".gz")


def find_format(name: str, given: str, *, output: bool) -> Format:
    """The format `given`, else the one that the suffix says; pipes are JSONL unless told otherwise.

    Raises:
        OptionError: an unknown format or suffix, or one that does not fit a pipe, gzip or an output.
    """
    argument = "output_format" if output else "input_format"
    known = [form.value for form in Format if not (output and form is Format.TXT)]
    suffixes = Path(name.lower().removesuffix(".gz")).suffixes
    if given:
        if given not in known:
            raise OptionError(f"{option(argument)} {given!r}: expected {', '.join(known)}")
        found = Format(given)
    elif is_pipe(name):
        found = _OF_PIPES
    else:
        by_suffix = _BY_SUFFIX.get(suffixes[-1] if suffixes else "")
        if by_suffix is None or by_suffix not in known:
            raise OptionError(
                f"{name}: expected a name ending in .{', .'.join(known)} (each but .parquet also .gz); rename it or say "
                f"what it is with {option(argument)}"
            )
        found = by_suffix
    if found is Format.PARQUET and is_pipe(name):
        raise OptionError(
            f"{name}: Parquet is read and written from its end, which a pipe cannot; choose another format"
        )
    if found is Format.PARQUET and is_gzip_name(name):
        raise OptionError(f"{name}: Parquet compresses its own columns; leave .gz off its name")
    return found


_NAMED = 8
_NAME_CHARS = 40  # without a header, what was taken for names is a user's text


def choose_column(source: str, names: Sequence[str], wanted: str, argument: str) -> str:
    """`wanted`, where it is among the names.

    Raises:
        CorpusError: it is not there, with the nearest names, or is there twice.
    """
    if names.count(wanted) == 1:
        return wanted
    if wanted in names:
        raise CorpusError(f"{source}: {names.count(wanted)} columns are called {wanted!r}; rename all but one")
    near = get_close_matches(wanted, names, n=_NAMED, cutoff=0.5)
    if len(names) <= _NAMED or not near:
        near += [name for name in names[:_NAMED] if name not in near]
    shown = ", ".join(repr(name[:_NAME_CHARS]) for name in near)
    more = f" and {len(names) - len(near):,} more" if len(names) > len(near) else ""
    raise CorpusError(
        f"{source}: expected a column {wanted!r}, found {shown}{more}; name it with {option(argument)} "
        "(in CSV and TSV, a position from 0 where the file has no header)"
    )
