"""Score the shards of a plan by actors of Ray.

Ray starts processes and says when they are gone. That each row is scored once is the affair of the shards, as without Ray. A
worker has one shard at a time: the next one reaches it within milliseconds, and it is always known which shard a lost one had.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, assert_never

from driftgate.edges.spelling import option
from driftgate.engines.orders import Order
from driftgate.engines.ray_cluster import RaySettings, connected, first_line
from driftgate.engines.ray_crew import Done, Event, Failed, Lost, RayCrew, Ready
from driftgate.engines.shard_queue import ShardQueue
from driftgate.errors import WorkerError
from driftgate.predict.progress import Silent, Watcher
from driftgate.predict.shards.machines import describe_difference, find_first, needs_one_kind
from driftgate.predict.shards.plan import Plan
from driftgate.predict.shards.score import ShardsDone
from driftgate.predict.workers.started_host import raised

_SILENCE_SECONDS = 30.0
_NAMED_HOSTS = 3


@dataclass(frozen=True, slots=True)
class Finished:
    """What was done.

    Args:
        done: shards scored, found whole, and left to other processes.
        lost: attempts whose worker was lost; their shards were given out again.
        workers: that scored something. `hosts`: their machines.
        seconds: from the first worker that was ready to the end.
    """

    done: ShardsDone
    lost: int
    workers: int
    hosts: tuple[str, ...]
    seconds: float

    @property
    def line(self) -> str:
        """To print."""
        done = self.done
        more = f" and {len(self.hosts) - _NAMED_HOSTS:,} more" if len(self.hosts) > _NAMED_HOSTS else ""
        by = f" by {self.workers:,} workers on {', '.join(self.hosts[:_NAMED_HOSTS])}{more}" if self.workers else ""
        rate = f" at {done.rows / max(self.seconds, 1e-9):,.0f} rows/s" if done.rows else ""
        lost = f", {self.lost:,} attempts were lost with their workers" if self.lost else ""
        return f"{done.rows:,} rows in {done.scored:,} shards scored{by}{rate}, {done.whole:,} shards were whole before{lost}"


def score_on_ray(
    order: Order, plan: Plan, places: Sequence[int], settings: RaySettings, *, progress: Watcher | None = None
) -> Finished:
    """Score those shards of the plan that are not whole yet, by as many workers as Ray can place.

    Raises:
        OptionError: Ray is not installed; no machine has the CPUs, or none is of the kind that scored the plan's first shard.
        WorkerError: the cluster cannot be reached; a shard, or loading the model, ended its worker time and again.
        DriftgateError: what a worker met, with its machine. KeyboardInterrupt: finished shards are kept.
    """
    with connected(settings) as ray:
        try:
            crew = RayCrew(ray, order, settings)
            try:
                return _Run(crew, order, plan, places, progress or Silent()).run()
            finally:
                crew.close()
        except ray.exceptions.RayError as error:  # of workers they are events
            raise WorkerError(f"the Ray cluster failed: {first_line(error)}; finished shards are kept") from error


class _Run:
    def __init__(self, crew: RayCrew, order: Order, plan: Plan, places: Sequence[int], progress: Watcher) -> None:
        self._crew, self._order, self._plan, self._progress = crew, order, plan, progress
        self._queue = ShardQueue(places)
        self._rows_in_all = sum(plan.shards[place].part.rows for place in places)
        self._done = ShardsDone(0, 0, 0, 0)
        self._rows_before = 0
        self._workers: dict[tuple[str, int], str] = {}  # hosts by machine and process
        self._spoke_at = time.monotonic()
        self._started_at: float | None = None
        self._kind = self._find_kind()

    def run(self) -> Finished:
        while self._queue.open:
            self._crew.hire(self._queue.open)
            for worker in self._crew.workers:
                if worker.is_free and (place := self._queue.take()) is not None:
                    self._crew.give(worker, place)
            for event in self._crew.events():
                self._react(event)
            self._show()
        return Finished(
            replace(self._done, held=len(self._queue.left_alone)),
            self._queue.losses,
            len(self._workers),
            tuple(sorted(set(self._workers.values()))),
            self._seconds,
        )

    @property
    def _seconds(self) -> float:
        """Since the first worker was ready."""
        return 0.0 if self._started_at is None else time.monotonic() - self._started_at

    def _find_kind(self) -> Mapping[str, Any] | None:
        """The machine that scored the plan's first shard, empty for none yet; None where it does not matter."""
        if self._order.mixed_machines or not needs_one_kind(self._order.proof.precision):
            return None
        found = find_first(self._order.plan_path, self._plan)
        return found[1].machine if found else {}

    def _react(self, event: Event) -> None:
        match event:
            case Ready():
                self._welcome(event)
            case Done():
                self._end(event)
            case Lost():
                self._lose(event)
            case Failed(worker, said):
                shard = "" if worker.place is None else f"{self._plan.shards[worker.place].output}, "
                raise raised({**said, "message": f"{shard}on {said['host']}: {said['message']}"})
            case _:
                assert_never(event)

    def _welcome(self, event: Ready) -> None:
        hello = event.hello
        self._started_at = self._started_at or time.monotonic()
        if self._kind is None:
            return
        self._kind = self._kind or hello.machine
        if difference := describe_difference(self._kind, hello.machine):
            event.worker.idle = True  # it keeps its place: another worker would be put there again
            self._progress.say(
                f"{hello.host} gets no shards: {difference} the plan's first shard; {option('mixed_machines', True)} allows it"
            )

    def _end(self, event: Done) -> None:
        done, hello, shard = event.done, event.worker.hello, self._plan.shards[event.place]
        if done.held:
            self._queue.hold(event.place)
            return
        self._queue.end(event.place)
        before = self._done
        self._done = ShardsDone(before.scored + done.scored, before.whole + done.whole, 0, before.rows + done.rows)
        if done.whole:
            self._rows_before += shard.part.rows
        elif hello:
            self._workers[hello.node, hello.process] = hello.host
            self._progress.say(f"{shard.output}: {done.rows:,} rows, on {hello.host}")

    def _lose(self, event: Lost) -> None:
        worker, living = event.worker, self._crew.living
        if worker.place is None or worker.hello is None:
            return
        shard, hello = self._plan.shards[worker.place], worker.hello
        self._queue.lose(worker.place, hello.node, process_died=event.process_died)
        if self._queue.is_given_up(worker.place, living):
            first, rows = shard.part.first_row, shard.part.rows
            raise WorkerError(
                f"shard {worker.place + 1} ({shard.output}, rows {first:,} to {first + rows - 1:,} of all, from {shard.input}) "
                "ended its worker time and again; is there enough memory for them? What was done before is kept. Ray says: "
                f"{event.why}"
            )
        stayed = "ended" if event.process_died else "cannot be reached"
        how = stayed if hello.node in living else "was lost with its machine"
        self._progress.say(f"{shard.output}: its worker on {hello.host} {how}; it is given out again")

    def _show(self) -> None:
        now, under_way = time.monotonic(), sum(worker.rows for worker in self._crew.workers)
        if self._started_at is None:
            if now - self._spoke_at >= _SILENCE_SECONDS:
                self._spoke_at = now
                self._progress.say(
                    f"no worker is ready yet; the cluster has room for {self._crew.room:,}, if nobody else uses it"
                )
            return
        done = self._rows_before + self._done.rows + under_way
        rate = (self._done.rows + under_way) / max(self._seconds, 1e-9)
        left = (self._rows_in_all - done) / rate if rate else None
        self._progress.update(done, rate, min(done / self._rows_in_all, 1.0), left)
