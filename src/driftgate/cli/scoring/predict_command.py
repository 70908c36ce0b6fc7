"""`driftgate predict`: labels and probabilities of texts, of one backend or several side by side, or of a whole file."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from driftgate.builder.models import find_model
from driftgate.cli import shared_options as shared
from driftgate.cli.scoring import answer_options as answers
from driftgate.cli.scoring import predict_file_options as file_options
from driftgate.cli.scoring.predict_on_ray import RayOptions, choose_engine
from driftgate.cli.scoring.predict_shards import score_plan
from driftgate.cli.scoring.predict_texts import (
    read_standard_input,
    refuse_label_options,
    refuse_other_labels,
    refuse_unusable,
    score,
    score_alone,
    show,
    show_alone,
    used_as,
    usual_thresholds,
)
from driftgate.edges.limits import SCORING_TOKEN_BUDGET, TOP_LABELS
from driftgate.errors import OptionError
from driftgate.inputs.batches import ArrivalPlan, BudgetPlan
from driftgate.inputs.thresholds import read_thresholds
from driftgate.predict.one_score import TextScores, describe_text_scores
from driftgate.predict.scores import describe, describe_side_by_side
from driftgate.results.console import Console
from driftgate.run.device import RunSettings

if TYPE_CHECKING:
    from driftgate.predict.prediction_job import PredictionJob


def predict(
    model: shared.ModelUnlessPlanned = None,
    texts: Annotated[
        list[str] | None, typer.Argument(help="The texts to classify. Without any, each line of standard input is one.")
    ] = None,
    backend: answers.Backend = None,
    compare: Annotated[
        str | None,
        typer.Option(help="Show several backends side by side, such as torch,onnx-int8.", metavar="NAME,NAME"),
    ] = None,
    top: answers.Top = None,
    logits: answers.Logits = False,
    thresholds: answers.Thresholds = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each text.")] = False,
    device: shared.Device = "cpu",
    threads: shared.Threads = 0,
    token_budget: shared.TokenBudget = SCORING_TOKEN_BUDGET,
    max_tokens: shared.MaxTokens = None,
    revision: shared.Revision = None,
    allow_pickle: shared.AllowPickle = False,
    input_file: file_options.Input = None,
    output_file: file_options.Output = None,
    input_format: file_options.InputFormat = "",
    output_format: file_options.OutputFormat = "",
    text_column: shared.TextColumn = "",
    pair_column: shared.PairColumn = "",
    id_column: file_options.IdColumn = "",
    encoding: file_options.Encoding = "utf-8",
    rejects: file_options.Rejects = "",
    rejects_with_texts: file_options.RejectsWithTexts = False,
    resume: file_options.Resume = False,
    overwrite: file_options.Overwrite = False,
    workers: file_options.Workers = None,
    full_digest: file_options.FullDigest = False,
    csv_safe: file_options.CsvSafe = False,
    plan_file: file_options.Plan = None,
    shard: file_options.Share = "1/1",
    mixed_machines: file_options.MixedMachines = False,
    engine: file_options.Engine = file_options.EngineName.LOCAL,
    ray_address: file_options.RayAddress = "",
    cpus_per_worker: file_options.CpusPerWorker = 1,
) -> None:
    """Classify texts that are given as arguments, as lines of standard input, or in a file.

    Texts that are given as arguments run one at a time, lines of standard input and rows of a file in batches of similar length.

    Examples:

    `driftgate predict fixtures/encoders/goemotions-roberta-mini --backend onnx-int8 "Thanks, that made my day!"`

    `driftgate predict fixtures/encoders/goemotions-roberta-mini --compare torch,onnx-int8 --logits "I miss my old neighbours"`

    `driftgate predict fixtures/encoders/goemotions-roberta-mini --input comments.csv.gz --text-column body --output scores.jsonl`

    `driftgate predict fixtures/encoders/goemotions-roberta-mini --plan run/plan.json --shard 3/64`

    `driftgate predict path/to/model --plan run/plan.json --engine ray --ray-address auto`

    `driftgate predict path/to/nli --input pairs.jsonl --text-column premise --pair-column hypothesis --output scores.jsonl`
    """
    of_ray = RayOptions(ray_address, workers, cpus_per_worker)
    ray = choose_engine(engine, of_ray, has_plan=plan_file is not None, mixed_machines=mixed_machines)
    budget = BudgetPlan(token_budget)
    TOP_LABELS.require(top or 0)
    of_files = (output_file, input_format, output_format, text_column, pair_column, id_column, rejects)
    of_one_file = any(of_files) or rejects_with_texts or resume or full_digest or csv_safe
    if input_file is None and plan_file is None and (of_one_file or overwrite or workers is not None):
        raise OptionError("expected --input FILE with the options of a file; texts are given as arguments or as lines")
    if compare is not None and (backend is not None or input_file is not None):
        raise OptionError("--compare names the backends itself and takes texts: leave out --backend and --input")
    if plan_file is not None:
        if texts or as_json or compare is not None or input_file is not None or of_one_file:
            raise OptionError(
                "--plan PLAN: it says what is read, how, and where outputs go; leave out texts, --input, --output and their "
                "options, and give options of reading to `driftgate shard`"
            )
        asked = (model or "", backend, revision, max_tokens, top, logits, thresholds, device, threads)
        score_plan(
            plan_file,
            shard,
            asked,
            workers=workers,
            allow_pickle=allow_pickle,
            overwrite=overwrite,
            mixed_machines=mixed_machines,
            ray=ray,
        )
    model = _require(model)
    settings = shared.read_settings(threads, device)
    if input_file is not None:
        if output_file is None or texts or as_json:
            raise OptionError(
                "--input FILE: expected --output FILE (- for a pipe) with it, and neither texts nor --json"
            )
        from driftgate.predict.prediction_job import PredictionJob  # SciPy, which it imports, is slow to import

        found = find_model(model, backend, revision=revision, allow_pickle=allow_pickle)
        found = used_as(found, max_tokens, pairs=bool(pair_column))
        refuse_label_options(found.encoder, top, thresholds, logits=logits)
        _score_file(
            PredictionJob(
                found.encoder,
                found.backend,
                input_file,
                output_file,
                _settings_of_workers(threads, device),
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
                workers=of_ray.workers_here,
                full_digest=full_digest,
                csv_safe=csv_safe,
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
        used_as(find_model(model, name, revision=revision, allow_pickle=allow_pickle), max_tokens)
        for name in (_parse_comparison(compare) if compare is not None else [backend])
    ]
    encoder = models[0].encoder
    refuse_other_labels(models)
    refuse_label_options(encoder, top, thresholds, logits=logits)
    if encoder.gives_score:
        _give_scores(lines, tuple(score_alone(one, lines, plan, settings) for one in models), as_json=as_json)
        return
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
    show(lines, scores, answers.SHOWN_LABELS if top is None else top, logits=logits, thresholds=cuts)


def _settings_of_workers(threads: int, device: str) -> RunSettings | None:
    """None where a worker's share of the cores is its number of threads."""
    settings = shared.read_settings(threads, device)
    return settings if threads or settings.device.kind != "cpu" else None


def _require(model: str | None) -> str:
    if model is None:
        raise typer.BadParameter("Missing argument 'MODEL'.")
    return model


def _give_scores(texts: list[str], scores: tuple[TextScores, ...], *, as_json: bool) -> None:
    if not as_json:
        show_alone(texts, scores)
        return
    for row, text in enumerate(texts):
        typer.echo(json.dumps(describe_text_scores(text, scores, row)))


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
