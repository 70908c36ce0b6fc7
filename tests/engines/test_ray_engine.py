"""What the engine does with what Ray tells it; a Ray of one process tells it here."""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_ray import ActorDiedError, ActorUnavailableError, FakeRay, RayError, RayTaskError
from letter_counter import open_double
from ray_jobs import Heard, RayJob, make_job

from driftgate.engines import ray_engine, shard_queue
from driftgate.engines.orders import Hello, Order, read_versions
from driftgate.engines.proof import Proof
from driftgate.engines.ray_cluster import RaySettings
from driftgate.engines.shard_worker import ShardWorker
from driftgate.errors import CorpusError, DriftgateError, OptionError, WorkerError
from driftgate.files import locked
from driftgate.predict.shards.seal import files_of, read_seal

NEW = {"cpu": "new one", "instruction_sets": ["avx2", "avx512_vnni"]}
OLD = {"cpu": "old one", "instruction_sets": ["avx2"]}
INT8 = Proof("", "int8-rowwise")


class Scripted(ShardWorker):
    """A worker on a machine, which dies as it is told."""

    def __init__(self, order: Order, node: str = "a", *, machine: dict[str, Any] | None = None) -> None:
        super().__init__(order)
        self.node, self.machine = node, machine
        self.before_opening: Callable[[], None] = lambda: None
        self.before_scoring: Callable[[int], None] = lambda place: None

    def open(self, node: str = "") -> Hello | dict[str, Any]:
        self.before_opening()
        hello = super().open(self.node)
        return replace(hello, machine=self.machine) if self.machine and isinstance(hello, Hello) else hello

    def score(self, place: int) -> Any:
        self.before_scoring(place)
        return super().score(place)


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RayJob:
    monkeypatch.chdir(tmp_path)
    # What a worker sets for its whole process.
    for name in ("PYTHONPATH", "PYTHONSAFEPATH", "OMP_NUM_THREADS", "RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, "1")
    return make_job(tmp_path, 3000, 600, open_model=open_double)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def score(job: RayJob, ray: FakeRay, order: Order | None = None, settings: RaySettings | None = None) -> Any:
        from contextlib import nullcontext

        monkeypatch.setattr(ray_engine, "connected", lambda settings: nullcontext(ray))
        heard = Heard()
        every = range(len(job.plan.shards))
        found = ray_engine.score_on_ray(
            order or job.order(), job.plan, every, settings or RaySettings(), progress=heard
        )
        return found, heard

    return score


def two(make: Callable[[int, Order], Any] = lambda number, order: Scripted(order, "ab"[number % 2])) -> FakeRay:
    return FakeRay(make, {"head": 0.0, "a": 1.0, "b": 1.0})


def test_shards_are_those_of_one_process_and_each_is_scored_once(job: RayJob, run: Any) -> None:
    ray = two()
    found, heard = run(job, ray)
    assert job.merged() == job.alone()
    assert (found.done.scored, found.done.rows, found.lost, len(ray.actors)) == (3, 3000, 0, 2)
    assert all(actor.killed for actor in ray.actors)
    assert [said.partition(":")[0] for said in heard.messages] == [shard.output for shard in job.plan.shards]
    assert heard.updates[-1][0] == 3000
    assert heard.updates[-1][2] == 1.0


def test_what_is_whole_is_not_scored_again(job: RayJob, run: Any) -> None:
    run(job, two())
    found, _ = run(job, two())
    assert (found.done.scored, found.done.whole, found.done.rows) == (0, 3, 0)
    assert found.line == "0 rows in 0 shards scored, 3 shards were whole before"


def test_as_many_workers_are_asked_for_as_fit_or_as_the_user_says(job: RayJob, run: Any) -> None:
    def counted(machines: dict[str, float], settings: RaySettings) -> int:
        for path in job.plan_path.parent.glob("shard-*"):
            path.unlink()
        ray = FakeRay(lambda number, order: Scripted(order), machines)
        run(job, ray, settings=settings)
        assert ray.options["num_cpus"] == settings.cpus_per_worker
        return len(ray.actors)

    assert counted({"a": 2.0}, RaySettings()) == 2
    assert counted({"a": 5.0, "b": 3.0}, RaySettings(cpus_per_worker=4)) == 1
    assert counted({"a": 64.0}, RaySettings()) == 3  # no more than shards
    assert counted({"a": 64.0}, RaySettings(workers=2)) == 2
    with pytest.raises(OptionError, match="no machine of the cluster has as many; the largest has 5"):
        counted({"a": 5.0, "b": 3.0}, RaySettings(cpus_per_worker=8))


def test_three_workers_that_die_of_a_shard_end_the_job_with_its_rows(job: RayJob, run: Any) -> None:
    deaths = []

    def make(number: int, order: Order) -> Any:
        worker = Scripted(order)

        def die(place: int) -> None:
            if place == 1:
                deaths.append(place)
                raise ActorDiedError("its process has died")

        worker.before_scoring = die
        return worker

    rows = r"shard 2 \(shard-00001.csv, rows 1,024 to 2,047 of all, from .*in.txt\) ended its worker time and again"
    with pytest.raises(WorkerError, match=rows):
        run(job, FakeRay(make, {"a": 1.0}))
    assert len(deaths) == 3
    assert read_seal(files_of(job.plan_path, job.plan.shards[0])) is not None


def test_lost_machines_are_no_attempts_of_the_shard_and_nothing_is_lost_or_doubled(job: RayJob, run: Any) -> None:
    ray = FakeRay(lambda number, order: order, {f"node {number}": 1.0 for number in range(9)})

    def make(number: int, order: Order) -> Any:
        node = f"node {number}"
        worker = Scripted(order, node)

        def vanish(place: int) -> None:
            if number < 6:
                ray.gone.add(node)
                raise (ActorDiedError, ActorUnavailableError)[number % 2]("its machine has died")

        worker.before_scoring = vanish
        return worker

    ray.make = make
    found, heard = run(job, ray, settings=RaySettings(workers=1))
    assert job.merged() == job.alone()
    assert (found.lost, found.done.scored) == (6, 3)
    assert sum("was lost with its machine; it is given out again" in said for said in heard.messages) == 6


def test_a_worker_that_is_put_on_a_machine_that_was_just_lost_counts_for_nothing(job: RayJob, run: Any) -> None:
    """Ray takes some 15 seconds to notice that a machine is gone, and puts workers there until then."""
    ray = two()

    def make(number: int, order: Order) -> Any:
        worker = Scripted(order, "b")
        if number == 0:
            worker = Scripted(order, "a")

            def vanish(place: int) -> None:
                raise ActorUnavailableError("socket closed")

            worker.before_scoring = vanish
        elif number <= 8:

            def never_ran() -> None:
                ray.machines[f"another {number}"] = 0.0  # and so one more is known to be gone each time
                ray.gone.update({"a", f"another {number - 1}"})
                raise ActorDiedError("the actor never ran")

            worker.before_opening = never_ran
        return worker

    ray.make = make
    ray.machines["another 0"] = 0.0
    found, _ = run(job, ray, settings=RaySettings(workers=1))
    assert job.merged() == job.alone()
    assert (found.lost, len(ray.actors)) == (1, 10)


def test_three_workers_that_die_before_they_are_ready_end_the_job(job: RayJob, run: Any) -> None:
    def make(number: int, order: Order) -> Any:
        worker = Scripted(order)

        def die() -> None:
            raise ActorDiedError("its process has died")

        worker.before_opening = die
        return worker

    ray = FakeRay(make, {"a": 1.0})
    with pytest.raises(WorkerError, match="3 workers ended one after the other before they had loaded the model"):
        run(job, ray)
    assert len(ray.actors) == 3


def test_a_worker_that_cannot_even_be_imported_is_said_at_once(job: RayJob, run: Any) -> None:
    def make(number: int, order: Order) -> Any:
        worker = Scripted(order)

        def fail() -> None:
            raise RayTaskError("Traceback\n  File x\nModuleNotFoundError: No module named 'driftgate'\n")

        worker.before_opening = fail
        return worker

    with pytest.raises(WorkerError, match="No module named 'driftgate'; is the same driftgate installed on every"):
        run(job, two(make))


def test_what_a_worker_meets_ends_the_job_with_its_kind_and_the_machine(job: RayJob, run: Any) -> None:
    job.source.write_text(job.source.read_text(encoding="utf-8").replace(" 1500\n", " 1501\n"), encoding="utf-8")
    with pytest.raises(CorpusError, match=f"shard-00001.csv, on {socket.gethostname()}: .*has changed since"):
        run(job, two())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"versions": {**read_versions("double"), "onnxruntime": "0.1"}},
            "other versions .*: onnxruntime was 0.1, is ",
        ),
        ({"plan": "0" * 64}, "another plan is there than where the job was started"),
        ({"proof": Proof("f" * 64)}, r"double: it has other bytes here \(sha256 sha-of-doubl"),
        ({"plan_path": "/nowhere/plan.json"}, "expected a plan that `driftgate shard` wrote"),
        ({"threads": 100_000}, "threads 100000: expected"),
    ],
)
def test_a_worker_that_is_told_another_model_plan_or_version_is_refused(
    change: dict[str, Any], message: str, job: RayJob, run: Any
) -> None:
    with pytest.raises(DriftgateError, match=message):
        run(job, two(), replace(job.order(), **change))
    assert not list(job.plan_path.parent.glob("shard-*"))


