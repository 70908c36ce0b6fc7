"""`driftgate shard` and `driftgate merge`: cut files into shards that any machine can score alone, and join their outputs."""

from pathlib import Path
from typing import Annotated

import typer

from driftgate.cli.scoring import predict_file_options as file_options
from driftgate.cli import shared_options as shared
from driftgate.edges.limits import DEFAULT_TOKEN_BUDGET
from driftgate.errors import OptionError
from driftgate.results.console import Console

PlanFile = Annotated[Path, typer.Argument(help="The plan that `driftgate shard` wrote.", metavar="PLAN")]


def shard(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Files and globs: CSV, TSV, JSONL or plain text; gzip and Parquet files are one shard each."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The plan to write. Outputs of the shards are written beside it.")],
    rows: Annotated[
        int, typer.Option(help="How many rows a shard has at least. It ends where a window of rows ends.", min=1)
    ] = 100_000,
    input_format: file_options.InputFormat = "",
    output_format: file_options.OutputFormat = "",
    gzipped: Annotated[bool, typer.Option("--gzip", help="Compress the outputs.")] = False,
    text_column: shared.TextColumn = "",
    pair_column: shared.PairColumn = "",
    id_column: file_options.IdColumn = "",
    encoding: file_options.Encoding = "utf-8",
    token_budget: shared.TokenBudget = DEFAULT_TOKEN_BUDGET,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a plan that exists.")] = False,
) -> None:
    """Plan shards: ranges of rows that any machine can score alone, in any order.

    The same files and options give the same plan. A shard is a whole number of windows, so that the joined outputs have the bytes
    of one process, and the plan says at which byte each begins, so that no machine reads a file from its start.

    Examples:

    `driftgate shard comments-*.jsonl --text-column body --rows 1000000 --out run/plan.json`

    `driftgate predict MODEL --plan run/plan.json --shard 3/64`

    `driftgate merge run/plan.json --out scores.csv`
    """
    from driftgate.predict.shards.make_plan import PlanOptions, make_plan
    from driftgate.predict.shards.plan import write_plan

    if out.exists() and not overwrite:
        raise OptionError(
            f"{out}: it exists; --overwrite replaces it, and outputs of the old plan are scored again then"
        )
    options = PlanOptions(
        rows, input_format, output_format or "csv", gzipped, text_column, pair_column, id_column, encoding, token_budget
    )
    plan, remarks = make_plan(inputs, options)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_plan(out, plan)
    console = Console(stderr=True)
    for line in (*remarks, f"{plan.rows:,} rows in {len(plan.shards):,} shards -> {out}"):
        console.print(line, soft_wrap=True)


def merge(
    plan_file: PlanFile,
    out: Annotated[Path, typer.Option(help="The file to write, of the format of the shards.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
) -> None:
    """Join the outputs of a plan, after checking that every row is there once, in order, of one model and one set of options.

    Example:

    `driftgate merge run/plan.json --out scores.csv`
    """
    from driftgate.predict.shards.merge import merge as join
    from driftgate.predict.shards.plan import read_plan

    merged = join(plan_file, read_plan(plan_file), out, overwrite=overwrite)
    console = Console(stderr=True)
    console.print(f"{merged.rows:,} rows of {merged.shards:,} shards -> {merged.output}", soft_wrap=True)
    if merged.rejects:
        console.print(f"rejected rows -> {merged.rejects}", soft_wrap=True)
