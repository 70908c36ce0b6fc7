"""`driftgate predict --plan PLAN --shard I/N`."""

from collections.abc import Callable
from pathlib import Path

import typer

from driftgate.builder.models import Model
from driftgate.results.console import Console
from driftgate.run.device import RunSettings


def score_plan(
    plan_path: Path,
    share: str,
    find: Callable[[bool], Model],
    settings: RunSettings,
    *,
    workers: int,
    top: int,
    logits: bool,
    thresholds: Callable[[Model], tuple[float, ...] | None],
) -> None:
    """Score a share of the shards of a plan, say what was done, and end with 1 where shards are left to another process.

    Args:
        find: the model, for pairs of texts or for texts. `thresholds`: those of a model.
    """
    from driftgate.predict.prediction_job import PredictionJob
    from driftgate.predict.progress import show_progress
    from driftgate.predict.shards.plan import read_plan
    from driftgate.predict.shards.score import choose_shards, score_shards

    plan = read_plan(plan_path)
    places = choose_shards(plan, share)
    found = find(bool(plan.reading["pair_column"]))
    job = PredictionJob(
        found.encoder,
        found.backend,
        "-",
        "-",
        settings,
        top=top,
        logits=logits,
        thresholds=thresholds(found),
        workers=workers,
    )
    console = Console(stderr=True)
    with show_progress(console) as progress:
        done = score_shards(plan_path, plan, places, job, progress=progress)
    held = f", {done.held:,} that other processes are at work on" if done.held else ""
    console.print(
        f"{done.rows:,} rows in {done.scored:,} shards scored, {done.whole:,} shards were whole before{held}",
        soft_wrap=True,
    )
    raise typer.Exit(int(done.held > 0))
