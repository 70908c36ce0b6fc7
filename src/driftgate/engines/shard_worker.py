"""What runs on another machine: it loads the model once, proves it, and scores shards one after the other."""

import os
import socket
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from driftgate.edges.processes import shield
from driftgate.engines.orders import Hello, Order, read_versions
from driftgate.engines.proof import require_proof
from driftgate.errors import OptionError
from driftgate.predict.answerer import Answerer
from driftgate.predict.journal import differences
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.progress import Silent
from driftgate.predict.shards.machines import describe_machine, kind_of_machine
from driftgate.predict.shards.plan import Plan, read_plan
from driftgate.predict.shards.score import ShardsDone, score_shards
from driftgate.predict.workers.host import describe_error
from driftgate.run.device import RunSettings, thread_variables


class ShardWorker:
    """One of them: it is opened first. Its methods return what went wrong, as `describe_error` has it, and raise nothing."""

    def __init__(self, order: Order) -> None:
        os.environ.update(shield(os.environ))
        os.environ.update(thread_variables(order.threads))
        with suppress(OSError):  # absolute paths need no folder; others are looked for and named where they are read
            os.chdir(order.folder)
        self._order = order
        self._progress = _Progress()
        self._loaded: tuple[Plan, PredictionJob, Answerer]

    def open(self, node: str = "") -> Hello | dict[str, Any]:
        """Load the model, and prove it.

        Args:
            node: what the engine calls this machine; empty to ask Ray.
        """
        started = time.monotonic()
        try:
            self._loaded = self._load()
        except Exception as error:  # noqa: BLE001 - said by the job
            return _describe(error)
        seconds = time.monotonic() - started
        if not node:
            import ray

            node = str(ray.get_runtime_context().get_node_id())
        return Hello(node, socket.gethostname(), os.getpid(), describe_machine(), seconds)

    def score(self, place: int) -> ShardsDone | dict[str, Any]:
        """Score one shard of the plan, unless it is whole."""
        self._progress.rows = 0
        try:
            plan, job, answerer = self._loaded
            return score_shards(
                self._order.plan_path,
                plan,
                [place],
                job,
                progress=self._progress,
                open_model=lambda *_: answerer,
                overwrite=self._order.overwrite,
            )
        except Exception as error:  # noqa: BLE001 - said by the job
            return _describe(error)

    def rows(self) -> int:
        """How many rows of the shard at hand are done."""
        return self._progress.rows

    def _load(self) -> tuple[Plan, PredictionJob, Answerer]:
        order = self._order
        here = read_versions(order.job.backend)
        if changed := "; ".join(differences(dict(order.versions), here)):
            raise OptionError(f"other versions are installed here than where the job was started: {changed}")
        plan = read_plan(order.plan_path)
        if plan.sha256 != order.plan:
            raise OptionError(
                f"{order.plan_path}: another plan is there than where the job was started; share the folder"
            )
        settings = RunSettings(order.threads)
        kind = "" if order.mixed_machines else kind_of_machine(order.proof.precision)
        job = replace(order.job, settings=settings, machine=kind, precision=order.proof.precision)
        answerer = order.open_model(job.encoder, job.backend, settings)
        require_proof(order.proof, answerer, job, settings)
        return plan, job, answerer


class _Progress(Silent):
    """Keeps the number of rows until somebody asks."""

    def __init__(self) -> None:
        self.rows = 0

    def update(self, rows: int, rows_per_second: float, fraction: float | None, seconds_left: float | None) -> None:  # noqa: ARG002
        self.rows = rows


def _describe(error: Exception) -> dict[str, Any]:
    return {**describe_error(error), "host": socket.gethostname()}
