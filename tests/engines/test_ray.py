"""A real Ray on this machine: the bytes of one process, whatever dies meanwhile. `tox -e ray` runs it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dying_counter import open_and_die, open_dying
from ray_jobs import Heard, RayJob, add_machine, make_job, scoring, two_machines, workers_of
from running_processes import processes_of, wait_until

from driftgate.engines.ray_cluster import RaySettings, connected
from driftgate.errors import WorkerError
from driftgate.predict.shards.seal import files_of, find_fault

pytest.importorskip("ray", reason="Ray is not installed; tox -e ray runs these tests in an environment that has it")

SCRIPT = Path(sys.executable).with_name("driftgate")
SUPPORT = Path(__file__).parents[1] / "support"
ROWS = 9000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A head and two machines of one CPU, on which workers can import the doubles of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SUPPORT))
        patch.setenv("PYTHONSAFEPATH", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        with two_machines() as found:
            yield found


@pytest.fixture
def settings(cluster: Any) -> RaySettings:
    return RaySettings(cluster.address)


def whole(job: RayJob) -> list[int]:
    return [
        place
        for place, shard in enumerate(job.plan.shards)
        if not find_fault(files_of(job.plan_path, shard), job.plan, place)
    ]


@pytest.mark.parametrize("graceful", [False, True], ids=["killed", "drained"])
def test_a_machine_that_is_lost_in_the_middle_of_a_shard_loses_and_doubles_nothing(
    graceful: bool, cluster: Any, settings: RaySettings, tmp_path: Path
) -> None:
    job = make_job(tmp_path, 40_000, 4000)
    heard = Heard()

    with scoring(job, settings, heard) as found_later:
        wait_until(lambda: job.under_way() == 2 or found_later.done())  # one on each machine
        cluster.remove_node(workers_of(cluster)[0], allow_graceful=graceful)
        add_machine(cluster)
        found = found_later.result()
    assert job.merged() == job.alone()
    assert found.done.rows == 40_000
    assert (found.done.scored, found.done.held) == (len(job.plan.shards), 0)
    assert found.lost >= 1
    lost = next(said for said in heard.messages if "it is given out again" in said)
    assert "was lost with its machine" in lost or "cannot be reached" in lost


def test_a_worker_that_is_killed_once_costs_only_its_window(settings: RaySettings, tmp_path: Path) -> None:
    texts = [f"text number {row}" for row in range(ROWS)]
    texts[5000] = f"die {tmp_path / 'deaths'} 1"
    job = make_job(tmp_path, ROWS, 3000, open_model=open_dying, texts=texts)
    found = job.score(settings)
    assert (found.lost, found.done.rows) == (1, ROWS)
    assert (tmp_path / "deaths").stat().st_size == 2
    texts[5000] = f"die {tmp_path / 'deaths'} 0"
    assert job.merged() == job.alone()


def test_a_shard_that_kills_three_workers_ends_the_job_and_the_others_are_kept(
    settings: RaySettings, tmp_path: Path
) -> None:
    texts = [f"text number {row}" for row in range(ROWS)]
    texts[5000] = f"die {tmp_path / 'deaths'} 99"
    job = make_job(tmp_path, ROWS, 3000, open_model=open_dying, texts=texts)
    with pytest.raises(WorkerError, match=r"shard 2 \(shard-00001.csv, rows 3,072 to 6,143 of all, .*is there enough"):
        job.score(settings)
    assert (tmp_path / "deaths").stat().st_size == 3
    assert 0 in whole(job)
    assert 1 not in whole(job)


def test_a_model_that_kills_every_worker_is_not_loaded_for_ever(settings: RaySettings, tmp_path: Path) -> None:
    job = make_job(tmp_path, ROWS, 3000, open_model=open_and_die)
    with pytest.raises(WorkerError, match="3 workers ended one after the other before they had loaded the model"):
        job.score(settings)


def test_a_ray_that_is_connected_already_is_used_and_stays(
    cluster: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = make_job(tmp_path, 3000, 1000)
    with connected(RaySettings(cluster.address)) as ray:
        assert job.score(RaySettings()).done.rows == 3000
        assert ray.is_initialized()
    assert not ray.is_initialized()
    assert capsys.readouterr().out == ""
    assert job.merged() == job.alone()


def test_a_cluster_that_is_not_there_is_one_line() -> None:
    with (
        pytest.raises(WorkerError, match=r"^no Ray cluster can be reached at 127\.0\.0\.1:9: [^\n]*$"),
        connected(RaySettings("127.0.0.1:9")),
    ):
        pass


# The command, which starts a Ray of its own on this machine.

TRAP = "from pathlib import Path\nPath({marker!r}).touch()\nraise SystemExit('a planted file was imported')\n"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, shared_cache: Path) -> Start:
    """The command in the foreground, in a folder where somebody has put Python files."""
    for name in (
        "numpy",
        "torch",
        "onnxruntime",
        "transformers",
        "json",
        "psutil",
        "cpuinfo",
        "sitecustomize",
        "usercustomize",
    ):
        (tmp_path / f"{name}.py").write_text(TRAP.format(marker=str(tmp_path / "imported")), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}

    def start(*arguments: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-P", str(SCRIPT), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**environment, "DRIFTGATE_CACHE": str(shared_cache), "COLUMNS": "200"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - one thread
        )

    return start


def finish(process: "subprocess.Popen[str]") -> str:
    printed, said = process.communicate()
    assert process.returncode == 0, said
    assert printed == ""
    return said


def write_rows(folder: Path, rows: int) -> None:
    lines = (json.dumps({"text": f"thank you for number {row}" if row % 50 else ""}) for row in range(rows))
    (folder / "in.jsonl").write_text("\n".join(lines), encoding="utf-8")


def test_the_command_writes_what_one_process_writes_and_imports_nothing_that_lies_around(
    tiny_encoder: Path, start: Start, tmp_path: Path
) -> None:
    write_rows(tmp_path, 7000)
    finish(start("shard", "in.jsonl", "--rows", 2000, "--out", "plan.json"))
    model = ("predict", tiny_encoder, "--backend=onnx-int8")
    process = start(*model, "--plan=plan.json", "--engine=ray", "--workers=2")
    wait_until(lambda: process.poll() is not None or list(tmp_path.glob("shard-*")), 120)
    started = [pid for pid in processes_of("raylet") if _descends_from(pid, process.pid)]
    usage = [_environment_of(pid).get("RAY_USAGE_STATS_ENABLED") for pid in started]
    said = finish(process)
    assert not (tmp_path / "imported").exists()
    assert usage
    assert set(usage) == {"0"}
    assert "7,000 rows in 4 shards scored by 2 workers on" in said
    assert "(raylet)" not in said
    finish(start("merge", "plan.json", "--out", "merged.csv"))
    finish(start(*model, "--input=in.jsonl", "--output=alone.csv"))
    for name in ("", ".rejects.jsonl"):
        assert (tmp_path / f"merged.csv{name}").read_bytes() == (tmp_path / f"alone.csv{name}").read_bytes()
    seal = json.loads((tmp_path / "shard-00003.csv.seal.json").read_text(encoding="utf-8"))
    assert seal["precision"] == "int8-rowwise"
    assert seal["machine"]["instruction_sets"]


def test_an_interrupt_leaves_finished_shards_and_no_process_and_the_same_command_goes_on(
    tiny_encoder: Path, start: Start, tmp_path: Path
) -> None:
    write_rows(tmp_path, 60_000)
    finish(start("shard", "in.jsonl", "--rows", 2000, "--out", "plan.json"))
    command = ("predict", tiny_encoder, "--backend=onnx-fp32", "--plan=plan.json", "--engine=ray")
    process = start(*command)
    wait_until(lambda: process.poll() is not None or finished(tmp_path) > 2, 120)
    started = [pid for pid in processes_of("ray") if _descends_from(pid, process.pid)]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "interrupted; what was written is kept" in said
    assert started
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), 30)
    done = finished(tmp_path)
    assert 2 < done < 30
    said = finish(start(*command))
    assert f"{done:,} shards were whole before" in said
    assert "60,000 rows of" in finish(start("merge", "plan.json", "--out", "merged.csv"))
    assert not list(tmp_path.glob("*.lock"))


def finished(folder: Path) -> int:
    """How many shards are sealed; a seal without a digest says that one has begun."""
    seals = (json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.seal.json"))
    return sum(seal["output"] is not None for seal in seals)


def _descends_from(pid: int, parent: int) -> bool:
    while pid > 1:
        if pid == parent:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


def _environment_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_text(encoding="utf-8").split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)
