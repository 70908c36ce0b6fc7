"""`driftgate bench`: a published file timed in real workers, what is refused, and what an interruption leaves."""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from command_line import run_driftgate

from driftgate.bench.measure_bench import Measured
from driftgate.bench.sweep import Bench
from driftgate.bench.throughput_files import read_throughput_table
from driftgate.cli import bench_command as command
from driftgate.errors import WorkerError
from driftgate.measure.timings import Block

Command = Callable[..., Any]


@pytest.fixture
def bench(warm_cache: Path) -> Command:
    return partial(run_driftgate, "bench")


@pytest.fixture
def published(tiny_encoder: Path, tmp_path: Path) -> Path:
    """A model file beside the tiny encoder's tokenizer: logits are sums of token ids."""
    import onnx
    from onnx import TensorProto, helper

    folder = tmp_path / "published"
    shutil.copytree(tiny_encoder, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, ["batch", "sequence"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 4])
    nodes = [
        helper.make_node("Mul", ["input_ids", "attention_mask"], ["real"]),
        helper.make_node("Cast", ["real"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["floats", "axis"], ["sum"], keepdims=1),
        helper.make_node("MatMul", ["sum", "weights"], ["logits"]),
    ]
    constants = [
        helper.make_tensor("axis", TensorProto.INT64, [1], [1]),
        helper.make_tensor("weights", TensorProto.FLOAT, [1, 4], [1.0, -1.0, 0.5, 0.0]),
    ]
    graph = helper.make_graph(nodes, "sums", [ids, mask], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def assert_refused(result: Any, *words: str) -> None:
    assert result.exit_code == 4, result.output
    assert result.stdout == ""
    for word in words:
        assert word in result.stderr


def test_a_published_file_is_timed_in_workers_and_everything_is_written(
    bench: Command, published: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    arguments = (published, "--corpus-rows", 40, "--batch-sizes", "1,8", "--workers", "1,2", "--out", out)
    result = bench(*arguments)
    assert result.exit_code == 0, result.output
    assert re.search(r"(?m)^ b8 +2 x 1\*? +\d+% +artifact-model +[\d.]+ \[", result.stdout)
    assert "best of artifact-model" in result.stdout
    assert "6 configurations, 3 blocks of each" in result.stderr
    document = json.loads((out / "bench.json").read_text(encoding="utf-8"))
    assert document["complete"] is True
    assert document["corpora"]["normal"]["rows"] == 40
    assert document["backends"]["artifact-model"]["provider"] == "CPUExecutionProvider"
    assert document["backends"]["artifact-model"]["worker_bytes"] > 10e6
    plans = [(one["plan"], one["workers"], one["rows"], len(one["blocks"])) for one in document["configurations"]]
    assert plans == [(plan, workers, 40, 3) for workers in (1, 2) for plan in ("b1", "b8", "budget")]
    for one in document["configurations"]:
        assert all(len(block["worker_seconds"]) == one["workers"] for block in one["blocks"])
        assert one["ratio_to_anchor"]["median"] == 1.0
    (path,) = out.glob("*.tsv")
    table = read_throughput_table(path)
    assert (table.backend, table.corpus) == ("artifact-model", "normal")
    assert [(row.workers, row.batch_size) for row in table.points] == [(1, 1), (1, 8), (2, 1), (2, 8)]
    by_size = {(one["workers"], one["batch_size"]): one for one in document["configurations"]}
    for row in table.points:
        median = by_size[row.workers, row.batch_size]["texts_per_second"]["median"]
        assert row.texts_per_second == pytest.approx(median, abs=0.005)
    before = (out / "bench.json").read_bytes()
    assert_refused(bench(*arguments), "holds results already", "--overwrite")
    assert (out / "bench.json").read_bytes() == before


def pretend(monkeypatch: pytest.MonkeyPatch, end: BaseException | None) -> None:
    """Measure one configuration, then end so."""

    def measure(bench: Bench, measured: Measured, **_: object) -> None:
        for number, key in enumerate(bench.plan):
            if end is not None and number:
                raise end
            measured.blocks[key] = [Block(0, 0, (0,), (10**9,))]
        if end is not None:
            raise end

    monkeypatch.setattr(command, "measure_bench", measure)


@pytest.mark.parametrize(
    ("end", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (WorkerError("x, worker 1 of 1: it died at 'run'"), 4, "x, worker 1 of 1: it died"),
    ],
)
def test_what_was_measured_before_the_end_is_written(
    end: BaseException,
    code: int,
    words: str,
    bench: Command,
    published: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, end)
    result = bench(
        published, "--corpus-rows", 10, "--plans", "arrival", "--batch-sizes", "1,8", "--out", tmp_path / "out"
    )
    assert result.exit_code == code
    assert words in result.stderr
    assert "best of artifact-model: 10.0 texts/s, plan b1" in result.stdout
    document = json.loads((tmp_path / "out/bench.json").read_text(encoding="utf-8"))
    assert document["complete"] is False
    (only,) = document["configurations"]
    assert only["plan"] == "b1"
    assert len(list((tmp_path / "out").glob("*.tsv"))) == 1


def test_a_run_that_is_called_off_keeps_what_is_done_as_after_ctrl_c(
    bench: Command, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(bench: Bench, measured: Measured, **_: object) -> None:
        measured.blocks[next(iter(bench.plan))] = [Block(0, 0, (0,), (10**9,))]
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)

    monkeypatch.setattr(command, "measure_bench", measure)
    before = signal.getsignal(signal.SIGTERM)
    result = bench(published, "--corpus-rows", 10, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert json.loads((tmp_path / "out/bench.json").read_text(encoding="utf-8"))["complete"] is False
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_interruption_before_the_first_block_writes_nothing(
    bench: Command, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "measure_bench", measure)
    result = bench(published, "--corpus-rows", 10, "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (130, "")
    assert not (tmp_path / "out").exists()


def test_texts_are_timed_whosever_labels_stand_beside_them(
    bench: Command, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend(monkeypatch, None)
    (tmp_path / "my_own.csv").write_text("body,label\nhello there,spam\nwell,ham\n", encoding="utf-8")
    arguments = ("--corpus", tmp_path / "my_own.csv", "--text-column", "body", "--out", tmp_path / "out")
    result = bench(published, "--batch-sizes", "1", *arguments)
    assert result.exit_code == 0, result.output
    assert "my_own: 2 rows" in result.stdout
    (path,) = (tmp_path / "out").glob("*.tsv")
    assert path.name.endswith("_artifact-model_my-own.tsv")


def test_more_threads_than_cores_are_said(bench: Command, published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, None)
    monkeypatch.setattr(command, "available_threads", lambda: 1)
    result = bench(published, "--corpus-rows", 10, "--plans", "budget", "--workers", "1", "--threads", "1,2")
    assert result.exit_code == 0, result.output
    assert "oversubscribed: 1 worker x 2 threads on 1 core" in result.stderr
    assert result.stderr.count("oversubscribed") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--plans", "arival"), "expected arrival, budget or arrival,budget"),
        (("--plans", ""), "expected arrival, budget or arrival,budget"),
        (("--workers", "0"), "--workers '0': expected a whole number from 1 to"),
        (("--threads", "1,1"), "--threads '1,1': expected a whole number from 1 to"),
        (("--batch-sizes", "1,x"), "--batch-sizes '1,x'"),
        (("--backends", "onnx-fp32,onnx-fp32"), "given twice"),
        (("--corpus-rows", "1", "--workers", "2"), "too few for 2 workers"),
        (("--corpus", "normal", "--corpus", "normal"), "two of them have the same name"),
        (("--corpus", "nowhere.csv"), "no such file"),
        (("--text-column", "body"), "--text-column 'body'"),
        (("--device", "tpu"), "expected cpu, cuda or cuda:N"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_a_worker_starts(
    arguments: tuple[str, ...], words: str, bench: Command, tiny_encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("it went on to measure")

    monkeypatch.setattr(command, "measure_bench", never)
    monkeypatch.setattr("driftgate.bench.sweep.prepare_backend", never)
    assert_refused(bench(tiny_encoder, *arguments), words)


def test_a_graphics_card_that_is_not_there_is_refused_with_the_reason(bench: Command, published: Path) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has one")
    assert_refused(bench(published, "--device", "cuda:0"), "device cuda:0: torch sees no CUDA device")


def test_the_help_shows_examples(bench: Command) -> None:
    result = bench("--help")
    assert result.exit_code == 0
    _, _, examples = result.stdout.partition("Examples:")
    assert examples.count("driftgate bench ") >= 3
