"""A seal vouches for the output of a shard. Without one nothing is merged, and nothing of anybody's is replaced unasked."""

import json
import os
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from letter_counter import DOUBLE, answer_double, open_double, tokenize_double
from sharded_files import BUDGET, draw_texts, plan_of, score, whole_job, write_csv

from driftgate import files
from driftgate.arrays import Logits
from driftgate.errors import OptionError, OutputError
from driftgate.files import locked
from driftgate.inputs.batches import TokenBatch
from driftgate.predict.answerer import Answerer
from driftgate.predict.job import run_job
from driftgate.predict.job_identity import identify_model
from driftgate.predict.reading.formats import Format
from driftgate.predict.reading.part import Part
from driftgate.predict.shards import score as score_module
from driftgate.predict.shards.merge import merge
from driftgate.predict.shards.plan import Scoring, read_plan, write_plan
from driftgate.predict.shards.score import ShardsDone, score_shards
from driftgate.predict.shards.written_rows import check_rows

ROWS = 2500


@pytest.fixture
def planned(tmp_path: Path) -> tuple[Path, Any]:
    """A plan of three shards."""
    path, plan = plan_of(tmp_path, write_csv(tmp_path / "in.csv", draw_texts(ROWS)))
    return Path(path), plan


def test_what_is_whole_is_not_scored_again_and_what_is_not_is(planned: Any) -> None:
    path, plan = planned
    folder = path.parent
    assert score(path) == ShardsDone(3, 0, 0, ROWS)
    assert score(path) == ShardsDone(0, 3, 0, 0)
    whole = (folder / plan.shards[1].output).read_bytes()
    (folder / plan.shards[0].output).unlink()
    (folder / plan.shards[1].output).write_bytes(whole[:-9])
    (folder / f"{plan.shards[2].output}.rejects.jsonl").write_bytes(b"")
    assert score(path) == ShardsDone(3, 0, 0, ROWS)
    assert (folder / plan.shards[1].output).read_bytes() == whole


def test_outputs_of_another_plan_are_refused_and_kept(planned: Any, tmp_path: Path) -> None:
    path, _ = planned
    score(path)
    before = {file.name: file.read_bytes() for file in tmp_path.glob("shard-*")}
    other, plan = plan_of(tmp_path, tmp_path / "in.csv", rows=1500)
    assert Path(other) == path
    with pytest.raises(OutputError, match="of another plan: 1-2"):
        merge(path, plan, tmp_path / "out.csv")
    with pytest.raises(OutputError, match=r"shard-00000\.csv: it is the output of another plan; put .* overwrite"):
        score(path)
    assert {file.name: file.read_bytes() for file in tmp_path.glob("shard-*")} == before
    assert score(path, overwrite=True).scored == 2
    assert score(path, overwrite=True) == ShardsDone(0, 2, 0, 0)  # what is whole stays
    assert merge(path, plan, tmp_path / "out.csv").rows == ROWS


@pytest.mark.parametrize("what", ["an output", "an output without its seal", "a seal of another version"])
def test_a_file_that_no_plan_vouches_for_is_refused_and_kept(what: str, planned: Any) -> None:
    path, plan = planned
    output = path.parent / plan.shards[0].output
    seal = path.parent / f"{output.name}.seal.json"
    if what == "an output":
        output.write_text("mine\n", encoding="utf-8")
    else:
        score(path, [0])
        if what == "an output without its seal":
            seal.unlink()
        else:
            seal.write_text(json.dumps({**json.loads(seal.read_text(encoding="utf-8")), "schema": 1}), encoding="utf-8")
    before = output.read_bytes()
    with pytest.raises(OutputError, match=r"shard-00000\.csv: a file is there that no plan vouches for"):
        score(path)
    assert output.read_bytes() == before
    assert score(path, overwrite=True).scored == 3


@pytest.mark.parametrize(
    "options", [{"backend": "another"}, {"logits": True}, {"encoder": replace(DOUBLE, sha256="1" * 64)}]
)
def test_shards_of_another_model_are_neither_taken_for_whole_nor_replaced(
    options: dict[str, Any], planned: Any
) -> None:
    path, _ = planned
    score(path, [0, 1])
    with pytest.raises(OutputError, match=r"scored by another model or with other options: (model|options), "):
        score(path, **options)
    assert score(path, overwrite=True, **options) == ShardsDone(3, 0, 0, ROWS)


def test_rows_that_another_model_left_are_not_continued(planned: Any) -> None:
    path, plan = planned

    def dies(*arguments: Any) -> Answerer:
        answered: list[int] = []

        def answer(batch: TokenBatch) -> Logits:
            answered.extend(batch.rows)
            if len(answered) > 600:  # in the second window
                raise KeyboardInterrupt
            return answer_double(batch)

        return Answerer("sha-of-another", tokenize_double, answer)

    with pytest.raises(KeyboardInterrupt):
        score_shards(path, plan, [0], replace(whole_job("-", "-"), backend="another"), open_model=dies)
    assert (path.parent / "shard-00000.csv.journal.json").exists()
    with pytest.raises(OutputError, match="the interrupted run cannot be continued: model, backend was another"):
        score(path)
    assert score(path, overwrite=True).scored == 3


