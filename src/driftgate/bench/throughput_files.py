"""Throughput tables as the encoder-optimization guide keeps them: one TSV of a device, backend and corpus.

`NVIDIA-H200_onnx-fp16_normal.tsv`: the name's parts are parted by underscores, words within one by hyphens. Columns are
worker processes, batch size and texts per second, which the guide calls messages.
"""

import csv
import io
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.edges.spelling import option
from driftgate.errors import ResultsError
from driftgate.measure.timings import Configuration

HEADER = ("workers", "size", "messages/s")
_TRADE_MARKS = re.compile(r"\((?:R|TM|C)\)", re.IGNORECASE)
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.+]+")


@dataclass(frozen=True, slots=True)
class Point:
    """Texts per second of `workers` processes together. `batch_size` is None under a plan that has no such number."""

    workers: int
    batch_size: int | None
    texts_per_second: float

    @property
    def setting(self) -> str:
        """Workers and batch size, for people."""
        size = "any" if self.batch_size is None else self.batch_size
        return f"{self.workers} \N{MULTIPLICATION SIGN} {size}"


@dataclass(frozen=True, slots=True)
class Series:
    """What one backend reached on one device and corpus; at least one point."""

    device: str
    backend: str
    corpus: str
    points: tuple[Point, ...]

    @property
    def best(self) -> Point:
        """The fastest point; of equals, the one with the fewest workers."""
        return max(self.points, key=lambda point: (point.texts_per_second, -point.workers))


def series_key(
    header: Mapping[str, Any], configurations: Collection[Configuration], one: Configuration
) -> tuple[str, str, str]:
    """Device, backend and corpus of `one` of a run's configurations.

    The guide's columns have no place for threads: a run over several has a series for each, with `-t2` after the backend.
    """
    several = len({other.threads for other in configurations}) > 1
    backend = name_part(one.backend) + (f"-t{one.threads}" if several else "")
    return name_part(header["device"]["name"]), backend, name_part(header["corpora"][one.corpus]["name_in_files"])


def file_name(key: tuple[str, str, str]) -> str:
    """The guide's name of the file that holds a series."""
    return f"{'_'.join(key)}.tsv"


def name_part(text: str) -> str:
    """`text` as part of a file name: "NVIDIA H200" becomes "NVIDIA-H200"; underscores become hyphens too."""
    return _NOT_IN_NAMES.sub("-", _TRADE_MARKS.sub("", text)).strip("-") or "unknown"


def render_throughput_table(points: Iterable[Point]) -> str:
    """The file's content, of points with a batch size: by workers, then by batch size, two decimals."""
    rows = sorted(points, key=lambda point: (point.workers, point.batch_size or 0))
    lines = [HEADER, *((str(row.workers), str(row.batch_size), f"{row.texts_per_second:.2f}") for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines)


def require_free(folder: Path, names: Iterable[str]) -> None:
    """Refuse before anything is measured what could not be written after it.

    Raises:
        ResultsError: `folder` holds one of these files, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ResultsError(f"{folder}: expected a folder, found a file; choose another {option('out')}")
    there = [name for name in names if (folder / name).exists()]
    if there:
        raise ResultsError(
            f"{folder}: it holds results already ({', '.join(there[:5])}); choose another folder or add "
            f"{option('overwrite', True)}"
        )


def read_throughput_table(path: Path) -> Series:
    """Read a TSV of ours or of the guide's.

    Raises:
        ResultsError: a name of other than three parts, another header, no rows, or a row that is not two whole numbers of
            at least 1 and a positive number, with its line.
    """
    parts = path.stem.split("_")
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004 - device, backend, corpus
        raise ResultsError(f"{path}: expected a name such as DEVICE_BACKEND_CORPUS.tsv, separated by two underscores")
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ResultsError(f"{path}: cannot be read ({error}); expected a TSV of throughputs") from error
    lines = [
        (number, fields)
        for number, fields in enumerate(csv.reader(io.StringIO(content), delimiter="\t", quoting=csv.QUOTE_NONE), 1)
        if fields
    ]
    expected = ", ".join(HEADER)
    if not lines:
        raise ResultsError(f"{path}: it is empty; expected the columns {expected}, separated by tabs")
    if tuple(lines[0][1]) != HEADER:
        found = ", ".join(repr(name[:40]) for name in lines[0][1][:10])
        raise ResultsError(f"{path}, line 1: expected the columns {expected}, separated by tabs, found {found}")
    if len(lines) == 1:
        raise ResultsError(f"{path}: a header and no rows; measure again")
    device, backend, corpus = parts
    return Series(device, backend, corpus, tuple(_read_row(path, number, fields) for number, fields in lines[1:]))


def _read_row(path: Path, number: int, fields: list[str]) -> Point:
    try:
        workers, batch_size, speed = fields
        row = Point(int(workers), int(batch_size), float(speed))
    except ValueError:
        row = Point(0, None, math.nan)
    if min(row.workers, row.batch_size or 0) < 1 or not 0 < row.texts_per_second < math.inf:
        found = "\t".join(fields)[:80]
        raise ResultsError(
            f"{path}, line {number}: expected workers, batch size and texts per second, such as '1\\t8\\t412.50', found {found!r}"
        )
    return row
