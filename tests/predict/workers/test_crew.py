"""Worker processes: the same bytes for any number of them, and whoever dies is replaced."""

import json
import multiprocessing
import os
import random
import signal
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import letter_counter
import pytest
from dying_counter import open_and_die, open_dying, open_nothing
from letter_counter import DOUBLE, answer_for_ever, open_double, open_for_ever, slow_double
from running_processes import processes_of as running
from running_processes import wait_until
from worker_jobs import make_job, some_texts, write_input

from driftgate.errors import NonFiniteLogitsError, OptionError, WorkerError
from driftgate.predict.job import run_job
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.progress import Silent
from driftgate.predict.team import OpenModel
from driftgate.predict.workers import crew, started_host
from driftgate.predict.workers.crew import Crew
from driftgate.predict.workers.frames import decode_encoder, encode_encoder
from driftgate.predict.workers.started_host import Opening
from driftgate.run.device import Device, RunSettings

FORMATS = ("csv", "jsonl.gz", "parquet")


@pytest.fixture(autouse=True)
def several_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubles are found by the processes, and three workers are allowed on a machine of any size."""
    monkeypatch.setenv("PYTHONPATH", str(Path(letter_counter.__file__).parent))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


def processes_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with the number of each worker's process, as it comes."""
    found: list[int] = []
    whole = Crew.__init__
    monkeypatch.setattr(Crew, "__init__", lambda self, opening, workers: whole(self, opening, workers, found.append))
    return found


def has_ended(process: int) -> bool:
    for _ in range(200):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize("form", FORMATS)
def test_the_output_has_the_same_bytes_for_any_number_of_workers(form: str, tmp_path: Path) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    source = write_input(tmp_path / "in.jsonl", some_texts(1000))
    for workers in (1, 2, 3):
        summary = run_job(make_job(source, tmp_path / f"{workers}.{form}", workers), open_model=open_double)
        assert (summary.counts.rows, summary.counts.all_rejected) == (1000, 11)
    first, *others = ((tmp_path / f"{workers}.{form}").read_bytes() for workers in (1, 2, 3))
    assert all(other == first for other in others)