def test_a_plan_that_names_a_model_refuses_another_before_a_row_is_scored(planned: Any) -> None:
    path, plan = planned
    job = replace(whole_job("-", "-"), **plan.reading)
    identity = json.loads(json.dumps(identify_model(job, "sha-of-double")))
    write_plan(path, replace(plan, scoring=Scoring("double"), identity=identity))
    assert read_plan(path).scoring == Scoring("double")
    for options, changed in (
        (
            {"backend": "another"},
            "model, backend was double, is another; model, sha256 was sha-of-double, is sha-of-another",
        ),
        ({"top": 1}, "options, top was 0, is 1"),
        ({"thresholds": (0.1, 0.1, 0.1)}, r"options, thresholds was \[0.5, 0.25, 0.75\], is \[0.1, 0.1, 0.1\]"),
    ):
        with pytest.raises(OptionError, match=f"another model, or other options, than planned: {changed}"):
            score(path, **options)
    assert not list(path.parent.glob("shard-*.csv*partial"))
    assert score(path).scored == 3


def test_two_processes_do_not_score_one_shard(planned: Any) -> None:
    path, plan = planned
    with locked(path.parent / f"{plan.shards[1].output}.shard.lock"):
        assert score(path) == ShardsDone(2, 0, 1, 1476)
    assert score(path) == ShardsDone(1, 2, 0, 1024)
    assert not list(path.parent.glob("*.lock"))


def test_where_locks_do_not_hold_nothing_half_is_sealed(planned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes of one shard write to one file, as on a file system whose locks do not reach other machines."""
    path, plan = planned
    monkeypatch.setattr(score_module, "locked", lambda *paths: nullcontext())
    monkeypatch.setattr(files, "locked", lambda *paths: nullcontext())
    second_is_at_work, first_is_done = Event(), Event()

    def opening(before: Event | None, at: Event | None) -> Any:
        def answer(batch: TokenBatch) -> Logits:
            if at is not None:
                at.set()
            if before is not None:
                assert before.wait(20)
            return answer_double(batch)

        return lambda *_: Answerer("sha-of-double", tokenize_double, answer)

    def run(open_model: Any) -> None:
        score_shards(path, plan, [0], whole_job("-", "-"), open_model=open_model)

    def run_second() -> None:
        with suppress(OutputError):  # what it wrote is whole or not, as it happens
            run(opening(first_is_done, second_is_at_work))

    second = Thread(target=run_second)

    def first(*arguments: Any) -> Answerer:
        answerer: Answerer = opening(second_is_at_work, None)()
        second.start()
        return answerer

    with pytest.raises(OutputError, match="did another process write to it, on a file system without locks"):
        run(first)
    first_is_done.set()
    second.join(20)
    monkeypatch.undo()
    assert score(path).held == 0
    merge(path, plan, path.parent / "out.csv")
    run_job(whole_job(path.parent / "in.csv", path.parent / "whole.csv"), open_model=open_double)
    for name in ("", ".rejects.jsonl"):
        assert (path.parent / f"out.csv{name}").read_bytes() == (path.parent / f"whole.csv{name}").read_bytes()


PART = Part(3, 4)
GOOD = {
    "csv": 'row,labels\n3,a\n4,"b\n7,c"\n6,\n',
    "tsv": "row\tlabels\n3\ta\n4\tb\n6\t\n",
    "jsonl": '{"row": 3}\n{"row": 4}\n{"row": 6}\n',
}


@pytest.mark.parametrize("form", GOOD)
def test_rows_that_are_missing_doubled_or_out_of_order_are_found(form: str, tmp_path: Path) -> None:
    output, rejects = tmp_path / f"out.{form}", tmp_path / "rejects.jsonl"
    rejects.write_text('{"row": 5, "reason": "empty"}\n', encoding="utf-8")
    output.write_text(GOOD[form], encoding="utf-8")
    digests = check_rows(output, rejects, Format(form), PART)
    assert all(len(digest) == 64 for digest in digests)
    with pytest.raises(OutputError, match="expected row 5, found row 6"):
        check_rows(output, None, Format(form), PART)
    with pytest.raises(OutputError, match="expected row 7, found the end"):
        check_rows(output, rejects, Format(form), Part(3, 5))
    with pytest.raises(OutputError, match="expected the end, found row 6"):
        check_rows(output, rejects, Format(form), Part(3, 3))
    for broken in (GOOD[form] + GOOD[form], GOOD[form][:-3], GOOD[form] + "x", ""):
        output.write_text(broken, encoding="utf-8")
        with pytest.raises(OutputError, match=r"expected (row|the end)|cannot be read back"):
            check_rows(output, rejects, Format(form), PART)


def test_a_folder_that_may_not_be_written_is_one_line(planned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path, plan = planned
    real = os.open

    def refuse(name: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & os.O_CREAT and "shard-" in str(name):
            raise PermissionError(13, "Permission denied", str(name))
        return real(name, flags, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match=r"shard-00000\.csv: cannot be written: Permission denied") as refused:
        score(path)
    assert "\n" not in str(refused.value)
    monkeypatch.undo()
    assert score(path).rows == ROWS
    assert plan.reading["token_budget"] == BUDGET
