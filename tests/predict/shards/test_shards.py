"""Shards, scored in any order by any number of processes and joined, are what one process writes."""

import gzip
import json
import os
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from letter_counter import DOUBLE, open_double

from driftgate.errors import CorpusError, OptionError, OutputError
from driftgate.predict.job import run_job
from driftgate.predict.prediction_job import PredictionJob
from driftgate.predict.shards.make_plan import PlanOptions, make_plan
from driftgate.predict.shards.merge import merge
from driftgate.predict.shards.plan import Plan, read_plan, write_plan
from driftgate.predict.shards.score import ShardsDone, choose_shards, score_shards
from driftgate.run.device import RunSettings

BUDGET = 256  # windows of 512 rows, the fewest


def draw_texts(rows: int, seed: int = 0) -> list[str]:
    draw = random.Random(seed)  # noqa: S311
    pieces = ("word", 'a "quoted" one', "ünïcode", "日本", "👩‍👧", "comma, here", "semi;colon")
    texts = [" ".join(draw.choices(pieces, k=draw.randint(1, 9))) + f" {row}" for row in range(rows)]
    return ["" if row % 89 == 0 else text for row, text in enumerate(texts)]


def write_csv(path: Path, texts: list[str], start: bytes = b"", end: str = "\n") -> Path:
    lines = ["id,text"]
    for row, text in enumerate(texts):
        broken = text.replace(" ", end, 1) if row % 7 == 0 else text  # a line break within quotes
        lines.append(f'id-{row},"{broken.replace(chr(34), chr(34) * 2)}"' + (end if row % 50 == 0 else ""))
    path.write_bytes(start + end.join(lines).encode() + end.encode())
    return path


def write_json_lines(path: Path, texts: list[str]) -> Path:
    lines = [json.dumps({"id": f"id-{row}", "text": text}, ensure_ascii=row % 2 == 0) for row, text in enumerate(texts)]
    path.write_text("\n\n".join(lines) + "\n{broken\n", encoding="utf-8")
    return path


def write_plain(path: Path, texts: list[str]) -> Path:
    path.write_bytes(b"\n".join(text.encode() if row % 60 != 1 else b"\xff bad" for row, text in enumerate(texts)))
    return path


def write_tsv(path: Path, texts: list[str]) -> Path:
    path.write_text("".join(f"id-{row}\t{text}\n" for row, text in enumerate(texts)), encoding="utf-8")
    return path


SOURCES: dict[str, tuple[Callable[[Path], Path], dict[str, Any]]] = {
    "csv": (lambda folder: write_csv(folder / "in.csv", draw_texts(2500)), {"id_column": "id"}),
    "csv of Windows": (lambda folder: write_csv(folder / "in.csv", draw_texts(2500), b"\xef\xbb\xbf", "\r\n"), {}),
    "jsonl": (lambda folder: write_json_lines(folder / "in.jsonl", draw_texts(2500)), {"id_column": "id"}),
    "txt": (lambda folder: write_plain(folder / "in.txt", draw_texts(2500)), {}),
    "tsv without a header": (
        lambda folder: write_tsv(folder / "in.tsv", draw_texts(2500)),
        {"text_column": "1", "id_column": "0"},
    ),
}


def whole_job(source: Path, target: Path, **options: Any) -> PredictionJob:
    return PredictionJob(
        DOUBLE, "double", str(source), str(target), RunSettings(1), token_budget=BUDGET, commit_seconds=0.0, **options
    )


def plan_of(folder: Path, *inputs: Path, rows: int = 600, **options: Any) -> tuple[Path, Plan]:
    path = folder / "plan.json"
    plan, _ = make_plan([str(one) for one in inputs], PlanOptions(rows, token_budget=BUDGET, **options))
    write_plan(path, plan)
    return path, read_plan(path)


def score(path: Path, places: list[int] | None = None, **options: Any) -> ShardsDone:
    plan = read_plan(path)
    job = replace(whole_job(Path("-"), Path("-")), **options)
    chosen = list(range(len(plan.shards))) if places is None else places
    return score_shards(path, plan, chosen, job, open_model=open_double)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("output_format", ["csv", "jsonl"])
def test_joined_outputs_and_rejects_are_those_of_one_process(
    kind: str, output_format: str, tmp_path: Path, run: Path
) -> None:
    make, options = SOURCES[kind]
    source = make(tmp_path)
    run_job(whole_job(source, tmp_path / f"whole.{output_format}", **options), open_model=open_double)
    path, plan = plan_of(run, source, output_format=output_format, **options)
    assert [shard.part.rows for shard in plan.shards[:-1]] == [1024] * (len(plan.shards) - 1)
    assert len(plan.shards) == 3
    places = [*range(len(plan.shards))]
    random.Random(0).shuffle(places)  # noqa: S311
    for place in places:
        score(path, [place])
    merged = merge(path, plan, tmp_path / f"merged.{output_format}")
    for name in ("{}." + output_format, "{}." + output_format + ".rejects.jsonl"):
        assert (tmp_path / name.format("merged")).read_bytes() == (tmp_path / name.format("whole")).read_bytes()
    assert merged.rows >= 2500


