"""`driftgate predict --plan PLAN --engine ray`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from driftgate.cli.scoring.predict_file_options import EngineName
from driftgate.edges.spelling import option
from driftgate.edges.stores import is_url, local_name
from driftgate.errors import OptionError

if TYPE_CHECKING:
    from driftgate.engines.ray_engine import Finished
    from driftgate.predict.prediction_job import PredictionJob
    from driftgate.predict.progress import Watcher
    from driftgate.predict.shards.plan import Plan


class RayOptions(NamedTuple):
    """Options of `--engine ray`; no workers stand for as many as fit."""

    address: str
    workers: int | None
    cpus_per_worker: int

    @property
    def workers_here(self) -> int:
        """Of a file, on this machine; 0 to try several."""
        return 1 if self.workers is None else self.workers


def choose_engine(engine: EngineName, ray: RayOptions, *, has_plan: bool, mixed_machines: bool) -> RayOptions | None:
    """The options of Ray; None where this process scores.

    Raises:
        OptionError: options of Ray without it, or of shards without a plan.
    """
    on_ray = engine is EngineName.RAY
    for_ray = bool(ray.address) or ray.cpus_per_worker > 1
    if not has_plan and (on_ray or for_ray or mixed_machines):
        raise OptionError("expected --plan PLAN with --engine, --ray-address, --cpus-per-worker and --mixed-machines")
    if for_ray and not on_ray:
        raise OptionError("expected --engine ray with --ray-address and --cpus-per-worker")
    return ray if on_ray else None


def score_plan_on_ray(
    plan_path: str,
    plan: "Plan",
    places: Sequence[int],
    job: "PredictionJob",
    ray: RayOptions,
    progress: "Watcher",
    *,
    threads: int,
    mixed_machines: bool,
    overwrite: bool,
) -> "Finished":
    """Score those shards on a cluster.

    Args:
        threads: of each worker; 0 for as many as it has CPUs.

    Raises:
        OptionError: another device than the CPU. Whatever `score_on_ray` raises.
    """
    from driftgate.engines.orders import Order, read_versions
    from driftgate.engines.proof import make_proof
    from driftgate.engines.ray_cluster import RaySettings, require_ray
    from driftgate.engines.ray_engine import score_on_ray

    if job.settings and job.settings.device.kind != "cpu":
        raise OptionError(f"{option('engine', 'ray')}: its workers score on CPUs; leave out {option('device')}")
    settings = RaySettings(ray.address, ray.workers or 0, ray.cpus_per_worker)
    require_ray()
    job = replace(job, encoder=replace(job.encoder, path=job.encoder.path.absolute()))
    order = Order(
        plan_path if is_url(plan_path) else str(Path(local_name(plan_path)).absolute()),
        plan.sha256,
        Path.cwd(),
        job,
        threads or ray.cpus_per_worker,
        make_proof(job),
        read_versions(job.backend),
        mixed_machines,
        overwrite,
    )
    return score_on_ray(order, plan, places, settings, progress=progress)
