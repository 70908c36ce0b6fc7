"""Nothing is lost and nothing is doubled, whenever the process is killed."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import letter_counter
import pytest
from letter_counter import DOUBLE, open_double

from driftgate.predict.job import PredictionJob, run_job

ROWS = 12_000
KILLS = 60
FORMATS = ("csv", "csv.gz", "jsonl", "parquet")


def write_input(path: Path, rows: int) -> Path:
    """Rows of many lengths; every 97th has no text."""
    draw = random.Random(0)  # noqa: S311
    texts = ["" if number % 97 == 0 else "word " * draw.randint(1, 12) + str(number) for number in range(rows)]
    records = [json.dumps({"id": f"id-{number}", "text": text}) for number, text in enumerate(texts)]
    path.write_text("\n".join(records) + "\n", encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, so that each need not import again")
@pytest.mark.parametrize("form", FORMATS)
def test_a_job_killed_again_and_again_writes_what_an_undisturbed_one_writes(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    source = write_input(tmp_path / "in.jsonl", ROWS)
    whole = tmp_path / "whole"
    whole.mkdir()
    quick = PredictionJob(DOUBLE, "double", str(source), str(whole / f"out.{form}"), id_column="id", window_rows=64)
    summary = run_job(quick, open_model=open_double)
    assert summary.counts.all_rejected == -(-ROWS // 97)

    # The server of forks looks for what it imports beforehand where any Python does.
    monkeypatch.setenv("PYTHONPATH", str(Path(letter_counter.__file__).parent))
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload([letter_counter.__name__])
    draw, kills, stages, target = random.Random(form), 0, set(), tmp_path / f"out.{form}"  # noqa: S311
    journal = tmp_path / f"out.{form}.journal.json"
    while not target.exists():
        process = forks.Process(target=letter_counter.work, args=(str(source), str(target)))
        enough = _rows(journal) + ROWS // 50
        process.start()
        if draw.random() < 0.2:  # now and then before it has done anything
            process.join(draw.uniform(0, 0.05))
        else:  # by rows, not by time: a fast machine would be through after a few kills
            while process.exitcode is None and _rows(journal) < enough:
                time.sleep(0.001)
            process.join(draw.uniform(0, 0.01))
        if process.exitcode is None:
            process.kill()
            process.join()
            kills += 1
            stages.add(_rows(journal))
        else:
            assert process.exitcode == 0
    if journal.exists():  # killed between its last two steps
        letter_counter.work(str(source), str(target))

    assert kills >= KILLS / len(FORMATS)
    assert len(stages) >= kills / 3  # they hit the job in many places
    assert target.read_bytes() == (whole / f"out.{form}").read_bytes()
    rejects = f"out.{form}.rejects.jsonl"
    assert (tmp_path / rejects).read_bytes() == (whole / rejects).read_bytes()
    locks = {
        f"{name}.lock" for name in (target.name, rejects)
    }  # left where the last kill came just before their removal
    left = {path.name for path in tmp_path.iterdir()} - locks
    assert left == {"in.jsonl", "whole", target.name, rejects}


@pytest.mark.slow
def test_the_command_killed_and_interrupted_goes_on_with_resume(
    tiny_encoder: Path, warm_cache: Path, tmp_path: Path
) -> None:
    source, target, whole = write_input(tmp_path / "in.jsonl", 120_000), tmp_path / "out.csv", tmp_path / "whole.csv"
    script = Path(sys.executable).with_name("driftgate")
    alone = ["--workers", "1", "--threads", "1"]  # slow enough to be ended between two looks at the journal
    command = [script, "predict", tiny_encoder, "--input", source, "--id-column", "id", *alone, "--output"]
    subprocess.run([*command, whole], check=True, capture_output=True)
    journal = tmp_path / "out.csv.journal.json"
    seen: list[int] = []
    for end in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        process = subprocess.Popen([*command, target, "--resume"], stderr=subprocess.PIPE, text=True)
        before = seen[-1] if seen else 0
        while process.poll() is None and _rows(journal) <= before:
            time.sleep(0.02)
        process.send_signal(end)
        _, said = process.communicate()
        seen.append(_rows(journal))
        assert process.returncode == (130 if end is signal.SIGINT else -signal.SIGKILL)
        assert ("--resume continues" in said) is (end is signal.SIGINT)
    assert 0 < seen[0] < seen[1] < seen[2] < 120_000
    done = subprocess.run([*command, target, "--resume"], check=True, capture_output=True, text=True)
    assert "by the interrupted run" in done.stderr
    assert target.read_bytes() == whole.read_bytes()


def _rows(journal: Path) -> int:
    try:
        return json.loads(journal.read_text(encoding="utf-8"))["counts"]["rows"]
    except FileNotFoundError:  # not begun yet, or just finished: asking first whether it exists would be a race
        return 0
