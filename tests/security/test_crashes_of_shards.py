"""Faults at every step of scoring shards and of joining them: each step fails once and ends the process once."""

import errno
import json
import shutil
from pathlib import Path

import pytest
from disk_faults import attempt
from letter_counter import DOUBLE, open_double

from driftgate.predict.job import run_job
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.shards import make_plan as make_plan_module
from driftgate.predict.shards.make_plan import PlanOptions, make_plan
from driftgate.predict.shards.merge import merge
from driftgate.predict.shards.plan import read_plan, write_plan
from driftgate.predict.shards.score import score_shards
from driftgate.run.device import RunSettings

ROWS, WINDOW = 20, 8
KINDS = (errno.ENOSPC, errno.EIO, errno.EACCES, "short", "kill")
TRIED = [("csv", "kill")]
REST = [
    pytest.param(form, kind, marks=pytest.mark.slow)
    for form in ("csv", "jsonl.gz", "parquet")
    for kind in KINDS
    if (form, kind) not in TRIED
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    texts = [f"text {row}" if row % 9 else "" for row in range(ROWS)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def job(source: str, target: str) -> PredictionJob:
    return PredictionJob(
        DOUBLE, "double", source, target, RunSettings(1), token_budget=64, window_rows=WINDOW, commit_seconds=0.0
    )


def score_and_join(folder: Path, suffix: str, *, overwrite: bool = False) -> None:
    """What a user's script does, from its first line on."""
    plan = read_plan(folder / "plan.json")
    score_shards(folder / "plan.json", plan, range(len(plan.shards)), job("-", "-"), open_model=open_double)
    merge(folder / "plan.json", plan, folder / f"out.{suffix}", overwrite=overwrite)


@pytest.mark.parametrize(("suffix", "kind"), [*TRIED, *REST])
def test_shards_go_on_after_a_fault_at_any_step(
    suffix: str, kind: int | str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_plan_module, "choose_window_rows", lambda token_budget: WINDOW)
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    form, _, gzipped = suffix.partition(".")
    whole = tmp_path / f"whole.{suffix}"
    run_job(job(str(source), str(whole)), open_model=open_double)
    expected = {name: (tmp_path / f"whole.{suffix}{name}").read_bytes() for name in ("", ".rejects.jsonl")}
    plan, _ = make_plan(
        [str(source)], PlanOptions(rows=WINDOW, output_format=form, gzipped=bool(gzipped), token_budget=64)
    )
    assert len(plan.shards) == 3
    for at in range(1, 2000):
        folder = tmp_path / "tried"
        folder.mkdir()
        write_plan(folder / "plan.json", plan)
        faults = attempt(lambda folder=folder: score_and_join(folder, suffix), folder, kind, at)
        if len(faults.steps) < at:  # every step had its turn
            assert at > 60
            return
        joined = folder / f"out.{suffix}"
        if joined.exists():
            assert joined.read_bytes() == expected[""], f"half an output after step {at}, {faults.steps[-1]}"
        score_and_join(folder, suffix, overwrite=joined.exists())
        for name, content in expected.items():
            found = (folder / f"out.{suffix}{name}").read_bytes()
            assert found == content, f"other rows after a fault at step {at}, {faults.steps[at - 1]}"
        left = [path.name for path in folder.iterdir() if "partial" in path.name or "journal" in path.name]
        assert not left, f"left after a fault at step {at}, {faults.steps[at - 1]}"
        shutil.rmtree(folder)
    pytest.fail("shards have no end of steps")
