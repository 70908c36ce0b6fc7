"""The throughput benchmark but for its processes: what is dealt, timed in which order, computed, written and shown."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftgate.bench.bench_results import ThroughputRun, render_run, result_names, to_json, write_run
from driftgate.bench.sweep import Sweep
from driftgate.bench.throughput_files import (
    Point,
    file_name,
    name_part,
    read_throughput_table,
    render_throughput_table,
    require_free,
)
from driftgate.errors import OptionError, ResultsError
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.measure.shares import read_tokens, write_tokens
from driftgate.measure.timings import Block, Configuration, Throughput, Work, estimate_seconds, paired_seconds
from driftgate.measure.workers import Task, deal_batches, order_tasks, time_tasks

WORK = Work(rows=100, batches=10, real_tokens=900, padded_tokens=1200)


def configuration(
    backend: str = "torch", plan: str = "b8", workers: int = 1, threads: int = 1, corpus: str = "normal"
) -> Configuration:
    size = None if plan == "budget" else int(plan[1:])
    return Configuration(backend, corpus, plan, size, workers, threads)


def block(number: int, seconds: float) -> Block:
    """One worker that started on time."""
    return Block(number, 0, (0,), (round(seconds * 1e9),))


def throughput(one: Configuration, *seconds: float, work: Work = WORK) -> Throughput:
    return Throughput(one, work, tuple(block(number, each) for number, each in enumerate(seconds)))


def run_of(*throughputs: Throughput, complete: bool = True) -> ThroughputRun:
    backends = dict.fromkeys(each.configuration.backend for each in throughputs)
    header = {
        "device": {"name": "NVIDIA H200", "kind": "cuda:0"},
        "cores": 2,
        "corpora": {
            "normal": {"rows": 100, "name_in_files": "normal"},
            "long": {"rows": 100, "name_in_files": "filtered"},
        },
        "backends": {name: {"precision": "fp32"} for name in backends},
    }
    return ThroughputRun(header, {"torch": {"provider": "cpu"}}, throughputs, complete)


# What is dealt and timed


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
def test_every_batch_is_dealt_once_and_no_worker_has_a_batch_more_to_do_than_another(workers: int) -> None:
    tokens = np.random.default_rng(workers).integers(1, 500, 40).tolist()
    shares = deal_batches(tokens, workers)
    assert sorted(index for share in shares for index in share) == list(range(40))
    assert all(share == sorted(share) for share in shares)
    loads = [sum(tokens[index] for index in share) for share in shares]
    assert max(loads) - min(loads) <= max(tokens)


def test_fewer_batches_than_workers_cannot_be_dealt() -> None:
    with pytest.raises(ValueError, match="each of 3 workers, found 2"):
        deal_batches([5, 5], 3)


def test_the_slowest_worker_decides_and_a_late_start_counts() -> None:
    late = Block(0, start_ns=0, begun_ns=(0, 500_000_000), ended_ns=(1_000_000_000, 2_500_000_000))
    assert late.seconds == 2.5
    assert late.worker_seconds == (1.0, 2.0)
    assert late.latest_start_seconds == 0.5
    # Neither the mean of the workers, nor the sum of their own speeds.
    assert Throughput(configuration(workers=2), WORK, (late,)).texts_per_second == (40.0,)


def test_only_blocks_that_both_have_are_compared() -> None:
    one = Throughput(configuration(), WORK, (block(0, 1.0), block(1, 2.0), block(2, 3.0)))
    other = Throughput(configuration("onnx-fp32"), WORK, (block(2, 0.5), block(1, 0.25)))
    assert paired_seconds(one, other) == ([2.0, 3.0], [0.5, 0.25])


def test_what_ran_before_is_expected_to_take_as_long_and_the_rest_by_its_tokens() -> None:
    known = [throughput(configuration(), 9.0, 4.0), throughput(configuration("onnx-int8"), 1.0)]
    assert estimate_seconds(known, {configuration(): WORK}) == 4.0
    twice = Work(100, 10, 900, 2400)
    assert estimate_seconds(known, {configuration(plan="b32"): twice}) == pytest.approx(8.0)
    assert estimate_seconds(known, {configuration(plan="b32", workers=2): twice}) == pytest.approx(4.0)
    assert estimate_seconds(known, {configuration("onnx-fp32"): WORK}) == pytest.approx(2.5)
    with pytest.raises(ValueError, match="at least one measured"):
        estimate_seconds([], {configuration(): WORK})


def tasks(*configurations: Configuration) -> list[Task]:
    return [Task(one, Path("tokens"), (((0,),),) * one.workers) for one in configurations]


SWEEP = tasks(
    *(
        configuration(backend, plan)
        for plan in ("b1", "b8", "budget")
        for backend in ("torch", "onnx-fp32", "onnx-int8")
    )
)


def test_the_backends_of_a_cell_run_one_after_another_in_an_order_drawn_by_lot() -> None:
    generator = np.random.default_rng(0)
    firsts, cells = set(), set()
    for _ in range(20):
        order = [task.configuration for task in order_tasks(SWEEP, generator, by_team=False)]
        assert sorted(map(str, order)) == sorted(str(task.configuration) for task in SWEEP)
        for start in (0, 3, 6):
            assert len({one.cell for one in order[start : start + 3]}) == 1
        firsts.add(order[0].backend)
        cells.add(order[0].plan)
    assert firsts == {"torch", "onnx-fp32", "onnx-int8"}
    assert cells == {"b1", "b8", "budget"}


class Recorder:
    """Opens teams that answer at once, and writes down what happens."""

    def __init__(self) -> None:
        self.said: list[str] = []

    @contextmanager
    def open_team(self, backend: str, threads: int) -> Iterator[Any]:
        self.said.append(f"open {backend} {threads}")
        try:
            yield self
        finally:
            self.said.append(f"close {backend} {threads}")

    def time_block(self, number: int, tokens: Path, shares: Any) -> Block:
        self.said.append("time")
        return block(number, 1.0)


def test_kept_teams_are_all_loaded_before_anything_is_timed_and_run_every_block() -> None:
    recorder = Recorder()
    found = list(time_tasks(SWEEP, recorder.open_team, blocks=3, keep=True))
    assert recorder.said[:3] == ["open torch 1", "open onnx-fp32 1", "open onnx-int8 1"]
    assert recorder.said[3:-3] == ["time"] * 27
    assert {said.split()[0] for said in recorder.said[-3:]} == {"close"}
    for task in SWEEP:
        assert [at.number for one, at in found if one == task.configuration] == [0, 1, 2]


def test_fresh_teams_are_loaded_one_at_a_time_and_anew_in_every_block() -> None:
    recorder = Recorder()
    list(time_tasks(SWEEP, recorder.open_team, blocks=2, keep=False))
    loaded = 0
    for said in recorder.said:
        loaded += {"open": 1, "close": -1, "time": 0}[said.split()[0]]
        assert loaded <= 1
    opened = [said for said in recorder.said if said.startswith("open")]
    # A team that is the last of one block and the first of the next may stay.
    assert 5 <= len(opened) <= 6
    assert recorder.said.count("time") == 18


def test_an_interruption_between_blocks_closes_every_team() -> None:
    recorder = Recorder()
    timed = time_tasks(SWEEP, recorder.open_team, blocks=3, keep=True)
    next(timed)
    with pytest.raises(KeyboardInterrupt):
        timed.throw(KeyboardInterrupt)  # type: ignore[attr-defined] - a generator
    assert sum(said.startswith("close") for said in recorder.said) == 3


@pytest.mark.parametrize("types", [True, False])
def test_tokens_come_back_from_their_file_as_they_were(types: bool, tmp_path: Path) -> None:
    ids = tuple(np.arange(length, dtype=np.int64) for length in (3, 1, 5))
    tokens = TokenizedTexts(ids, ids[::1] if types else None, (False, False, True), 7, 1, "left")
    write_tokens(tmp_path / "tokens.npz", tokens)
    found = read_tokens(tmp_path / "tokens.npz")
    for wrote, read in zip(ids, found.input_ids, strict=True):
        np.testing.assert_array_equal(wrote, read)
    assert (found.token_type_ids is not None) == types
    assert (found.truncated, found.pad_token_id, found.pad_token_type_id) == ((False, False, True), 7, 1)
    assert found.padding_side == "left"


@pytest.mark.parametrize("wrong", [{"workers": ()}, {"threads": (0,)}, {"blocks": 0}, {"rows": -1}])
def test_a_sweep_over_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="expected"):
        Sweep(**wrong)


# Tables of the guide


def test_a_table_is_named_and_written_as_the_guide_does_it() -> None:
    points = (Point(2, 1, 10.0), Point(1, 32, 2259.301), Point(1, 4, 1 / 3))
    key = (name_part("NVIDIA GeForce RTX 5060 Ti"), "onnx-fp16", "normal")
    assert file_name(key) == "NVIDIA-GeForce-RTX-5060-Ti_onnx-fp16_normal.tsv"
    assert render_throughput_table(points) == "workers\tsize\tmessages/s\n1\t4\t0.33\n1\t32\t2259.30\n2\t1\t10.00\n"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "Intel-Xeon-Platinum-8481C-CPU-2.70GHz"),
        ("random_sample_10k", "random-sample-10k"),
        ("../x", "..-x"),
        ("", "unknown"),
    ],
)
def test_no_part_of_a_name_has_an_underscore_or_a_separator(name: str, part: str) -> None:
    assert name_part(name) == part


def test_the_guides_own_files_are_read_and_written_to_the_byte(data_folder: Path) -> None:
    files = sorted((data_folder / "guide_results").glob("*.tsv"))
    assert files
    for path in files:
        table = read_throughput_table(path)
        assert file_name((table.device, table.backend, table.corpus)) == path.name
        assert render_throughput_table(table.points) == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a_b.tsv", "", "DEVICE_BACKEND_CORPUS"),
        ("a_b_c_d.tsv", "", "DEVICE_BACKEND_CORPUS"),
        ("a_b_c.tsv", "", "empty"),
        ("a_b_c.tsv", "workers\tsize\n1\t2\n", "line 1: expected the columns workers, size, messages/s"),
        ("a_b_c.tsv", "workers\tsize\tmessages/s\n", "no rows"),
        ("a_b_c.tsv", "workers\tsize\tmessages/s\n1\t1\t5.0\n1\t2\tfast\n", "line 3: .*found '1.t2.tfast'"),
        ("a_b_c.tsv", "workers\tsize\tmessages/s\n1\t1\tnan\n", "line 2"),
        ("a_b_c.tsv", "workers\tsize\tmessages/s\n1\t0\t5.0\n", "line 2"),
        ("a_b_c.tsv", "workers\tsize\tmessages/s\n1\t1\n", "line 2"),
    ],
)
def test_a_table_that_is_none_is_refused_with_its_line(name: str, content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ResultsError, match=words):
        read_throughput_table(tmp_path / name)


# Results


def test_the_tables_hold_the_medians_of_the_arrival_plan_and_the_rest_is_in_the_json(tmp_path: Path) -> None:
    run = run_of(
        throughput(configuration(plan="b1"), 4.0, 1.0, 2.0),
        throughput(configuration("onnx-int8", "b1"), 1.0, 0.5, 0.5),
        throughput(configuration(plan="budget"), 1.0, 1.0, 1.0),
        throughput(configuration(plan="b1", workers=2), 1.0, 1.0, 1.0),
        throughput(configuration(plan="b1", corpus="long"), 10.0, 10.0, 10.0),
    )
    paths = write_run(run, tmp_path / "out")
    assert {path.name for path in paths} == {
        "bench.json",
        "NVIDIA-H200_torch_normal.tsv",
        "NVIDIA-H200_onnx-int8_normal.tsv",
        "NVIDIA-H200_torch_filtered.tsv",
    }
    every = [each.configuration for each in run.throughputs]
    assert [path.name for path in paths] == result_names(run.header, every)
    torch = read_throughput_table(tmp_path / "out/NVIDIA-H200_torch_normal.tsv")
    assert torch.points == (Point(1, 1, 50.0), Point(2, 1, 100.0))
    document = json.loads((tmp_path / "out/bench.json").read_text(encoding="utf-8"))
    assert document["complete"] is True
    assert document["anchor"] == "torch"
    assert document["backends"]["torch"] == {"precision": "fp32", "provider": "cpu"}
    first, second, budget, *_ = document["configurations"]
    assert first["texts_per_second"] == {"median": 50.0, "min": 25.0, "max": 100.0}
    assert [entry["seconds"] for entry in first["blocks"]] == [4.0, 1.0, 2.0]
    assert first["padding_share"] == pytest.approx(0.25)
    # Block by block: 4/1, 1/0.5, 2/0.5, not the ratio of the medians.
    assert second["ratio_to_anchor"] == {"median": 4.0, "low": 2.0, "high": 4.0, "blocks": 3}
    assert budget["batch_size"] is None


def test_several_thread_counts_get_a_table_each() -> None:
    run = run_of(throughput(configuration(threads=1), 1.0), throughput(configuration(threads=2), 1.0))
    names = result_names(run.header, [each.configuration for each in run.throughputs])
    assert names == ["bench.json", "NVIDIA-H200_torch-t1_normal.tsv", "NVIDIA-H200_torch-t2_normal.tsv"]


def test_two_blocks_give_a_speed_but_no_ratio() -> None:
    run = run_of(
        throughput(configuration(), 1.0, 2.0), throughput(configuration("onnx-int8"), 1.0, 1.0), complete=False
    )
    _, second = to_json(run)["configurations"]
    assert second["ratio_to_anchor"] is None
    shown = render_run(run, 100)
    assert "a speedup needs at least 3 blocks" in shown
    assert "speedup [min, max]" in shown
    assert "speedup: relative to torch" in shown


def test_the_terminal_shows_speed_spread_ratio_and_who_takes_turns() -> None:
    run = run_of(
        throughput(configuration(workers=4), 4.0, 1.0, 2.0),
        throughput(configuration("onnx-int8", workers=4), 1.0, 0.5, 0.5),
    )
    lines = render_run(run, 100).splitlines()
    assert " ".join(lines[:2]).startswith(
        "normal: 100 rows on NVIDIA H200, 2 cores; medians of 3 blocks; speedup: relative to torch"
    )
    (row,) = [line for line in lines if "onnx-int8 " in line and "4 x 1*" in line]
    assert "200.0 [100.0, 200.0]" in row
    assert "4.00 [2.00, 4.00]" in row
    assert "25%" in row
    assert "* more threads than the 2 cores of the machine, so that they take turns" in lines
    assert lines[-1] == "best of onnx-int8: 200.0 texts/s, plan b8, workers x threads 4 x 1"


def test_results_are_not_written_over_others(tmp_path: Path) -> None:
    require_free(tmp_path / "new", ["bench.json"])
    require_free(tmp_path, ["bench.json"])
    (tmp_path / "bench.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ResultsError, match=r"holds results already \(bench.json\).*overwrite=True"):
        require_free(tmp_path, ["other.tsv", "bench.json"])
    with pytest.raises(ResultsError, match="expected a folder, found a file"):
        require_free(tmp_path / "bench.json", [])


def test_a_result_that_cannot_be_written_whole_leaves_the_old_one(tmp_path: Path) -> None:
    write_run(run_of(throughput(configuration(), 1.0)), tmp_path)
    before = (tmp_path / "bench.json").read_text(encoding="utf-8")
    endless = run_of(throughput(configuration(), 1.0), throughput(configuration("onnx-int8"), 0.0))
    with np.errstate(all="ignore"), pytest.raises((ValueError, ZeroDivisionError)):
        write_run(endless, tmp_path)
    assert (tmp_path / "bench.json").read_text(encoding="utf-8") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["NVIDIA-H200_torch_normal.tsv", "bench.json"]
