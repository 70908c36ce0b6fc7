"""How many processes are chosen for a file, and that the choice changes no byte."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import letter_counter
import pytest
from letter_counter import DOUBLE, open_double
from sleeping_counter import open_sleeper, open_slow_in_crews
from worker_jobs import make_job, some_texts, write_input

from driftgate.errors import WorkerError
from driftgate.predict.job import run_job
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.progress import Silent
from driftgate.predict.workers import crew, trial
from driftgate.predict.workers.trial import crews_to_try
from driftgate.run.device import Device, RunSettings


class Heard(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(autouse=True)
def short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(letter_counter.__file__).parent))
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr(trial, "available_threads", lambda: 4)
    monkeypatch.setattr("driftgate.predict.prediction_job.available_threads", lambda: 4)
    monkeypatch.setattr(trial, "TURN_SECONDS", 0.2)
    monkeypatch.setattr(trial, "WORTH_A_TRIAL", 0.0)


def job_of(tmp_path: Path, name: str, workers: int, rows: int = 1500) -> PredictionJob:
    source = write_input(tmp_path / "in.jsonl", some_texts(rows))
    return replace(make_job(source, tmp_path / name, workers, window_rows=256), settings=None)


def test_the_faster_processes_are_kept_and_the_bytes_are_the_same(tmp_path: Path) -> None:
    run_job(job_of(tmp_path, "alone.csv", 1), open_model=open_double)
    heard = Heard()
    run_job(job_of(tmp_path, "auto.csv", 0), progress=heard, open_model=open_sleeper)
    assert heard.said[0].startswith("2 processes of 2 threads: ")
    assert heard.said[-1].startswith("4 processes of 1 threads: ")
    assert (tmp_path / "auto.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()


def test_slower_processes_are_ended_and_one_process_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "crews_to_try", lambda job: [(2, 1), (4, 1)])
    closed: list[int] = []
    whole = crew.Crew.close
    monkeypatch.setattr(crew.Crew, "close", lambda self: (closed.append(1), whole(self))[1])
    heard = Heard()
    run_job(job_of(tmp_path, "alone.csv", 1), open_model=open_double)
    run_job(job_of(tmp_path, "auto.csv", 0), progress=heard, open_model=open_slow_in_crews)
    assert (closed, heard.said) == ([1], []), "the second one, with more processes, is not tried"
    assert (tmp_path / "auto.csv").read_bytes() == (tmp_path / "alone.csv").read_bytes()


def test_processes_that_cannot_be_had_are_said_and_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise WorkerError("a worker process ended 3 times before it had loaded the model")

    monkeypatch.setattr("driftgate.predict.workers.started_host.Host.connect", refuse)
    heard = Heard()
    summary = run_job(job_of(tmp_path, "auto.csv", 0), progress=heard, open_model=open_double)
    assert summary.counts.rows == 1500
    assert heard.said == ["2 processes are not used: a worker process ended 3 times before it had loaded the model"]


@pytest.mark.parametrize("rows", [1, 200])
def test_a_file_of_one_window_starts_no_process(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew.Crew, "__init__", None)
    assert run_job(job_of(tmp_path, "auto.csv", 0, rows), open_model=open_double).counts.rows == rows


def test_a_job_that_ends_soon_starts_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew.Crew, "__init__", None)
    monkeypatch.setattr(trial, "WORTH_A_TRIAL", 1e6)
    assert run_job(job_of(tmp_path, "auto.csv", 0), open_model=open_double).counts.rows == 1500


@pytest.mark.parametrize(
    ("backend", "threads", "device", "expected"),
    [
        ("onnx-int8", 0, "cpu", [(2, 2), (4, 1)]),
        ("onnx-int8", 1, "cpu", [(2, 1), (4, 1)]),
        ("onnx-int8", 2, "cpu", [(2, 2)]),
        ("onnx-int8", 4, "cpu", []),
        ("onnx-int8", 1, "cuda", []),
        ("torch", 0, "cpu", []),
        ("torch", 1, "cpu", [(2, 1), (4, 1)]),
    ],
)
def test_processes_double_and_cores_are_shared_among_them(
    backend: str, threads: int, device: str, expected: list[tuple[int, int]], tmp_path: Path
) -> None:
    settings = RunSettings(threads, Device(device)) if threads else None
    job = PredictionJob(DOUBLE, backend, "in.csv", str(tmp_path / "out.csv"), settings, workers=0)
    assert crews_to_try(job) == expected
