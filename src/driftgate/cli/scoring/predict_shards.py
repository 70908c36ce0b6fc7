"""`driftgate predict --plan PLAN --shard I/N`, and the model that a plan names."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from driftgate.builder.models import find_model
from driftgate.cli.scoring.predict_on_ray import RayOptions, score_plan_on_ray
from driftgate.cli.scoring.predict_texts import refuse_label_options, used_as
from driftgate.edges.spelling import option
from driftgate.errors import OptionError
from driftgate.inputs.thresholds import read_thresholds
from driftgate.results.console import Console
from driftgate.run.device import RunSettings, available_threads, parse_device

if TYPE_CHECKING:
    from driftgate.predict.prediction_job import PredictionJob
    from driftgate.predict.progress import Watcher
    from driftgate.predict.shards.plan import Plan, Scoring
    from driftgate.predict.shards.score import ShardsDone


def score_plan(
    plan_path: str,
    share: str,
    asked: tuple[Any, ...],
    *,
    workers: int | None,
    allow_pickle: bool,
    overwrite: bool,
    mixed_machines: bool,
    ray: RayOptions | None,
) -> NoReturn:
    """Score a share of the shards of a plan, say what was done, and end with 1 where shards are left to another process.

    Args:
        asked: the options of scoring, in the order of `Scoring`; where they say nothing, the plan does.
        workers: None for one, or on Ray for as many as fit.
        ray: None for this machine.

    Raises:
        OptionError: workers are to be tried, or options do not fit the plan.
    """
    from driftgate.predict.progress import show_progress
    from driftgate.predict.shards.plan import Scoring, read_plan
    from driftgate.predict.shards.score import choose_shards

    if workers == 0:
        raise OptionError(f"{option('workers', 'auto')}: it tries rows of --input FILE; expected a number with --plan")
    plan = read_plan(plan_path)
    places = choose_shards(plan, share)
    scoring = Scoring(*asked).or_else(plan.scoring)
    if not scoring.model:
        raise typer.BadParameter("Missing argument 'MODEL': the plan names none.")
    here = replace(scoring, threads=1) if ray else scoring  # what a machine of the cluster can have is asked there
    job = _job_of(plan, here, workers=1 if ray else workers or 1, allow_pickle=allow_pickle)
    console = Console(stderr=True)
    with show_progress(console) as progress:
        if ray:
            finished = score_plan_on_ray(
                plan_path,
                plan,
                places,
                job,
                ray,
                progress,
                threads=scoring.threads,
                mixed_machines=mixed_machines,
                overwrite=overwrite,
            )
            line, held = finished.line, finished.done.held
        else:
            done = _score_here(
                plan_path, plan, places, job, progress, mixed_machines=mixed_machines, overwrite=overwrite
            )
            line, held = f"{done.rows:,} rows in {done.scored:,} shards scored", done.held
            line += f", {done.whole:,} shards were whole before"
    console.print(f"{line}, {held:,} that other processes are at work on" if held else line, soft_wrap=True)
    raise typer.Exit(int(held > 0))


def _score_here(
    plan_path: str,
    plan: "Plan",
    places: list[int],
    job: "PredictionJob",
    progress: "Watcher",
    *,
    mixed_machines: bool,
    overwrite: bool,
) -> "ShardsDone":
    from driftgate.pipeline import find_precision
    from driftgate.predict.shards.machines import kind_of_machine, require_one_kind
    from driftgate.predict.shards.score import score_shards

    precision = find_precision(job.encoder, job.backend, device=job.settings.device.kind if job.settings else "cpu")
    job = replace(job, precision=precision)
    if not mixed_machines:
        require_one_kind(plan_path, plan, precision)
        job = replace(job, machine=kind_of_machine(precision))
    return score_shards(plan_path, plan, places, job, progress=progress, overwrite=overwrite)


def name_model(plan: "Plan", scoring: "Scoring", *, allow_pickle: bool) -> "Plan":
    """The plan for this model alone. The number of threads is part of it where bits depend on it.

    Raises:
        DriftgateError: the model cannot be found or built.
    """
    from driftgate.predict.answerer import find_digest
    from driftgate.predict.job_identity import bits_depend_on_threads, identify_model

    job = _job_of(plan, scoring, workers=1, allow_pickle=allow_pickle)
    settings = job.settings or RunSettings(available_threads())
    if bits_depend_on_threads(job.backend):
        scoring = replace(scoring, threads=settings.threads)
    with Console(stderr=True).announcing() as announce:
        announce(job.backend.partition("=")[0])
        digest = find_digest(job.encoder, job.backend, settings)
    return replace(plan, scoring=scoring, identity=identify_model(job, digest))


def _job_of(plan: "Plan", scoring: "Scoring", *, workers: int, allow_pickle: bool) -> "PredictionJob":
    from driftgate.predict.prediction_job import PredictionJob

    found = find_model(scoring.model, scoring.backend, revision=scoring.revision, allow_pickle=allow_pickle)
    found = used_as(found, scoring.max_tokens, pairs=bool(plan.reading["pair_column"]))
    refuse_label_options(found.encoder, scoring.top, scoring.thresholds, logits=scoring.logits)
    return PredictionJob(
        found.encoder,
        found.backend,
        "-",
        "-",
        RunSettings(scoring.threads or max(available_threads() // workers, 1), parse_device(scoring.device)),
        top=scoring.top or 0,
        logits=scoring.logits,
        thresholds=read_thresholds(scoring.thresholds, found.encoder) if scoring.thresholds is not None else None,
        workers=workers,
        **plan.reading,
    )
