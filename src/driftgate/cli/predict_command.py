"""`driftgate predict`: labels and probabilities of texts, of one backend or several side by side, or of a whole file."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from driftgate.builder.models import Model, find_model
from driftgate.cli.predict_texts import (
    read_standard_input,
    refuse_other_labels,
    refuse_unusable,
    score,
    show,
    usual_thresholds,
)
from driftgate.edges.limits import TOP_LABELS
from driftgate.errors import OptionError
from driftgate.inputs.batches import DEFAULT_TOKEN_BUDGET, ArrivalPlan, BudgetPlan
from driftgate.inputs.thresholds import limit_tokens, read_thresholds
from driftgate.predict.scores import describe, describe_side_by_side
from driftgate.results.console import Console
from driftgate.run.device import RunSettings, available_threads, parse_device

if TYPE_CHECKING:
    from driftgate.predict.prediction_job import PredictionJob

_SHOWN_LABELS = 5

_FILES = "A file instead of texts"


def predict(
    model: Annotated[
        str,
        typer.Argument(
            help="The folder or hub id of a text classifier, a folder that build wrote, or an .onnx file in one "
            "folder with its tokenizer.",
            metavar="MODEL",
        ),
    ],
    texts: Annotated[
        list[str] | None, typer.Argument(help="The texts to classify. Without any, each line of standard input is one.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="A backend, a published artifact as name[:class]=PATH, or the name of a file of MODEL. The "
            "default is onnx-fp32."
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(help="Show several backends side by side, such as torch,onnx-int8.", metavar="NAME,NAME"),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            help=f"How many labels to give for each text. 0 means all. The default is {_SHOWN_LABELS} in a "
            "table and otherwise all.",
            min=0,
        ),
    ] = None,
    logits: Annotated[
        bool, typer.Option("--logits", help="Give the logits, before sigmoid or softmax, as well.")
    ] = False,
    thresholds: Annotated[
        str | None,
        typer.Option(
            help="Decide at this probability, or at those of a JSON file, {label: probability}. The default is the encoder's "
            "own thresholds, or 0.5 if it has none.",
            metavar="NUMBER|FILE",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each text.")] = False,
    device: Annotated[str, typer.Option(help="The device to run on: cpu, cuda or cuda:N.")] = "cpu",
    threads: Annotated[
        int, typer.Option(help="How many threads to use. 0 means every core that this process may use.", min=0)
    ] = 0,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            help="Truncate texts to this many tokens, special tokens included. The default is the encoder's own limit.",
            min=1,
        ),
    ] = None,
    revision: Annotated[str | None, typer.Option(help="The revision of an encoder on the hub.")] = None,
    allow_pickle: Annotated[
        bool, typer.Option("--allow-pickle", help="Load pickled weights. Such files can run code when they are loaded.")
    ] = False,
    input_file: Annotated[
        str | None,
        typer.Option(
            "--input",
            help="The file to score: CSV, TSV, JSONL, Parquet or plain text, each but Parquet also as .gz. - "
            "stands for a pipe.",
            rich_help_panel=_FILES,
        ),
    ] = None,
    output_file: Annotated[
        str | None,
        typer.Option(
            "--output", help="The file to write, in the order of rows. - stands for a pipe.", rich_help_panel=_FILES
        ),
    ] = None,
    input_format: Annotated[
        str,
        typer.Option(
            "--format",
            help="The format of the input, if no suffix says it. The default for pipes is jsonl.",
            rich_help_panel=_FILES,
        ),
    ] = "",
    output_format: Annotated[
        str,
        typer.Option(
            help="The format of the output, if no suffix says it: csv, tsv, jsonl or parquet.", rich_help_panel=_FILES
        ),
    ] = "",
    text_column: Annotated[
        str,
        typer.Option(
            help="The column of the texts: its name, or its position from 0 if there is no header. The default is text.",
            rich_help_panel=_FILES,
        ),
    ] = "",
    pair_column: Annotated[
        str,
        typer.Option(
            help="The column of the second texts, by name or position, if the rows are pairs.", rich_help_panel=_FILES
        ),
    ] = "",
    id_column: Annotated[
        str,
        typer.Option(
            help="The column of ids, by name or position, which is copied to the output.", rich_help_panel=_FILES
        ),
    ] = "",
    encoding: Annotated[
        str, typer.Option(help="The encoding of the input, except for Parquet.", rich_help_panel=_FILES)
    ] = "utf-8",
    rejects: Annotated[
        str,
        typer.Option(
            help="The file for rows that cannot be scored, with reasons. The default is OUTPUT.rejects.jsonl.",
            rich_help_panel=_FILES,
        ),
    ] = "",
    rejects_with_texts: Annotated[
        bool,
        typer.Option(
            "--rejects-with-texts", help="Write the texts of such rows to that file too.", rich_help_panel=_FILES
        ),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue an interrupted run, or start one.", rich_help_panel=_FILES)
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an output that exists.", rich_help_panel=_FILES)
    ] = False,
    token_budget: Annotated[
        int, typer.Option(help="How many tokens, padding included, a batch may have.", min=1, rich_help_panel=_FILES)
    ] = DEFAULT_TOKEN_BUDGET,
) -> None:
    """Classify texts.

    Texts given as arguments are asked one at a time, lines of standard input and rows of a file in batches of like length.

    Examples:

    `driftgate predict fixtures/encoders/goemotions-roberta-mini --backend onnx-int8 "Thanks, that made my day!"`

    `driftgate predict fixtures/encoders/goemotions-roberta-mini --compare torch,onnx-int8 --logits "I miss my old neighbours"`

    `driftgate predict fixtures/encoders/goemotions-roberta-mini --input comments.csv.gz --text-column body --output scores.jsonl`

    `driftgate predict path/to/nli --input pairs.jsonl --text-column premise --pair-column hypothesis --output scores.jsonl`
    """
    settings = RunSettings(threads or available_threads(), parse_device(device))
    budget = BudgetPlan(token_budget)
    TOP_LABELS.require(top or 0)
    of_files = (output_file, input_format, output_format, text_column, pair_column, id_column, rejects)
    if input_file is None and (any(of_files) or rejects_with_texts or resume or overwrite):
        raise OptionError("expected --input FILE with the options of a file; texts are given as arguments or as lines")
    if compare is not None and (backend is not None or input_file is not None):
        raise OptionError("--compare names the backends itself and takes texts: leave out --backend and --input")
    if input_file is not None:
        if output_file is None or texts or as_json:
            raise OptionError(
                "--input FILE: expected --output FILE (- for a pipe) with it, and neither texts nor --json"
            )
        from driftgate.predict.prediction_job import PredictionJob  # SciPy, behind it, is slow to import

        found = find_model(model, backend, revision=revision, allow_pickle=allow_pickle)
        found = _used_as(found, max_tokens, pairs=bool(pair_column))
        _score_file(
            PredictionJob(
                found.encoder,
                found.backend,
                input_file,
                output_file,
                settings,
                input_format=input_format,
                output_format=output_format,
                text_column=text_column,
                pair_column=pair_column,
                id_column=id_column,
                encoding=encoding,
                rejects=rejects,
                rejects_with_texts=rejects_with_texts,
                resume=resume,
                overwrite=overwrite,
                token_budget=token_budget,
                top=top or 0,
                logits=logits,
                thresholds=read_thresholds(thresholds, found.encoder) if thresholds is not None else None,
            )
        )
        return
    lines = texts or read_standard_input()
    refuse_unusable(lines)
    plan = ArrivalPlan(1) if texts else budget
    models = [
        _used_as(find_model(model, name, revision=revision, allow_pickle=allow_pickle), max_tokens)
        for name in (_parse_comparison(compare) if compare is not None else [backend])
    ]
    encoder = models[0].encoder
    refuse_other_labels(models)
    cuts = read_thresholds(thresholds, encoder) if thresholds is not None else usual_thresholds(encoder)
    scores = tuple(score(one, lines, plan, settings, cuts) for one in models)
    if as_json:
        for row, text in enumerate(lines):
            record = (
                describe(text, scores[0], row, top or 0, logits=logits)
                if compare is None
                else describe_side_by_side(text, scores, row, top or 0, logits=logits)
            )
            typer.echo(json.dumps(record))
        return
    show(lines, scores, _SHOWN_LABELS if top is None else top, logits=logits, thresholds=cuts)


def _used_as(model: Model, max_tokens: int | None, *, pairs: bool = False) -> Model:
    return replace(model, encoder=limit_tokens(replace(model.encoder, takes_pairs=pairs), max_tokens))


def _score_file(job: "PredictionJob") -> None:
    from driftgate.predict.job import run_job
    from driftgate.predict.progress import show_progress

    console = Console(stderr=True)
    with show_progress(console) as progress:
        summary = run_job(job, progress=progress)
    for line in summary.lines():
        console.print(line, soft_wrap=True)
    raise typer.Exit(summary.exit_code)


def _parse_comparison(compare: str) -> list[str]:
    names = [name.strip() for name in compare.split(",") if name.strip()]
    if len(names) < 2 or len(set(names)) < len(names):  # noqa: PLR2004 - a pair at least
        raise OptionError(f"--compare {compare!r}: expected at least two different backends, such as torch,onnx-int8")
    return names
