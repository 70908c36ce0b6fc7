"""Shards of INT8 are scored and joined on machines of one kind, unless somebody allows others."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from letter_counter import DOUBLE, open_double

from driftgate.errors import OptionError, OutputError
from driftgate.files import write_whole
from driftgate.predict.job import run_job
from driftgate.predict.journal import Counts, Journal, write_journal
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.shards import machines
from driftgate.predict.shards.make_plan import PlanOptions, make_plan
from driftgate.predict.shards.merge import merge
from driftgate.predict.shards.plan import read_plan, write_plan
from driftgate.predict.shards.score import ShardsDone, score_shards
from driftgate.predict.shards.seal import files_of, read_seal
from driftgate.results.environment import Processor
from driftgate.run.device import RunSettings

NEW = Processor("new one", ("avx2", "fma", "avx512_vnni"))
OLD = Processor("old one", ("avx2", "fma"))
JOB = PredictionJob(DOUBLE, "double", "-", "-", RunSettings(1), token_budget=256, commit_seconds=0.0)
ROWS = 1500
On = Callable[[Processor], None]


@pytest.fixture
def plan_path(tmp_path: Path) -> Path:
    source = tmp_path / "in.txt"
    source.write_text("".join(f"text number {row}\n" for row in range(ROWS)), encoding="utf-8")
    path = tmp_path / "plan.json"
    write_plan(path, make_plan([str(source)], PlanOptions(500, token_budget=256))[0])
    return path


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> On:
    def choose(processor: Processor) -> None:
        monkeypatch.setattr(machines, "read_processor", lambda: processor)

    return choose


def run(plan_path: Path, places: list[int], precision: str = "int8-rowwise", *, mixed: bool = False) -> ShardsDone:
    plan = read_plan(plan_path)
    job = JOB
    if not mixed:
        machines.require_one_kind(plan_path, plan, precision)
        job = replace(job, machine=machines.kind_of_machine(precision))
    return score_shards(plan_path, plan, places, replace(job, precision=precision), open_model=open_double)


def test_a_seal_says_which_machine_scored_it(plan_path: Path, on: On) -> None:
    on(NEW)
    run(plan_path, [0])
    seal = read_seal(files_of(plan_path, read_plan(plan_path).shards[0]))
    assert seal is not None
    assert (seal.precision, seal.machine["cpu"]) == ("int8-rowwise", "new one")
    assert seal.machine["instruction_sets"] == ["avx2", "fma", "avx512_vnni"]


def test_int8_on_another_kind_of_machine_than_the_first_is_refused_unless_allowed(plan_path: Path, on: On) -> None:
    on(NEW)
    run(plan_path, [1])
    on(OLD)
    with pytest.raises(
        OptionError, match=r"old one without avx512_vnni, where new one scored shard 2 .*mixed_machines"
    ):
        run(plan_path, [0])
    assert run(plan_path, [0], mixed=True).scored == 1


@pytest.mark.parametrize("precision", ["fp32", "fp16", ""])
def test_other_classes_may_be_scored_and_joined_on_any_machines(
    precision: str, plan_path: Path, tmp_path: Path, on: On
) -> None:
    for place, processor in enumerate((NEW, OLD, NEW)):
        on(processor)
        run(plan_path, [place], precision)
    assert merge(plan_path, read_plan(plan_path), tmp_path / "out.csv").rows == ROWS


def test_int8_of_two_kinds_of_machines_is_not_joined_unless_allowed(plan_path: Path, tmp_path: Path, on: On) -> None:
    for place, processor in enumerate((NEW, NEW, OLD)):
        on(processor)
        run(plan_path, [place], mixed=True)
    plan = read_plan(plan_path)
    with pytest.raises(OutputError, match=r"shard 3 .*old one without avx512_vnni, where new one scored shard 1"):
        merge(plan_path, plan, tmp_path / "out.csv")
    assert merge(plan_path, plan, tmp_path / "out.csv", mixed_machines=True).rows == ROWS


def test_the_rows_that_another_kind_of_machine_left_are_not_continued(plan_path: Path, on: On) -> None:
    plan = read_plan(plan_path)
    shard = plan.shards[0]
    files = files_of(plan_path, shard)
    begun = replace(JOB, **plan.reading, input=shard.input, output=str(files), part=shard.part, machine="avx2 fma")
    run_job(begun, open_model=open_double)
    assert begun.paths is not None
    journal = begun.paths.journal
    whole = Path(str(files)).read_bytes()
    Path(str(files)).unlink()
    # As a machine leaves it that is lost between two windows: rows that nobody may trust under that journal.
    begun.paths.partial.write_bytes(b"x" * 100)
    write_journal(journal, journal.with_name("j"), Journal({"machine": "avx2 fma"}, Counts(512), 100))
    on(NEW)
    assert run(plan_path, [0]).rows == shard.part.rows
    assert Path(str(files)).read_bytes() == whole
    assert not journal.exists()


def test_seals_of_before_are_whole_and_their_machine_is_not_known(plan_path: Path, on: On, tmp_path: Path) -> None:
    on(NEW)
    run(plan_path, [0, 1, 2])
    plan = read_plan(plan_path)
    files = files_of(plan_path, plan.shards[0])
    seal = Path(files.folder.path(files.seal))
    old = json.loads(seal.read_text(encoding="utf-8"))
    del old["machine"], old["precision"]
    write_whole(seal, json.dumps(old))
    on(OLD)
    with pytest.raises(OptionError, match="scored shard 2"):
        run(plan_path, [0])
    assert merge(plan_path, plan, tmp_path / "out.csv").rows == ROWS
