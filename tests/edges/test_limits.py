"""Numbers beyond what makes sense: refused at every door, by the record that holds them, with what can be used."""

import math
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import run_driftgate
from nested_pytest import run_pytest

from driftgate.bench.grid import make_shapes, open_grid
from driftgate.bench.sweep import Sweep
from driftgate.edges import limits
from driftgate.edges.limits import Limit
from driftgate.errors import OptionError
from driftgate.gate.rule import GateOptions, SpeedRule
from driftgate.inputs.batches import ArrivalPlan, BudgetPlan, Shape
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import load_encoder
from driftgate.predict.job import PredictionJob
from driftgate.run.device import Device, RunSettings, available_threads
from driftgate.verify.archive import unpacked

TABLE = {name: value for name, value in vars(limits).items() if isinstance(value, Limit)}
CORES = os.cpu_count() or 1
USABLE = (
    f"expected a whole number from 1 to {CORES:,}, the cores of this machine ({available_threads()} can be used here)"
)


@pytest.mark.parametrize("limit", TABLE.values(), ids=TABLE)
def test_a_limit_takes_its_ends_and_nothing_beyond_them(limit: Limit) -> None:
    limit.require(limit.least)
    limit.require(limit.most)
    for beyond in (limit.least - 1, limit.most + 1):
        with pytest.raises(OptionError, match=f"^{limit.name} .*: expected a .*number from .* to {limit.most:,}"):
            limit.require(beyond)


@pytest.mark.parametrize("limit", TABLE.values(), ids=TABLE)
def test_what_is_no_number_is_refused(limit: Limit) -> None:
    for value in (
        True,
        math.nan,
        math.inf,
        -math.inf,
        "1",
        None,
        10**5000,
        -(10**5000),
        *((1.5,) if limit.whole else ()),
    ):
        with pytest.raises(OptionError, match="expected a"):
            limit.require(value)


@pytest.mark.parametrize(
    "text", ["", " 2", "-1", "+1", "1.5", "1e3", "x", "²", "٣", "0x1", "1_0", pytest.param("9" * 5000, id="long")]
)
def test_text_that_is_no_count_is_refused_in_the_option_s_name(text: str) -> None:
    with pytest.raises(OptionError, match=r"^--rows '.*': expected a whole number from 1 to 4,096$"):
        limits.BATCH_SIZE.read(text, "--rows")


@pytest.mark.parametrize(
    ("text", "numbers"), [("1", (1,)), ("1,8,32", (1, 8, 32)), (" 32 , 1 ", (32, 1)), ("4096", (4096,))]
)
def test_a_list_is_read_in_the_order_given(text: str, numbers: tuple[int, ...]) -> None:
    assert limits.BATCH_SIZE.read_list(text, "--batch-sizes") == numbers


TOO_MANY = ",".join(map(str, range(1, 66)))


@pytest.mark.parametrize(
    "text", ["", ",", "8,", "0", "8,0", "1 8", "1;8", "8,8", "1,8,01", "4097", "1,x", pytest.param(TOO_MANY, id="many")]
)
def test_a_list_of_anything_but_different_counts_is_refused(text: str) -> None:
    with pytest.raises(
        OptionError, match=r"^--batch-sizes '.*': expected a whole number from 1 to 4,096, or up to 64 diff"
    ):
        limits.BATCH_SIZE.read_list(text, "--batch-sizes")


def gate_options(seconds: float) -> GateOptions:
    return GateOptions(True, False, Path(), "", "", SpeedRule(), seconds, True, False, ())


DOORS: dict[str, Callable[[Any], object]] = {
    "threads": RunSettings,
    "device number": lambda value: Device("cuda", value),
    "batch size": ArrivalPlan,
    "token budget": BudgetPlan,
    "rows of a shape": lambda value: Shape(value, 1),
    "tokens of a shape": lambda value: Shape(1, value),
    "workers of a bench": lambda value: Sweep(workers=(1, value)),
    "threads of a bench": lambda value: Sweep(threads=(1, value)),
    "blocks of a bench": lambda value: Sweep(blocks=value),
    "rows of a bench": lambda value: Sweep(rows=value),
    "seed of a bench": lambda value: Sweep(seed=value),
    "rows of a corpus": Corpus("x", ("a", "b"), ("1", "2"), None).sample,
    "seconds of a gate": gate_options,
    "added work of a gate": lambda value: replace(gate_options(600), work_limit=value),
}