def test_workers_that_are_killed_again_and_again_lose_and_double_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_input(tmp_path / "in.jsonl", some_texts(6000))
    run_job(make_job(source, tmp_path / "whole.csv", 1), open_model=open_double)
    processes, killed, ended = processes_of(monkeypatch), set(), threading.Event()
    # On a busy machine the same window can be hit several times in a row, which is another test's claim.
    monkeypatch.setattr(crew, "DEATHS_BEFORE_GIVING_UP", 1000)
    draw = random.Random(0)  # noqa: S311

    def kill() -> None:
        while not ended.wait(draw.uniform(0.01, 0.05)) and len(killed) < 20:
            if processes and processes[-1] not in killed:
                killed.add(processes[-1])
                os.kill(processes[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        run_job(make_job(source, tmp_path / "killed.csv", 2), open_model=slow_double)
    finally:
        ended.set()
        thread.join()
    assert len(killed) >= 5
    assert (tmp_path / "killed.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert all(has_ended(process) for process in processes)


def test_a_window_that_kills_two_workers_is_answered_by_the_third(tmp_path: Path) -> None:
    texts = [*some_texts(200), f"die {tmp_path / 'deaths'} 2"]
    source = write_input(tmp_path / "in.jsonl", texts)
    assert run_job(make_job(source, tmp_path / "out.csv", 2), open_model=open_dying).counts.rows == 201


def test_a_window_that_kills_three_workers_ends_the_job_with_its_rows_and_a_resumed_one_goes_on(tmp_path: Path) -> None:
    texts = [*some_texts(320), f"die {tmp_path / 'deaths'} 3", *some_texts(320)]
    source = write_input(tmp_path / "in.jsonl", texts)
    with pytest.raises(WorkerError, match=r"rows 320 to 351 of the input.* ended 3 worker processes"):
        run_job(make_job(source, tmp_path / "out.csv", 2), open_model=open_dying)
    journal = json.loads((tmp_path / "out.csv.journal.json").read_text(encoding="utf-8"))
    assert journal["counts"]["rows"] == 320
    summary = run_job(make_job(source, tmp_path / "out.csv", 2, resume=True), open_model=open_dying)
    assert (summary.counts.rows, summary.resumed_rows) == (641, 320)


def test_what_a_worker_meets_is_raised_as_it_is(tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.jsonl", ["fine", "fail"])
    with pytest.raises(NonFiniteLogitsError, match="a row failed"):
        run_job(make_job(source, tmp_path / "out.csv", 2), open_model=open_dying)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_model_that_does_not_load_is_refused_as_in_one_process(threads: int, tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.jsonl", ["fine"])
    job = replace(make_job(source, tmp_path / "out.csv", 2), settings=RunSettings(threads))
    with pytest.raises(NonFiniteLogitsError, match="it does not load"):
        run_job(job, open_model=open_nothing)


@pytest.mark.parametrize("threads", [1, 2])
def test_workers_that_die_while_they_load_the_model_are_not_started_for_ever(threads: int, tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.jsonl", ["fine"])
    job = replace(make_job(source, tmp_path / "out.csv", 2), settings=RunSettings(threads))
    with pytest.raises(WorkerError, match="ended 3 times before it had loaded the model"):
        run_job(job, open_model=open_and_die)


def test_ctrl_c_ends_every_process_and_keeps_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(Silent):
        def update(self, rows: int, *rest: Any) -> None:
            if rows >= 320:
                raise KeyboardInterrupt

    source = write_input(tmp_path / "in.jsonl", some_texts(3000))
    processes = processes_of(monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run_job(make_job(source, tmp_path / "out.csv", 2), progress=Impatient(), open_model=open_double)
    assert len(processes) == 2
    assert all(has_ended(process) for process in processes)
    run_job(make_job(source, tmp_path / "out.csv", 3, resume=True), open_model=open_double)
    run_job(make_job(source, tmp_path / "whole.csv", 1), open_model=open_double)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked for in /proc")
@pytest.mark.parametrize(
    ("opener", "threads", "started"),
    [
        pytest.param(open_for_ever, 1, 1, id="loads-once"),
        pytest.param(open_for_ever, 2, 2, id="a-copy-loads"),
        pytest.param(answer_for_ever, 1, 3, id="copies-answer"),
        pytest.param(answer_for_ever, 2, 3, id="copies-that-loaded-answer"),
    ],
)
def test_workers_end_with_a_job_that_is_killed(opener: OpenModel, threads: int, started: int, tmp_path: Path) -> None:
    source = write_input(tmp_path / "in.jsonl", some_texts(200))
    job = replace(make_job(source, tmp_path / "out.csv", 2), settings=RunSettings(threads))
    process = multiprocessing.get_context("fork").Process(target=run_job, args=(job,), kwargs={"open_model": opener})
    process.start()
    mine = partial(running, "driftgate.predict.workers.host", str(process.pid))
    wait_until(lambda: len(mine()) == started)
    time.sleep(0.1)  # for what they were started to do
    process.kill()
    process.join()
    killed = time.monotonic()
    wait_until(lambda: not mine())
    assert time.monotonic() - killed < 20, "half a second is meant"


def test_no_more_windows_are_read_than_workers_can_answer_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    from driftgate.predict.reading.rows import Row, Window

    read = 0

    def windows() -> Any:
        nonlocal read
        for number in range(200):
            read += 1
            yield Window((Row(number, "a text"),), (), number)

    own = Crew(Opening(DOUBLE, "double", "letter_counter:open_double", 1, 512), 2)
    answers = own.answer(windows())
    try:
        next(answers)
        time.sleep(0.5)
        assert read <= 2 * 2 + 2 + 3
        assert sum(1 for _ in answers) == 199
    finally:
        answers.close()
        own.close()


def test_an_encoder_is_the_same_behind_the_socket() -> None:
    assert decode_encoder(json.loads(json.dumps(encode_encoder(DOUBLE)))) == DOUBLE
    without = replace(DOUBLE, thresholds=None)
    assert decode_encoder(json.loads(json.dumps(encode_encoder(without)))) == without


@pytest.mark.parametrize(("workers", "settings"), [(-1, None), (9999, None), (2, RunSettings(1, Device("cuda")))])
def test_workers_that_cannot_be_are_refused(workers: int, settings: RunSettings | None, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="workers"):
        PredictionJob(DOUBLE, "double", "in.csv", str(tmp_path / "out.csv"), settings, workers=workers)


def test_an_unknown_error_of_a_worker_names_its_kind() -> None:
    error = started_host.raised({"error": "MemoryError", "message": "none left", "own": False})
    assert isinstance(error, WorkerError)
    assert "MemoryError: none left" in str(error)
