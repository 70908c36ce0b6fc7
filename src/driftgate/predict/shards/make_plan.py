"""Read inputs once, and write down where each shard begins."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from heapq import nsmallest
from itertools import pairwise
from typing import Any

from driftgate.edges.spelling import option
from driftgate.errors import OptionError
from driftgate.predict.prediction_job import Reading, choose_window_rows
from driftgate.predict.progress import Pace, Silent, Watcher
from driftgate.predict.reading.formats import Format, find_format
from driftgate.predict.shards.borders import Border
from driftgate.predict.shards.find_inputs import find_inputs
from driftgate.predict.shards.input_windows import InputWindows, read_windows
from driftgate.predict.shards.plan import Input, Plan, Shard
from driftgate.predict.shards.unchanged import digest_part
from driftgate.run.device import available_threads

DEFAULT_ROWS = 20_480
"""As docs/scale.md works out: ten windows of the usual token budget."""


@dataclass(frozen=True, slots=True)
class PlanOptions(Reading):
    """How inputs are read and cut, and what outputs are like.

    Args:
        rows: a shard has at least so many, but for the last of each file: it ends where a window does.
        shards: cut into so many, of about equal numbers of rows, instead.
        gzipped: whether outputs are compressed.
    """

    rows: int = DEFAULT_ROWS
    shards: int = 0
    gzipped: bool = False
    output_format: str = field(default="csv", kw_only=True)

    @property
    def reading(self) -> dict[str, Any]:
        """Arguments of `PredictionJob` that every shard has."""
        return {shared.name: getattr(self, shared.name) for shared in fields(Reading)}


def make_plan(inputs: Sequence[str], options: PlanOptions, progress: Watcher | None = None) -> tuple[Plan, list[str]]:
    """The plan of these files, and what is to be said about it. The same files and options give the same plan.

    Raises:
        CorpusError: a file that cannot be read, or has no rows. OptionError: see `find_inputs` and `find_format`; fewer shards
            than files; ids of several types for Parquet.
    """
    form = find_format("", options.output_format, output=True)
    if form is Format.PARQUET and options.gzipped:
        raise OptionError(f"{option('gzipped', True)}: Parquet compresses its own columns; leave it out")
    files = find_inputs(inputs)
    if options.shards and options.shards < len(files):
        raise OptionError(
            f"{option('shards', options.shards)}: a shard has rows of one file only, and there are {len(files):,} files"
        )
    found = _read_all(files, options, progress or Silent())
    if form is Format.PARQUET:
        _require_one_type(found)
    shards: list[Shard] = []
    first_row = 0
    for windows, borders in zip(found, _choose(found, options), strict=True):
        for before, behind in pairwise([windows.start, *borders]):
            part = replace(windows.part(before, behind), first_row=first_row)
            output = f"shard-{len(shards):05d}.{form}{'.gz' if options.gzipped else ''}"
            shards.append(Shard(windows.file.name, part, "", output))
            first_row += part.rows
    shards = _digest(shards, {file.name for file in files if file.tag})
    return Plan(options.reading, tuple(shards), tuple(files)), [*_remarks(found, shards, options)]


def _read_all(files: Sequence[Input], options: PlanOptions, progress: Watcher) -> list[InputWindows]:
    rows, done, pace = 0, 0, Pace(0, sum(file.bytes for file in files))
    found = []
    for file in files:
        form = find_format(file.name, options.input_format, output=False)
        read = options.of_input(file.name)

        def tell(border: Border, position: int, rows: int = rows, done: int = done) -> None:
            progress.update(rows + border.rows, *pace.at(rows + border.rows, done + position))

        found.append(read_windows(file, form, read, choose_window_rows(options.token_budget), tell))
        rows, done = rows + found[-1].rows, done + file.bytes
    return found


def _choose(found: Sequence[InputWindows], options: PlanOptions) -> list[list[Border]]:
    """For each file, where its shards end."""
    if not options.shards:
        return [list(_cut_behind(windows.borders, options.rows)) for windows in found]
    shares = _share_out(found, options.shards)
    return [_cut_evenly(windows.borders, shards) for windows, shards in zip(found, shares, strict=True)]


def _cut_behind(borders: Sequence[Border], rows: int) -> Iterator[Border]:
    """Parts of at least so many rows, but for the last."""
    before = 0
    for border in borders:
        if border.rows - before >= rows or border is borders[-1]:
            yield border
            before = border.rows


def _cut_evenly(borders: Sequence[Border], parts: int) -> list[Border]:
    """So many parts, none of them empty; there are as many borders at least."""
    rows = [border.rows for border in borders]
    chosen: list[int] = []
    for number in range(1, parts + 1):
        wanted = rows[-1] * number / parts
        at = bisect_left(rows, wanted)
        if at and at < len(rows) and wanted - rows[at - 1] < rows[at] - wanted:
            at -= 1
        least = chosen[-1] + 1 if chosen else 0
        chosen.append(min(max(at, least), len(rows) - 1 - (parts - number)))
    return [borders[at] for at in chosen]


def _share_out(found: Sequence[InputWindows], shards: int) -> list[int]:
    """How many shards each file has: one more for the file whose shards are the largest, until all are given (D'Hondt)."""
    more = (
        (-windows.rows / given, at) for at, windows in enumerate(found) for given in range(2, len(windows.borders) + 1)
    )
    chosen = Counter(at for _, at in nsmallest(shards - len(found), more))
    return [1 + chosen[at] for at in range(len(found))]


def _digest(shards: Sequence[Shard], tagged: Container[str]) -> list[Shard]:
    """The shards with digests, but for those of files with a tag. Shards of one large row group have one digest."""
    parts = [(shard.input, replace(shard.part, first_row=0, rows=0, first_line=0, skipped_rows=0)) for shard in shards]
    wanted = [part for part in dict.fromkeys(parts) if part[0] not in tagged]
    with ThreadPoolExecutor(available_threads()) as threads:
        digests = dict(zip(wanted, threads.map(lambda part: digest_part(*part), wanted), strict=True))
    return [replace(shard, sha256=digests.get(part, "")) for shard, part in zip(shards, parts, strict=True)]


def _require_one_type(found: Sequence[InputWindows]) -> None:
    first = found[0]
    for other in found[1:]:
        if other.id_type != first.id_type:
            raise OptionError(
                f"{other.file.name}: its ids are {other.id_type or 'strings'}, those of {first.file.name} are "
                f"{first.id_type or 'strings'}, and one Parquet file cannot have both; make a plan for each, or choose another "
                f"{option('output_format')}"
            )


def _remarks(found: Sequence[InputWindows], shards: Sequence[Shard], options: PlanOptions) -> Iterator[str]:
    for windows in found:
        if windows.why_whole:
            yield f"{windows.file.name}: one shard, because {windows.why_whole}"
    if options.shards > len(shards):
        yield (
            f"{len(shards):,} shards and not {options.shards:,}: a shard has at least one window, which is "
            f"{choose_window_rows(options.token_budget):,} rows"
        )
    digests: dict[str, list[str]] = {}
    for shard in shards:
        digests.setdefault(shard.input, []).append(shard.sha256)
    seen: dict[object, str] = {}
    for windows in found:
        content = (windows.file.bytes, windows.file.tag or tuple(digests[windows.file.name]))
        if content in seen:
            yield f"{windows.file.name}: it has the same content as {seen[content]}, and its rows are scored again"
        seen.setdefault(content, windows.file.name)