@pytest.mark.parametrize("value", [-1, True, math.nan, math.inf, "2", 10**30])
@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_the_records_of_the_library_refuse_what_is_no_count(door: Callable[[Any], object], value: object) -> None:
    with pytest.raises(OptionError, match="expected"):
        door(value)


@pytest.mark.parametrize(
    "wrong",
    [{"token_budget": 10**9}, {"window_rows": 10**9}, {"top": -1}, {"top": True}, {"commit_seconds": math.nan},
     {"thresholds": (0.5, 0.5, math.nan, 0.5)}, {"thresholds": (0.5, 0.5, 2, 0.5)}],
    ids=str,
)  # fmt: skip
def test_a_job_refuses_numbers_that_it_cannot_use(tiny_encoder: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="expected a"):
        PredictionJob(load_encoder(tiny_encoder), "torch", "in.txt", "out.csv", **wrong)


def test_workers_and_threads_are_limited_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    Sweep(workers=(1, 64), threads=(1, 4))
    with pytest.raises(OptionError, match=r"workers x threads 4096: expected a whole number from 1 to 256"):
        Sweep(workers=(1, 64), threads=(1, 64))


@pytest.mark.parametrize(("batch_size", "sequence_length"), [(1025, 1024), (5000, 1), (1, 0)])
def test_a_grid_beyond_memory_is_refused(batch_size: int, sequence_length: int) -> None:
    with pytest.raises(OptionError, match="expected a whole number from 1 to"):
        make_shapes((batch_size,), (sequence_length,))


def test_a_grid_of_too_many_shapes_is_refused_before_any_of_them_is_made() -> None:
    with pytest.raises(OptionError, match="shapes of a grid 1024: expected a whole number from 1 to 256"):
        make_shapes(range(1, 33), range(1, 33))


def test_a_grid_s_threads_are_refused_before_anything_is_built() -> None:
    with pytest.raises(OptionError, match="threads 9999: "):
        open_grid((), (), threads=(1, 9999), device=Device())


