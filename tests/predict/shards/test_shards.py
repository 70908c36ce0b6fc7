"""Shards, scored in any order by any number of processes and joined, are what one process writes."""

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pytest
from letter_counter import open_double
from sharded_files import (
    BUDGET,
    SOURCES,
    draw_texts,
    plan_of,
    score,
    whole_job,
    write_csv,
    write_json_lines,
    write_parquet,
)

from driftgate.errors import CorpusError, OptionError, OutputError
from driftgate.predict import parquet_output
from driftgate.predict.job import run_job
from driftgate.predict.shards.make_plan import PlanOptions, make_plan
from driftgate.predict.shards.merge import merge
from driftgate.predict.shards.plan import read_plan, write_plan
from driftgate.predict.shards.score import choose_shards

pytest.importorskip("pyarrow")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl.gz", "parquet"])
def test_joined_outputs_and_rejects_are_those_of_one_process(
    kind: str, suffix: str, tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_output, "ROWS_A_GROUP", 700)
    make, options = SOURCES[kind]
    source = make(tmp_path)
    run_job(whole_job(source, tmp_path / f"whole.{suffix}", **options), open_model=open_double)
    form, _, gzipped = suffix.partition(".")
    path, plan = plan_of(run, source, output_format=form, gzipped=bool(gzipped), **options)
    assert [shard.part.rows for shard in plan.shards[:-1]] == [1024] * (len(plan.shards) - 1)
    assert len(plan.shards) == 3
    places = [*range(len(plan.shards))]
    random.Random(0).shuffle(places)  # noqa: S311
    for place in places:
        score(path, [place])
    merged = merge(path, plan, tmp_path / f"merged.{suffix}")
    for name in (f"{{}}.{suffix}", f"{{}}.{suffix}.rejects.jsonl"):
        assert (tmp_path / name.format("merged")).read_bytes() == (tmp_path / name.format("whole")).read_bytes()
    assert merged.rows >= 2500


