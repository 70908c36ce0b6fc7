"""Jobs for Ray whose model counts letters, clusters whose machines can be taken away, and what one process writes."""

import random
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from letter_counter import DOUBLE, open_double, slow_double

from driftgate.engines.orders import Order, read_versions
from driftgate.engines.proof import Proof
from driftgate.engines.ray_cluster import RaySettings
from driftgate.engines.ray_engine import Finished, score_on_ray
from driftgate.predict.job import run_job
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.progress import Watcher
from driftgate.predict.shards.make_plan import PlanOptions, make_plan
from driftgate.predict.shards.merge import merge
from driftgate.predict.shards.plan import Plan, read_plan, write_plan
from driftgate.predict.team import OpenModel
from driftgate.run.device import RunSettings

BUDGET = 256  # windows of 512 rows, the fewest
STORE_BYTES = 80 << 20


@dataclass(frozen=True)
class RayJob:
    """A plan in a folder of its own, and how it is scored."""

    plan_path: Path
    plan: Plan
    source: Path
    open_model: OpenModel

    @property
    def job(self) -> PredictionJob:
        return PredictionJob(DOUBLE, "double", "-", "-", RunSettings(1), token_budget=BUDGET, commit_seconds=0.0)

    def order(self, proof: Proof | None = None, *, mixed_machines: bool = False) -> Order:
        return Order(
            str(self.plan_path), self.plan.sha256, self.plan_path.parent, self.job, 1, proof or Proof("", "fp32"),
            read_versions("double"), mixed_machines, open_model=self.open_model,
        )  # fmt: skip

    def score(
        self, settings: RaySettings | None = None, *, progress: Watcher | None = None, order: Order | None = None
    ) -> Finished:
        every = range(len(self.plan.shards))
        return score_on_ray(order or self.order(), self.plan, every, settings or RaySettings(), progress=progress)

    def merged(self) -> list[bytes]:
        """The joined scores and rejected rows."""
        target = self.plan_path.with_name("merged.csv")
        merge(self.plan_path, self.plan, target, overwrite=True)
        return [path.read_bytes() for path in (target, target.with_name("merged.csv.rejects.jsonl"))]

    def alone(self) -> list[bytes]:
        """What one process writes."""
        target = self.plan_path.with_name("alone.csv")
        job = PredictionJob(
            DOUBLE, "double", str(self.source), str(target), RunSettings(1), token_budget=BUDGET, overwrite=True
        )
        run_job(job, open_model=open_double)
        return [path.read_bytes() for path in (target, target.with_name("alone.csv.rejects.jsonl"))]

    def under_way(self) -> int:
        """How many shards are being written."""
        return len(list(self.plan_path.parent.glob("shard-*.csv.partial")))


def make_job(
    folder: Path, rows: int, shard_rows: int, *, open_model: OpenModel = slow_double, texts: list[str] | None = None
) -> RayJob:
    """A plan of texts of different lengths, some of them empty."""
    draw = random.Random(rows)  # noqa: S311
    words = ("word", "longer words", "ünïcode", "日本")
    made = texts or [" ".join(draw.choices(words, k=draw.randint(1, 9))) + f" {row}" for row in range(rows)]
    source = folder / "in.txt"
    source.write_text("".join(f"{'' if row % 97 == 5 else text}\n" for row, text in enumerate(made)), encoding="utf-8")
    path = folder / "plan.json"
    write_plan(path, make_plan([str(source)], PlanOptions(shard_rows, token_budget=BUDGET))[0])
    return RayJob(path, read_plan(path), source, open_model)


class Heard:
    """Keeps what a job says."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.updates: list[tuple[int, float, float | None, float | None]] = []

    def update(self, rows: int, rows_per_second: float, fraction: float | None, seconds_left: float | None) -> None:
        self.updates.append((rows, rows_per_second, fraction, seconds_left))

    def say(self, message: str) -> None:
        self.messages.append(message)


@contextmanager
def two_machines(**system: Any) -> Iterator[Any]:
    """A cluster of a head that scores nothing, and two machines of one CPU each."""
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    cluster = Cluster(initialize_head=True, head_node_args={**head, **({"_system_config": system} if system else {})})
    try:
        for _ in range(2):
            add_machine(cluster)
        yield cluster
    finally:
        cluster.shutdown()


def add_machine(cluster: Any) -> Any:
    return cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)


def workers_of(cluster: Any) -> list[Any]:
    """Its machines but for the head."""
    return [node for node in cluster.list_all_nodes() if node is not cluster.head_node]


@contextmanager
def scoring(
    job: RayJob, settings: RaySettings, progress: Watcher | None = None, order: Order | None = None
) -> Iterator["Future[Finished]"]:
    """The job in another thread: machines are started in the main one only. Its result is what it found."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(job.score, settings, progress=progress, order=order)