def test_an_archive_may_not_unpack_to_more_than_is_free(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar"
    archive.write_bytes(b"")
    with pytest.raises(OptionError, match=r"max_bytes \d+: expected a whole number from 1 to .*, what is free in"):  # noqa: SIM117
        with unpacked(archive, 10**18):
            pass


def test_a_gate_that_overlooks_a_doubled_time_is_refused() -> None:
    for wrong in (1.01, math.inf, math.nan, -0.1):
        with pytest.raises(ValueError, match="expected a share above 0 and up to 1"):
            SpeedRule(detect=wrong)


THREADS = ("--threads", 9999)
COMMANDS: dict[str, tuple[tuple[object, ...], str]] = {
    "predict, threads": (("predict", "ENCODER", "hello", *THREADS), f"threads 9999: {USABLE}"),
    "predict, token budget": (("predict", "ENCODER", "hello", "--token-budget", 10**9), "token budget 1000000000: expected"),
    "predict, top": (("predict", "ENCODER", "hello", "--top", 10**9), "top 1000000000: expected"),
    "publish, threads": (("publish", "ENCODER", "--backends", "onnx-fp32", "--out", "out", *THREADS), f"threads 9999: {USABLE}"),
    "publish, rows": (
        ("publish", "ENCODER", "--backends", "onnx-fp32", "--out", "out", "--corpus-rows", 10**9),
        "corpus rows 1000000000: expected",
    ),
    "ledger, rows": (
        ("ledger", "ENCODER", "--backends", "onnx-fp32", "--corpus-rows", 10**9), "drawn from a corpus 1000000000: expected"
    ),
    "verify, threads": (("verify", "ENCODER", *THREADS), f"threads 9999: {USABLE}"),
    "doctor, threads": (("doctor", *THREADS), f"threads 9999: {USABLE}"),
    "bench, threads": (("bench", "ENCODER", "--threads", "1,9999"), f"--threads '1,9999': {USABLE}"),
    "bench, workers": (("bench", "ENCODER", "--workers", "9999"), f"--workers '9999': {USABLE}"),
    "bench, batch sizes": (("bench", "ENCODER", "--batch-sizes", "1,5000"), "--batch-sizes '1,5000': expected"),
    "bench, token budget": (("bench", "ENCODER", "--token-budget", 10**9), "token budget 1000000000: expected"),
    "bench, rows": (("bench", "ENCODER", "--corpus-rows", 10**9), "corpus rows 1000000000: expected"),
    "bench, blocks": (("bench", "ENCODER", "--blocks", 10**9), "blocks 1000000000: expected"),
    "bench, seed": (("bench", "ENCODER", "--seed", 10**30), "seed of 100 bits: expected"),
    "grid, batch sizes": (("grid", "ENCODER", "--batch-sizes", "5000"), "--batch-sizes '5000': expected"),
    "grid, sequence lengths": (("grid", "ENCODER", "--sequence-lengths", "0"), "--sequence-lengths '0': expected"),
    "grid, threads": (("grid", "ENCODER", *THREADS), f"--threads '9999': {USABLE}"),
    "grid, calls": (("grid", "ENCODER", "--test-times", 10**9), "test times 1000000000: expected"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "words"), COMMANDS.values(), ids=COMMANDS)
def test_a_command_refuses_the_number_before_it_builds_or_starts_anything(
    arguments: tuple[object, ...], words: str, tiny_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("it went on")

    for started in ("driftgate.pipeline.build_artifact", "driftgate.measure.workers.start_worker"):
        monkeypatch.setattr(started, never)
    monkeypatch.chdir(tmp_path)
    result = run_driftgate(*(tiny_encoder if given == "ENCODER" else given for given in arguments))
    assert result.exit_code == 4, result.output
    assert words in result.stderr
    assert threading.active_count() < 100


OPTIONS = {
    "threads": ("9999", USABLE),
    "batch_sizes": ("1,5000", "expected a whole number from 1 to 4,096"),
    "token_budget": ("1000000000", "expected a whole number from 1 to 1,048,576"),
    "sample_rows": ("1000000000", "expected a whole number from 1 to 100,000"),
    "corpus_rows": ("1000000000", "expected a whole number from 0 to 10,000,000, 0 for all"),
    "gate_budget": ("9" * 400, "expected a number from 0.001 to 604,800 seconds"),
    "gate_detect": ("150%", "expected a share above 0 and up to 1, such as 0.1 for 10%"),
}


def refused(folder: Path, *arguments: str) -> str:
    code, output = run_pytest(folder, ["-p", "no:cacheprovider", *arguments], folder / "cache")
    assert code == 4, output
    assert "Traceback" not in output
    return output


@pytest.mark.parametrize("name", OPTIONS)
def test_pytest_refuses_the_number_from_the_command_line_an_ini_file_and_a_hook(name: str, tmp_path: Path) -> None:
    value, words = OPTIONS[name]
    flag = f"--{name.replace('_', '-')}" if name.startswith("gate") else f"--driftgate-{name.replace('_', '-')}"
    gate = ["--gate"] if name.startswith("gate") else []
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    assert words in refused(tmp_path, *gate, f"{flag}={value}")
    (tmp_path / "pytest.ini").write_text(f"[pytest]\ndriftgate_{name} = {value}\n", encoding="utf-8")
    assert words in refused(tmp_path, *gate)
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    hook = f"def pytest_driftgate_defaults(config):\n    return {{{name!r}: {value!r}}}\n"
    (tmp_path / "conftest.py").write_text(hook, encoding="utf-8")
    assert words in refused(tmp_path, *gate)


@pytest.mark.parametrize("value", ["0", "True", "2.5", "float('nan')"])
def test_a_hook_s_numbers_are_held_to_the_same_limits(value: str, tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    hook = f"def pytest_driftgate_defaults(config):\n    return {{'sample_rows': {value}}}\n"
    (tmp_path / "conftest.py").write_text(hook, encoding="utf-8")
    assert "--driftgate-sample-rows" in refused(tmp_path)


def test_a_hook_may_give_numbers_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    hook = "def pytest_driftgate_defaults(config):\n    return {'threads': 1, 'batch_sizes': 4, 'gate_budget': 5.0}\n"
    (tmp_path / "conftest.py").write_text(hook, encoding="utf-8")
    code, output = run_pytest(tmp_path, ["-p", "no:cacheprovider"], tmp_path / "cache")
    assert code == 5, output  # no tests here


def test_a_number_of_cores_in_the_environment_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "many")
    with pytest.raises(OptionError, match="LOKY_MAX_CPU_COUNT=many: expected a whole number"):
        available_threads()