def test_row_groups_of_a_joined_parquet_file_are_those_of_one_process(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyarrow import parquet

    monkeypatch.setattr(parquet_output, "ROWS_A_GROUP", 700)
    path, plan = plan_of(run, write_csv(tmp_path / "in.csv", draw_texts(2500)), output_format="parquet")
    score(path)
    merge(path, plan, tmp_path / "out.parquet")
    about = parquet.ParquetFile(tmp_path / "out.parquet").metadata
    answered = 2500 - -(-2500 // 89)
    assert [about.row_group(at).num_rows for at in range(about.num_row_groups)] == [700, 700, 700, answered - 2100]


def test_several_files_are_numbered_through_and_gzip_is_one_shard(tmp_path: Path, run: Path) -> None:
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(write_json_lines(tmp_path / "x", draw_texts(700)).read_bytes()))
    write_json_lines(tmp_path / "a.jsonl", draw_texts(1100, 1))
    write_parquet(tmp_path / "c.parquet", draw_texts(600, 2))
    patterns = [str(tmp_path / "*.jsonl*"), str(tmp_path / "c.*")]
    plan, remarks = make_plan(patterns, PlanOptions(rows=500, gzipped=True, token_budget=BUDGET))
    names = [Path(shard.input).name for shard in plan.shards]
    assert names == ["a.jsonl"] * 3 + ["b.jsonl.gz"] + ["c.parquet"] * 2
    assert [shard.part.first_row for shard in plan.shards] == [0, 512, 1024, 1101, 1802, 2314]
    assert remarks == [f"{tmp_path / 'b.jsonl.gz'}: one shard, because gzip can only be read from its start"]
    write_plan(run / "plan.json", plan)
    score(run / "plan.json")
    merge(run / "plan.json", read_plan(run / "plan.json"), tmp_path / "out.csv.gz")
    rows = gzip.decompress((tmp_path / "out.csv.gz").read_bytes()).decode().splitlines()
    rejected = (tmp_path / "out.csv.gz.rejects.jsonl").read_text(encoding="utf-8").splitlines()
    numbers = [int(row.partition(",")[0]) for row in rows[1:]] + [json.loads(row)["row"] for row in rejected]
    assert sorted(numbers) == list(range(1101 + 701 + 600))


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


def test_only_row_groups_of_the_shard_are_read(tmp_path: Path, run: Path) -> None:
    source = write_parquet(tmp_path / "in.parquet", draw_texts(2500))
    path, plan = plan_of(run, source, id_column="id")
    last = plan.shards[2].part
    assert (last.first_group, last.end_group, last.skipped_rows) == (
        6,
        9,
        248,
    )  # row 2,048 is in the group of 1,800 to 2,099
    content = bytearray(source.read_bytes())
    content[4 : last.first_byte] = b"x" * (last.first_byte - 4)
    source.write_bytes(content)
    assert score(path, [2]).rows == plan.shards[2].part.rows
    with pytest.raises(CorpusError, match="has changed since the plan was made"):
        score(path, [1])


def test_columns_of_a_file_without_a_header_are_those_of_its_first_row(tmp_path: Path, run: Path) -> None:
    rows = [f"{row}\ttext {row}\n" for row in range(1100)]
    rows[512] = "a row with one field, where a shard begins\n"
    source = tmp_path / "in.tsv"
    source.write_text("".join(rows), encoding="utf-8")
    options = {"text_column": "1", "id_column": "0"}
    run_job(whole_job(source, tmp_path / "whole.csv", **options), open_model=open_double)
    path, plan = plan_of(run, source, rows=500, **options)
    score(path)
    merge(path, plan, tmp_path / "merged.csv")
    for name in ("", ".rejects.jsonl"):
        assert (tmp_path / f"merged.csv{name}").read_bytes() == (tmp_path / f"whole.csv{name}").read_bytes()


@pytest.mark.parametrize("options", [{"backend": "another"}, {"logits": True}])
def test_shards_of_different_models_or_options_are_not_merged(
    options: dict[str, Any], tmp_path: Path, run: Path
) -> None:
    path, plan = plan_of(run, write_csv(tmp_path / "in.csv", draw_texts(2500)))
    score(path, [0, 1])
    score(path, [2], **options)
    with pytest.raises(OutputError, match=r"shard 3 .* another model or with other options"):
        merge(path, plan, tmp_path / "out.csv")


def test_shards_that_are_missing_or_damaged_are_listed_and_nothing_is_written(tmp_path: Path, run: Path) -> None:
    path, plan = plan_of(run, write_csv(tmp_path / "in.csv", draw_texts(5200)))
    assert len(plan.shards) == 6
    score(path, [0, 3, 4, 5])
    for place in (3, 4):
        output = run / plan.shards[place].output
        output.write_bytes(output.read_bytes()[:-9] + b"123456789")
    with pytest.raises(OutputError, match=r"2 of 6 shards cannot be merged: not done: 2-3\. Score them"):
        merge(path, plan, tmp_path / "out.csv")
    score(path, [1, 2])
    (run / plan.shards[0].output).unlink()
    with pytest.raises(OutputError, match=r"3 of 6 shards .*: gone, or changed since it was written: 1, 4-5\."):
        merge(path, plan, tmp_path / "out.csv")
    assert not list(tmp_path.glob("*out.csv*"))
    assert score(path).scored == 3
    assert merge(path, plan, tmp_path / "out.csv").rows == 5200


def test_bad_plans_shares_and_names_are_refused(tmp_path: Path, run: Path) -> None:
    path, plan = plan_of(run, write_csv(tmp_path / "in.csv", draw_texts(600)))
    for share in ("0/2", "3/2", "1", "a/b", "1/0"):
        with pytest.raises(OptionError, match="expected I/N"):
            choose_shards(plan, share)
    assert choose_shards(plan, "2/2") == []
    with pytest.raises(OptionError, match="choose a name that ends so"):
        merge(path, plan, tmp_path / "out.jsonl")
    for other in (1, 99, None):
        written = Path(path).read_text(encoding="utf-8")
        (run / "other.json").write_text(
            written.replace('"schema": 2', f'"schema": {json.dumps(other)}'), encoding="utf-8"
        )
        with pytest.raises(OptionError, match=f"a plan of version {other}, expected 2"):
            read_plan(run / "other.json")
    for content in ("", "[]", "{", '{"schema": 2}', '{"schema": 2, "shards": [{}], "inputs": []}'):
        (run / "broken.json").write_text(content, encoding="utf-8")
        with pytest.raises(OptionError, match="not a readable plan"):
            read_plan(run / "broken.json")
