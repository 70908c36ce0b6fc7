"""A plan names each file once, as it was, and cuts it where it was told to."""

import json
import os
import stat
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sharded_files import BUDGET, draw_texts, plan_of, score, write_csv, write_json_lines, write_parquet

from driftgate.errors import CorpusError, OptionError
from driftgate.predict.shards.make_plan import PlanOptions, make_plan

WINDOW = 512


def lines(path: Path, rows: int) -> Path:
    path.write_text("".join(f"text {row}\n" for row in range(rows)), encoding="utf-8")
    return path


def test_the_same_files_and_options_give_the_same_plan(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", draw_texts(1500))
    path, plan = plan_of(tmp_path, source)
    once = Path(path).read_bytes()
    os.utime(source, (1, 1))
    assert Path(plan_of(tmp_path, source)[0]).read_bytes() == once
    assert Path(plan_of(tmp_path, source, rows=1200)[0]).read_bytes() != once
    assert plan.rows == 1500
    assert len(once.splitlines()) == 12  # a line for each shard and file: it can be searched


@pytest.mark.parametrize("shards", [1, 2, 3, 7, 10])
def test_so_many_shards_as_asked_for_of_about_equal_size(shards: int, tmp_path: Path) -> None:
    plan, remarks = make_plan(
        [str(lines(tmp_path / "in.txt", 10 * WINDOW))], PlanOptions(shards=shards, token_budget=BUDGET)
    )
    rows = [shard.part.rows for shard in plan.shards]
    assert len(rows) == shards
    assert max(rows) - min(rows) <= WINDOW
    assert all(size % WINDOW == 0 for size in rows)
    assert not remarks


def test_shards_are_given_to_files_by_their_rows(tmp_path: Path) -> None:
    sizes = {"a.txt": 10 * WINDOW, "b.txt": 1, "c.txt": 20 * WINDOW, "d.txt": 3}
    sources = [str(lines(tmp_path / name, rows)) for name, rows in sizes.items()]
    plan, _ = make_plan(sources, PlanOptions(shards=17, token_budget=BUDGET))
    counts = [sum(Path(shard.input).name == name for shard in plan.shards) for name in sizes]
    assert counts == [5, 1, 10, 1]
    assert [shard.part.first_row for shard in plan.shards][1:] == [
        before.part.first_row + before.part.rows for before, _ in pairwise(plan.shards)
    ]
    few, remarks = make_plan(sources, PlanOptions(shards=99, token_budget=BUDGET))
    assert len(few.shards) == 10 + 1 + 20 + 1
    assert remarks == ["32 shards and not 99: a shard has at least one window, which is 512 rows"]
    with pytest.raises(OptionError, match="a shard has rows of one file only, and there are 4 files"):
        make_plan(sources, PlanOptions(shards=3))


def test_a_file_that_is_given_twice_is_refused_under_whatever_name(tmp_path: Path) -> None:
    source = lines(tmp_path / "in.txt", 600)
    (tmp_path / "soft.txt").symlink_to(source)
    (tmp_path / "hard.txt").hardlink_to(source)
    for also in ("in.txt", "soft.txt", "hard.txt", "*n.txt", "../*/in.txt"):
        with pytest.raises(OptionError, match=r"given twice, and its rows would be scored twice"):
            make_plan([str(source), str(tmp_path / also)], PlanOptions())
    with pytest.raises(OptionError, match="no such file, and no file whose name matches it"):
        make_plan([str(tmp_path / "*.tsv")], PlanOptions())
    with pytest.raises(OptionError, match="a pipe or a folder cannot be cut"):
        make_plan([str(tmp_path)], PlanOptions())
    (tmp_path / "deep/er").mkdir(parents=True)
    lines(tmp_path / "deep/er/x.txt", 3)
    assert make_plan([str(tmp_path / "**/x.txt")], PlanOptions())[0].rows == 3
    assert make_plan([f"file://{source}"], PlanOptions())[0].shards[0].input == str(source)


def test_a_copy_is_told_but_not_refused(tmp_path: Path) -> None:
    a, b = lines(tmp_path / "a.txt", 600), lines(tmp_path / "b.txt", 600)
    plan, remarks = make_plan([str(a), str(b)], PlanOptions())
    assert plan.rows == 1200
    assert remarks == [f"{b}: it has the same content as {a}, and its rows are scored again"]


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more,more\n")


def change_a_row(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(b"word")] ^= 1
    path.write_bytes(content)


def exchange_columns(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"id,text,more", b"text,id,more", 1))


@pytest.mark.parametrize("change", [grow, change_a_row, exchange_columns, Path.unlink])
def test_a_file_that_changed_since_is_refused(change: Any, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text("id,text,more\n" + "".join(f"{row},word {row},x\n" for row in range(600)), encoding="utf-8")
    path, plan = plan_of(tmp_path, source)
    change(source)
    with pytest.raises(CorpusError, match=r"in\.csv: (it has changed since the plan was made|no such file; the plan)"):
        score(path)
    assert not (tmp_path / plan.shards[0].output).exists()


def test_a_parquet_file_whose_columns_were_exchanged_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    source = write_parquet(tmp_path / "in.parquet", draw_texts(600))
    path, _ = plan_of(tmp_path, source)
    content = source.read_bytes()
    footer = content.rindex(b"title")
    source.write_bytes(content[:footer] + b"tilte" + content[footer + 5 :])
    with pytest.raises(CorpusError, match="has changed since the plan was made"):
        score(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    source = lines(tmp_path / "in.txt", 600)
    source.chmod(stat.S_IWUSR)
    with pytest.raises(CorpusError, match=r"in\.txt: cannot be read: Permission denied"):
        make_plan([str(source)], PlanOptions())


def test_columns_and_formats_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = write_json_lines(tmp_path / "in.jsonl", draw_texts(600))
    with pytest.raises(CorpusError, match="expected a column 'body'"):
        make_plan([str(source)], PlanOptions(text_column="body"))
    (tmp_path / "empty.csv").write_text("id,text\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="no rows"):
        make_plan([str(tmp_path / "empty.csv")], PlanOptions())
    with pytest.raises(OptionError, match="Parquet compresses its own columns"):
        make_plan([str(source)], PlanOptions(output_format="parquet", gzipped=True))


def test_ids_of_one_parquet_output_have_one_type(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    sources = [
        str(write_json_lines(tmp_path / "in.jsonl", draw_texts(600))),
        str(write_parquet(tmp_path / "in.parquet", draw_texts(600))),
    ]
    assert make_plan(sources, PlanOptions(id_column="id"))[0].rows == 1201
    with pytest.raises(OptionError, match=r"its ids are int32, those of .* are strings"):
        make_plan(sources, PlanOptions(id_column="id", output_format="parquet"))


def test_what_a_shard_says_is_enough_to_read_it(tmp_path: Path) -> None:
    path, plan = plan_of(tmp_path, write_csv(tmp_path / "in.csv", draw_texts(1500)))
    entry = json.loads(Path(path).read_text(encoding="utf-8"))
    assert set(entry) == {"schema", "rows", "reading", "inputs", "shards"}
    assert entry["inputs"] == [{"name": str(tmp_path / "in.csv"), "bytes": (tmp_path / "in.csv").stat().st_size}]
    assert set(entry["shards"][1]) == {"input", "part", "sha256", "output"}
    assert plan.shards[1].part.first_byte > 0
