"""`driftgate shard` and `driftgate merge`: cut files into shards that any machine can score alone, and join their outputs."""

from pathlib import Path
from typing import Annotated

import typer

from driftgate.cli import shared_options as shared
from driftgate.cli.scoring import answer_options as answers
from driftgate.cli.scoring import predict_file_options as file_options
from driftgate.edges.limits import SCORING_TOKEN_BUDGET
from driftgate.edges.stores import is_url, local_name
from driftgate.errors import OptionError
from driftgate.results.console import Console

PlanFile = Annotated[
    str,
    typer.Argument(
        help="The plan that `driftgate shard` wrote: a file, or a URL such as s3://bucket/run/plan.json.",
        metavar="PLAN",
    ),
]
_MODEL = "A model that the plan names"


def shard(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Files and globs, here or at URLs such as s3://bucket/*.parquet: CSV, TSV, JSONL, Parquet or plain text. A gzip "
            "file is one shard."
        ),
    ],
    out: Annotated[
        str, typer.Option(help="The plan to write, a file or a URL. Outputs of the shards are written beside it.")
    ],
    rows: Annotated[
        int | None,
        typer.Option(
            help="How many rows a shard has at least. It ends where a window of rows ends. The default is 20,480.",
            min=1,
            show_default=False,
        ),
    ] = None,
    shards: Annotated[
        int | None,
        typer.Option(help="Cut into this many shards of about equal numbers of rows instead.", min=1),
    ] = None,
    input_format: file_options.InputFormat = "",
    output_format: file_options.OutputFormat = "",
    gzipped: Annotated[bool, typer.Option("--gzip", help="Compress the outputs.")] = False,
    text_column: shared.TextColumn = "",
    pair_column: shared.PairColumn = "",
    id_column: file_options.IdColumn = "",
    encoding: file_options.Encoding = "utf-8",
    rejects_with_texts: file_options.RejectsWithTexts = False,
    csv_safe: file_options.CsvSafe = False,
    token_budget: shared.TokenBudget = SCORING_TOKEN_BUDGET,
    model: Annotated[
        str,
        typer.Option(
            help="The model to score with: its digest and the options below become part of the plan, and another model or other "
            "options are refused when shards are scored.",
            rich_help_panel=_MODEL,
        ),
    ] = "",
    backend: answers.Backend = None,
    top: answers.Top = None,
    logits: answers.Logits = False,
    thresholds: answers.Thresholds = None,
    max_tokens: shared.MaxTokens = None,
    device: shared.Device = "cpu",
    threads: shared.Threads = 0,
    revision: shared.Revision = None,
    allow_pickle: shared.AllowPickle = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a plan that exists.")] = False,
) -> None:
    """Plan shards: ranges of rows that any machine can score alone, in any order.

    The same files and options give the same plan. A shard is a whole number of windows, so that the joined outputs have the bytes
    of one process, and the plan says at which byte or row group each begins, so that no machine reads a file from its start.

    Examples:

    `driftgate shard comments-*.jsonl --text-column body --rows 1000000 --out run/plan.json`

    `driftgate shard s3://bucket/comments/*.parquet --shards 640 --model path/to/model --backend onnx-int8 --out s3://bucket/run/plan.json`

    `driftgate predict MODEL --plan run/plan.json --shard 3/64`

    `driftgate merge run/plan.json --out scores.csv`
    """
    from driftgate.cli.scoring.predict_shards import name_model
    from driftgate.predict.progress import show_progress
    from driftgate.predict.shards.make_plan import DEFAULT_ROWS, PlanOptions, make_plan
    from driftgate.predict.shards.plan import Scoring, require_place, write_plan

    if rows is not None and shards is not None:
        raise OptionError(f"--shards {shards}: --rows {rows} says how many there are; leave one of the two out")
    out = local_name(out)
    require_place(out, overwrite=overwrite)
    options = PlanOptions(
        rows=rows or DEFAULT_ROWS,
        shards=shards or 0,
        input_format=input_format,
        output_format=output_format or "csv",
        gzipped=gzipped,
        text_column=text_column,
        pair_column=pair_column,
        id_column=id_column,
        encoding=encoding,
        rejects_with_texts=rejects_with_texts,
        csv_safe=csv_safe,
        token_budget=token_budget,
    )
    wanted = Scoring(model, backend, revision, max_tokens, top, logits, thresholds, device, threads)
    if not model and wanted != Scoring():
        raise OptionError(
            "expected --model MODEL with the options of scoring; give them to `driftgate predict --plan` otherwise"
        )
    console = Console(stderr=True)
    with show_progress(console) as progress:
        plan, remarks = make_plan(inputs, options, progress)
    if model:
        plan = name_model(plan, wanted, allow_pickle=allow_pickle)
    if not is_url(out):
        Path(out).parent.mkdir(parents=True, exist_ok=True)
    write_plan(out, plan)
    for line in (*remarks, f"{plan.rows:,} rows in {len(plan.shards):,} shards -> {out}"):
        console.print(line, soft_wrap=True)


def merge(
    plan_file: PlanFile,
    out: Annotated[str, typer.Option(help="The file to write, of the format of the shards, or a URL.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists.")] = False,
    mixed_machines: file_options.MixedMachines = False,
) -> None:
    """Join the outputs of a plan, after checking that every row is there once, in order, of one model and one set of options.

    Example:

    `driftgate merge run/plan.json --out scores.csv`
    """
    from driftgate.predict.progress import show_progress
    from driftgate.predict.shards.merge import merge as join
    from driftgate.predict.shards.plan import read_plan

    console = Console(stderr=True)
    with show_progress(console) as progress:
        merged = join(
            plan_file, read_plan(plan_file), out, overwrite=overwrite, mixed_machines=mixed_machines, progress=progress
        )
    console.print(f"{merged.rows:,} rows of {merged.shards:,} shards -> {merged.output}", soft_wrap=True)
    if merged.rejects:
        console.print(f"rejected rows -> {merged.rejects}", soft_wrap=True)