def test_several_files_are_numbered_through_and_gzip_is_one_shard(tmp_path: Path, run: Path) -> None:
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(write_json_lines(tmp_path / "x", draw_texts(700)).read_bytes()))
    first = write_json_lines(tmp_path / "a.jsonl", draw_texts(1100, 1))
    plan, remarks = make_plan([str(tmp_path / "*.jsonl*")], PlanOptions(500, gzipped=True, token_budget=BUDGET))
    assert [Path(shard.input).name for shard in plan.shards] == ["a.jsonl"] * 3 + ["b.jsonl.gz"]
    assert [shard.part.first_row for shard in plan.shards] == [0, 512, 1024, 1101]
    assert remarks == [f"{tmp_path / 'b.jsonl.gz'}: one shard, because gzip can only be read from its start"]
    write_plan(run / "plan.json", plan)
    score(run / "plan.json")
    merge(run / "plan.json", read_plan(run / "plan.json"), tmp_path / "out.csv.gz")
    rows = gzip.decompress((tmp_path / "out.csv.gz").read_bytes()).decode().splitlines()
    rejected = (tmp_path / "out.csv.gz.rejects.jsonl").read_text(encoding="utf-8").splitlines()
    numbers = [int(row.partition(",")[0]) for row in rows[1:]] + [json.loads(row)["row"] for row in rejected]
    assert sorted(numbers) == list(range(1101 + 701))
    assert first.exists()


def test_the_same_files_and_options_give_the_same_plan(tmp_path: Path, run: Path) -> None:
    source = write_csv(tmp_path / "in.csv", draw_texts(1500))
    path, plan = plan_of(run, source)
    once = path.read_bytes()
    os.utime(source, (1, 1))
    assert plan_of(run, source)[0].read_bytes() == once
    assert plan_of(run, source, rows=1200)[0].read_bytes() != once
    assert plan.rows == 1500


def test_a_shard_is_read_from_where_it_begins(tmp_path: Path, run: Path) -> None:
    source = write_csv(tmp_path / "in.csv", draw_texts(2500))
    path, plan = plan_of(run, source)
    content = bytearray(source.read_bytes())
    header, start = plan.shards[2].part.header_bytes, plan.shards[2].part.first_byte
    content[header:start] = b'"' * (start - header)  # whoever read this would find no row
    source.write_bytes(content)
    assert score(path, [2]).rows == plan.shards[2].part.rows
    with pytest.raises(CorpusError, match="has changed since the plan was made"):
        score(path, [1])


def test_what_is_whole_is_not_scored_again_and_what_is_not_is(tmp_path: Path, run: Path) -> None:
    path, plan = plan_of(run, write_csv(tmp_path / "in.csv", draw_texts(2500)))
    assert score(path) == ShardsDone(3, 0, 0, 2500)
    assert score(path) == ShardsDone(0, 3, 0, 0)
    whole = (run / plan.shards[1].output).read_bytes()
    (run / plan.shards[0].output).unlink()
    (run / plan.shards[1].output).write_bytes(whole[:-9])
    (run / f"{plan.shards[2].output}.seal.json").unlink()
    with pytest.raises(OutputError, match=r"3 of 3 shards cannot be merged: .*not done.*changed.*not sealed"):
        merge(path, plan, tmp_path / "out.csv")
    assert score(path) == ShardsDone(3, 0, 0, 2500)
    assert (run / plan.shards[1].output).read_bytes() == whole


def test_outputs_of_another_plan_are_stale(tmp_path: Path, run: Path) -> None:
    source = write_csv(tmp_path / "in.csv", draw_texts(2500))
    score(plan_of(run, source)[0])
    path, plan = plan_of(run, source, rows=1500)
    with pytest.raises(OutputError, match="of another plan"):
        merge(path, plan, tmp_path / "out.csv")
    assert score(path).scored == 2
    assert merge(path, plan, tmp_path / "out.csv").rows == 2500


def test_two_processes_do_not_score_one_shard(tmp_path: Path, run: Path) -> None:
    path, plan = plan_of(run, write_csv(tmp_path / "in.csv", draw_texts(2500)))
    with FileLock(run / f"{plan.shards[1].output}.shard.lock"):
        assert score(path) == ShardsDone(2, 0, 1, 1476)
    assert score(path) == ShardsDone(1, 2, 0, 1024)


@pytest.mark.parametrize("options", [{"backend": "another"}, {"logits": True}])
def test_shards_of_different_models_or_options_are_not_merged(
    options: dict[str, Any], tmp_path: Path, run: Path
) -> None:
    path, plan = plan_of(run, write_csv(tmp_path / "in.csv", draw_texts(2500)))
    score(path, [0, 1])
    score(path, [2], **options)
    with pytest.raises(OutputError, match=r"shard 3 .* another model or with other options"):
        merge(path, plan, tmp_path / "out.csv")


def test_bad_plans_shares_and_names_are_refused(tmp_path: Path, run: Path) -> None:
    source = write_csv(tmp_path / "in.csv", draw_texts(600))
    path, plan = plan_of(run, source)
    for share in ("0/2", "3/2", "1", "a/b", "1/0"):
        with pytest.raises(OptionError, match="expected I/N"):
            choose_shards(plan, share)
    assert choose_shards(plan, "2/2") == []
    with pytest.raises(OptionError, match="its rows would be scored twice"):
        make_plan([str(source), str(tmp_path / "*.csv")], PlanOptions(10))
    with pytest.raises(OptionError, match="no such file"):
        make_plan([str(tmp_path / "*.tsv")], PlanOptions(10))
    with pytest.raises(OptionError, match="choose a name that ends so"):
        merge(path, plan, tmp_path / "out.jsonl")
    path.write_text(path.read_text(encoding="utf-8").replace('"schema": 1', '"schema": 99'), encoding="utf-8")
    with pytest.raises(OptionError, match="a plan of version 99"):
        read_plan(path)
    (tmp_path / "empty.csv").write_text("id,text\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="no rows"):
        make_plan([str(tmp_path / "empty.csv")], PlanOptions(10))
