"""Options of `driftgate predict` for a file of texts, declared once for `--help` and the reference page."""

from enum import StrEnum
from typing import Annotated

import typer

from driftgate.cli import shared_options as shared
from driftgate.edges.limits import Limit

_FILES = "A file instead of texts"
_WORKERS = Limit("workers", 1, 1_000_000, lambda: ", or auto")
"""Of a cluster; on this machine there are fewer."""


def read_workers(text: str) -> int:
    """The number, or 0 for auto.

    Raises:
        OptionError: neither.
    """
    return 0 if text == "auto" else _WORKERS.read(text, "--workers")


class EngineName(StrEnum):
    """Who scores shards."""

    LOCAL = "local"
    RAY = "ray"


Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        help="The file to score: CSV, TSV, JSONL, Parquet or plain text, each but Parquet also as .gz. - stands for a pipe.",
        rich_help_panel=_FILES,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output", help="The file to write, in the order of rows. - stands for a pipe.", rich_help_panel=_FILES
    ),
]
InputFormat = Annotated[
    str,
    typer.Option(
        "--format",
        help="The format of the input, if no suffix says it. The default for pipes is jsonl.",
        rich_help_panel=_FILES,
    ),
]
OutputFormat = Annotated[
    str,
    typer.Option(
        help="The format of the output, if no suffix says it: csv, tsv, jsonl or parquet.", rich_help_panel=_FILES
    ),
]
IdColumn = Annotated[
    str,
    typer.Option(
        help="The column of ids, by name or position, which is copied to the output.", rich_help_panel=shared.COLUMNS
    ),
]
Encoding = Annotated[str, typer.Option(help="The encoding of the input, except for Parquet.", rich_help_panel=_FILES)]
Rejects = Annotated[
    str,
    typer.Option(
        help="The file for rows that cannot be scored, with reasons. The default is OUTPUT.rejects.jsonl.",
        rich_help_panel=_FILES,
    ),
]
RejectsWithTexts = Annotated[
    bool,
    typer.Option("--rejects-with-texts", help="Write the texts of such rows to that file too.", rich_help_panel=_FILES),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Continue an interrupted run, or start one.", rich_help_panel=_FILES)
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace an output that exists. With --plan, also outputs of another plan, model or options, but none that is whole "
        "and of this plan.",
        rich_help_panel=_FILES,
    ),
]
Plan = Annotated[
    str | None,
    typer.Option(
        "--plan",
        help="Score shards of this plan, which `driftgate shard` wrote: a file or a URL, such as s3://bucket/run/plan.json. "
        "MODEL may be left out if the plan names one.",
        rich_help_panel=_FILES,
    ),
]
Share = Annotated[
    str,
    typer.Option(
        "--shard",
        help="Which shards of the plan: of N processes, counted from 1, the I-th takes every N-th one.",
        metavar="I/N",
        rich_help_panel=_FILES,
    ),
]
Engine = Annotated[
    EngineName,
    typer.Option(
        help="Who scores the shards of --plan: this machine, or actors on a Ray cluster (driftgate[ray]).",
        rich_help_panel=_FILES,
    ),
]
RayAddress = Annotated[
    str,
    typer.Option(
        help="The Ray cluster that this machine belongs to, such as auto or HOST:6379. The default is RAY_ADDRESS, or else a new "
        "one on this machine for the time of the command.",
        metavar="ADDRESS",
        rich_help_panel=_FILES,
    ),
]
CpusPerWorker = Annotated[
    int,
    typer.Option(
        help="How many CPUs Ray reserves for each worker, which has as many threads unless --threads says otherwise.",
        min=1,
        rich_help_panel=_FILES,
    ),
]
MixedMachines = Annotated[
    bool,
    typer.Option(
        "--mixed-machines",
        help="Allow machines with different instruction sets. Integer backends, such as onnx-int8, have the same bits within one "
        "kind of machine only.",
        rich_help_panel=_FILES,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="How many processes score the file at the same time. They share the model in memory, and the output has the same "
        "bytes for any number. Each has --threads threads, by default all cores divided by the workers. auto tries several on "
        "the first rows of a long file and keeps the fastest. The default is 1, and with --engine ray as many as the cluster has "
        "CPUs for.",
        metavar="N|auto",
        parser=read_workers,
        rich_help_panel=_FILES,
    ),
]
FullDigest = Annotated[
    bool,
    typer.Option(
        "--full-digest",
        help="Tell the input from another by all of its bytes. The default reads its head, its tail and blocks between them. "
        "Size, time and inode count in both cases.",
        rich_help_panel=_FILES,
    ),
]
CsvSafe = Annotated[
    bool,
    typer.Option(
        "--csv-safe",
        help="Put an apostrophe before ids and labels that a spreadsheet would take for formulas. For CSV and TSV.",
        rich_help_panel=_FILES,
    ),
]
