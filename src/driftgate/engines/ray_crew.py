"""The workers of a job as actors of Ray: they are asked for, told what to do, and missed when they are gone."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from driftgate.edges.spelling import option
from driftgate.engines.orders import Hello, Order
from driftgate.engines.ray_cluster import RaySettings, read_living
from driftgate.engines.shard_queue import DEATHS_BEFORE_GIVING_UP
from driftgate.engines.shard_worker import ShardWorker
from driftgate.errors import OptionError, WorkerError
from driftgate.predict.shards.score import ShardsDone

_TICK_SECONDS = 0.5
_ASK_SECONDS = 1.0
_LOOK_SECONDS = 2.0
_SHOWN_CHARACTERS = 240


@dataclass(slots=True, eq=False)
class Worker:
    """An actor.

    Args:
        nodes: the machines that were there when it was asked for.
        hello: what it said once it was ready.
        place: of its shard. `rows`: of that shard, done so far.
        idle: it is of another kind of machine than the plan's first, and gets nothing.
    """

    actor: Any
    nodes: frozenset[str]
    hello: Hello | None = None
    place: int | None = None
    rows: int = 0
    asked_at: float = 0.0
    idle: bool = False

    @property
    def is_free(self) -> bool:
        """Whether it waits for a shard."""
        return self.hello is not None and self.place is None and not self.idle


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has loaded the model."""

    worker: Worker
    hello: Hello


@dataclass(frozen=True, slots=True)
class Done:
    """A worker is done with its shard."""

    worker: Worker
    place: int
    done: ShardsDone


@dataclass(frozen=True, slots=True)
class Failed:
    """A worker met an error: `said` is what `describe_error` says of it, and on which `host`."""

    worker: Worker
    said: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone, and its shard with it.

    Args:
        process_died: as Ray says; False where it cannot be reached. `why`: in its words.
    """

    worker: Worker
    process_died: bool
    why: str


Event = Ready | Done | Failed | Lost


class RayCrew:
    """Actors, of which there are as many as wanted as soon as Ray has room for them.

    Args:
        ray: the module, connected.
    """

    def __init__(self, ray: Any, order: Order, settings: RaySettings) -> None:
        self._ray, self._order, self._settings = ray, order, settings
        self._waiting: dict[Any, tuple[str, Worker]] = {}
        self._deaths_at_opening = 0
        self._looked_at = time.monotonic()
        self.living = read_living(ray)
        self.workers: list[Worker] = []
        most, cpus = max(self.living.values(), default=0.0), settings.cpus_per_worker
        if 0 < most < cpus:
            raise OptionError(
                f"{option('cpus_per_worker', cpus)}: no machine of the cluster has as many; the largest has {most:g}"
            )
        # Two methods at once: a shard, and the question how far it is.
        self._actors = ray.remote(num_cpus=cpus, max_restarts=0, max_task_retries=0, max_concurrency=2)(ShardWorker)

    @property
    def room(self) -> int:
        """How many workers fit, if nobody else uses the cluster."""
        return sum(int(cpus // self._settings.cpus_per_worker) for cpus in self.living.values())

    def hire(self, shards: int) -> None:
        """Ask for workers: as many as the user or the cluster says, and no more than there are shards."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_SECONDS:
            self.look()
        idle = sum(worker.idle for worker in self.workers)
        if idle and idle >= self.room and all(worker.place is None for worker in self.workers):
            raise OptionError(
                "no machine of the cluster is of the kind that scored the plan's first shard; add such machines, or allow others "
                f"with {option('mixed_machines', True)}"
            )
        wanted = min(self._settings.workers or max(self.room - idle, 1), shards)
        for _ in range(wanted - (len(self.workers) - idle)):
            worker = Worker(self._actors.remote(self._order), frozenset(self.living))
            self.workers.append(worker)
            self._waiting[worker.actor.open.remote()] = "open", worker

    def look(self) -> None:
        """Which machines there are now."""
        self.living, self._looked_at = read_living(self._ray), time.monotonic()

    def give(self, worker: Worker, place: int) -> None:
        """Have a worker score a shard."""
        worker.place, worker.rows, worker.asked_at = place, 0, time.monotonic()
        self._waiting[worker.actor.score.remote(place)] = "score", worker

    def events(self) -> Iterator[Event]:
        """What has happened since, waiting for something a moment.

        Raises:
            WorkerError: workers cannot be started.
        """
        self._ask_how_far()
        found, rest = self._ray.wait(list(self._waiting), num_returns=1, timeout=_TICK_SECONDS)
        if found and rest:
            more, _ = self._ray.wait(rest, num_returns=len(rest), timeout=0)
            found += more
        for ref in found:
            if ref in self._waiting:  # else its worker was lost a moment ago
                yield from self._take(ref, *self._waiting.pop(ref))

    def close(self) -> None:
        """End all of them."""
        for worker in self.workers:
            self._ray.kill(worker.actor)

    def _ask_how_far(self) -> None:
        now = time.monotonic()
        for worker in self.workers:
            if worker.place is not None and now - worker.asked_at >= _ASK_SECONDS:
                worker.asked_at = float("inf")  # until it has answered
                self._waiting[worker.actor.rows.remote()] = "rows", worker

    def _take(self, ref: Any, asked: str, worker: Worker) -> Iterator[Event]:
        try:
            said = self._ray.get(ref)
        except self._ray.exceptions.RayError as error:
            if asked != "rows":  # what else it was asked fails too
                yield from self._lose(worker, error)
            return
        if isinstance(said, dict):
            yield Failed(worker, said)
        elif asked == "open":
            worker.hello, self._deaths_at_opening = said, 0
            yield Ready(worker, said)
        elif asked == "score":
            place, worker.place, worker.rows = worker.place, None, 0
            yield Done(worker, place or 0, said)
        elif worker.place is not None:
            worker.rows, worker.asked_at = said, time.monotonic()

    def _lose(self, worker: Worker, error: Exception) -> Iterator[Event]:
        failures = self._ray.exceptions
        if isinstance(error, failures.RayTaskError) or getattr(error, "actor_init_failed", False):
            raise WorkerError(
                f"a worker cannot be started: {_last_line(error)}; is the same driftgate installed on every machine?"
            ) from error
        self.workers.remove(worker)
        self._waiting = {ref: asked for ref, asked in self._waiting.items() if asked[1] is not worker}
        self._ray.kill(worker.actor)  # it may be there although it cannot be reached, and must not go on for ever
        self.look()
        died = not isinstance(error, failures.ActorUnavailableError)
        if worker.hello is None:
            self._count_opening(worker, error, died=died)
        else:
            yield Lost(worker, died, _last_line(error))

    def _count_opening(self, worker: Worker, error: Exception, *, died: bool) -> None:
        """It never had a shard. Ray puts workers on a machine that is gone until it notices, which is no fault of theirs."""
        if died and worker.nodes <= self.living.keys():
            self._deaths_at_opening += 1
        if self._deaths_at_opening >= DEATHS_BEFORE_GIVING_UP:
            raise WorkerError(
                f"{DEATHS_BEFORE_GIVING_UP} workers ended one after the other before they had loaded the model; is there enough "
                f"memory? Use fewer workers on a machine, with {option('cpus_per_worker')}. Ray says: {_last_line(error)}"
            ) from error


def _last_line(error: BaseException) -> str:
    """The error itself: a stack comes before it."""
    line = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
    return shorten(line, _SHOWN_CHARACTERS)
