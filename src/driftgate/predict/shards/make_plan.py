"""Read inputs once, and write down where each shard begins."""

import csv
import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.errors import CorpusError, OptionError
from driftgate.predict.prediction_job import choose_window_rows
from driftgate.predict.reading.formats import Format, find_format, is_gzip_name, is_pipe
from driftgate.predict.reading.part import CountedLines, Part
from driftgate.predict.reading.readers import ReadOptions, read_delimited, read_jsonl, read_plain
from driftgate.predict.reading.rows import make_windows
from driftgate.predict.reading.source import open_source
from driftgate.predict.reading.text_files import RowTooLargeError
from driftgate.predict.shards.plan import Plan, Shard, digest_range


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """How inputs are read and cut; the same words as in `PredictionJob`.

    Args:
        rows: a shard has at least so many, but for the last of each file: it ends where a window does.
        output_format: csv, tsv or jsonl. `gzipped`: whether outputs are compressed.
    """

    rows: int
    input_format: str = ""
    output_format: str = "csv"
    gzipped: bool = False
    text_column: str = ""
    pair_column: str = ""
    id_column: str = ""
    encoding: str = "utf-8"
    token_budget: int = 1024

    @property
    def reading(self) -> dict[str, Any]:
        """Arguments of `PredictionJob` that every shard has."""
        names = ("input_format", "output_format", "text_column", "pair_column", "id_column", "encoding", "token_budget")
        return {name: getattr(self, name) for name in names}


def find_inputs(given: Sequence[str]) -> list[str]:
    """Files and globs to files: globs in the order of names, each file once.

    Raises:
        OptionError: a glob or name that finds nothing, a pipe, or a file that is given twice.
    """
    found: list[str] = []
    for name in given:
        matches = [name] if Path(name).exists() else sorted(glob.glob(name))  # noqa: PTH207 - absolute patterns too
        if not matches:
            raise OptionError(f"{name}: no such file, and no file whose name matches it")
        found += matches
    seen: dict[Path, str] = {}
    for name in found:
        if is_pipe(name) or Path(name).is_dir():
            raise OptionError(f"{name}: expected a file; a pipe or a folder cannot be cut into shards")
        path = Path(name).resolve()
        if path in seen:
            raise OptionError(f"{name}: it is the same file as {seen[path]}; its rows would be scored twice")
        seen[path] = name
    return found


def make_plan(inputs: Sequence[str], options: PlanOptions) -> tuple[Plan, list[str]]:
    """The plan of these files, and what is to be said about it. The same files and options give the same plan.

    Raises:
        CorpusError: a file that cannot be read, or has no rows. OptionError: see `find_inputs` and `find_format`.
    """
    shards: list[Shard] = []
    remarks: list[str] = []
    first_row = 0
    form = find_format("", options.output_format, "output_format", output=True)
    if form is Format.PARQUET:
        raise OptionError("output_format parquet: shards are written as csv, tsv or jsonl; convert what was merged")
    for name in find_inputs(inputs):
        parts, remark = _cut(name, options)
        remarks += [remark] if remark else []
        for part in parts:
            output = f"shard-{len(shards):05d}.{form}{'.gz' if options.gzipped else ''}"
            sha256 = digest_range(Path(name), part.first_byte, part.end_byte)
            numbered = Part(first_row, part.rows, part.first_byte, part.end_byte, part.first_line, part.header_bytes)
            shards.append(Shard(name, numbered, sha256, output))
            first_row += part.rows
    return Plan(options.reading, tuple(shards)), remarks


def _cut(name: str, options: PlanOptions) -> tuple[list[Part], str]:
    form = find_format(name, options.input_format, "input_format", output=False)
    read = ReadOptions(name, options.text_column, options.id_column, options.encoding, pair_column=options.pair_column)
    why = _why_whole(name, form, options.encoding)
    if why:
        source = open_source(name, form, read)
        try:
            rows = sum(1 for _ in source.rows)
        finally:
            source.close()
        parts = [Part(0, rows)]
    else:
        parts = list(_cut_text(name, form, read, options))
    if not sum(part.rows for part in parts):
        raise CorpusError(f"{name}: it has no rows; expected at least one text")
    return parts, f"{name}: one shard, because {why}" if why else ""


def _why_whole(name: str, form: Format, encoding: str) -> str:
    """Why a file is one shard; empty where it can be cut."""
    with Path(name).open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    if gzipped or is_gzip_name(name):
        return "gzip can only be read from its start"
    if form is Format.PARQUET:
        return "Parquet files are not cut yet"
    if encoding.lower().replace("_", "-") not in ("utf-8", "utf8", "ascii"):
        return f"only UTF-8 can be read from the middle, and its encoding is {encoding}"
    return ""


def _cut_text(name: str, form: Format, read: ReadOptions, options: PlanOptions) -> Iterator[Part]:
    """Parts of at least `options.rows` rows, each a whole number of windows."""
    delimited, tabs = form in (Format.CSV, Format.TSV), form is Format.TSV
    lines = CountedLines(name, newline="" if delimited else "\n")
    try:
        header, start = 0, (lines.offset, 0)
        if delimited:
            rows = read_delimited(lines, read, tabs=tabs)
            if not read.text_column.isdecimal():
                header, line = _find_header_end(name, tabs=tabs)
                start = (header, line)
        else:
            rows = (read_jsonl if form is Format.JSONL else read_plain)(lines, read)
        count, end = 0, start
        for window in make_windows(rows, lambda: 0, choose_window_rows(options.token_budget)):
            count += len(window.rows) + len(window.rejected)
            end = (lines.offset, lines.number)
            if count >= options.rows:
                yield Part(0, count, start[0], end[0], start[1], header)
                start, count = end, 0
        if count:
            yield Part(0, count, start[0], end[0], start[1], header)
    finally:
        lines.close()


def _find_header_end(name: str, *, tabs: bool) -> tuple[int, int]:
    """The byte and the line behind the first record; a first record that is broken is refused where rows are read."""
    lines = CountedLines(name, newline="")
    reader = csv.reader(
        lines, delimiter="\t" if tabs else ",", quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL, strict=True
    )
    try:
        next((fields for fields in reader if fields), None)
    except (csv.Error, RowTooLargeError):
        pass
    finally:
        lines.close()
    return lines.offset, lines.number