def mixed(first: dict[str, Any], second: dict[str, Any]) -> FakeRay:
    return two(lambda number, order: Scripted(order, "ab"[number % 2], machine=(first, second)[number % 2]))


def test_int8_is_scored_on_machines_of_one_kind(job: RayJob, run: Any) -> None:
    found, heard = run(job, mixed(NEW, OLD), job.order(INT8))
    assert (found.done.scored, found.workers) == (3, 1)
    assert any("gets no shards: old one without avx512_vnni, where new one scored" in said for said in heard.messages)


@pytest.mark.parametrize(("proof", "mixed_machines"), [(INT8, True), (Proof("", "fp32"), False)])
def test_other_kinds_get_shards_where_that_is_allowed_or_does_not_matter(
    proof: Proof, mixed_machines: bool, job: RayJob, run: Any
) -> None:
    found, _ = run(job, mixed(NEW, OLD), job.order(proof, mixed_machines=mixed_machines))
    assert found.workers == 2


def test_int8_goes_on_where_the_plan_was_begun_or_not_at_all(job: RayJob, run: Any) -> None:
    run(job, mixed(NEW, NEW), job.order(INT8))
    here = read_seal(files_of(job.plan_path, job.plan.shards[0]))
    assert here is not None
    Path(str(files_of(job.plan_path, job.plan.shards[2]))).unlink()
    other = {"cpu": "another", "instruction_sets": ["asimd"]}
    with pytest.raises(OptionError, match=r"no machine of the cluster is of the kind .*mixed_machines"):
        run(job, mixed(other, other), job.order(INT8))
    same = {"cpu": "another name", "instruction_sets": list(here.machine["instruction_sets"])}
    assert run(job, mixed(other, same), job.order(INT8))[0].done.scored == 1


def test_a_shard_that_another_process_holds_is_left_alone_and_said(
    job: RayJob, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_queue, "_PATIENCE_SECONDS", 0.5)
    with locked(Path(f"{files_of(job.plan_path, job.plan.shards[0])}.shard.lock")):
        found, _ = run(job, two())
    assert (found.done.scored, found.done.held) == (2, 1)


def test_a_cluster_that_fails_is_one_line(job: RayJob, run: Any) -> None:
    ray = two()

    def fail(*_: Any, **__: Any) -> Any:
        raise RayError("the head cannot be reached\nlogs: ...")

    ray.wait = fail  # type: ignore[method-assign]
    with pytest.raises(
        WorkerError, match=r"^the Ray cluster failed: the head cannot be reached; finished shards are kept$"
    ):
        run(job, ray)
    assert all(actor.killed for actor in ray.actors)
