"""`driftgate grid`: what is timed, in which order, and whether each column says what its name says."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import pytest
import torch
from command_line import run_driftgate
from tiny_encoders import make_encoder

from driftgate.backends import REGISTRY, BackendSpec, Precision, Runtime
from driftgate.bench.grid import Grid, make_shapes, open_grid
from driftgate.bench.grid_table import (
    COLUMNS,
    GridCell,
    GridRow,
    render_grid_csv,
    render_grid_summary,
    summarize_latency,
)
from driftgate.builder.models import Model
from driftgate.cli.grid_command import DETAILS, SUMMARY
from driftgate.errors import NonFiniteLogitsError, SequenceTooLongError
from driftgate.inputs.batches import Shape, random_batch
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import load_tokenizer
from driftgate.measure.visits import ROUNDS, WARM_UP_CALLS, Cell, Visit, split_calls, visit_cells
from driftgate.pipeline import open_backend
from driftgate.publish.unjudged import build
from driftgate.run.backend import InForce
from driftgate.run.device import Device, RunSettings
from driftgate.run.onnx_backend import OnnxBackend

CPU = Device()
SHAPES = (Shape(1, 8), Shape(3, 16))
NOON = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
ABOUT = GridCell(
    "onnxruntime", "1.31.0", "CPUExecutionProvider", "cpu", "int8", "optimize-basic", True, "tiny", 2, 1, 4, 32
)


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


@pytest.fixture
def torch_threads() -> Iterator[None]:
    """torch's thread count belongs to the process: put it back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


class Machine:
    """A clock that only calls move, and a record of what was done."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.done: list[str] = []

    def read(self) -> float:
        return self.seconds

    def cell(self, name: str, *milliseconds: float) -> Cell:
        """A cell whose calls take these times in turn, the last one from then on."""
        left = list(milliseconds)

        def call() -> None:
            self.seconds += (left.pop(0) if len(left) > 1 else left[0]) / 1e3
            self.done.append(name)

        return Cell(name, lambda: self.done.append(f"settle {name}"), call)


def open_(encoder: Encoder, backends: str, shapes: tuple[Shape, ...] = SHAPES, threads: tuple[int, ...] = (1,)) -> Grid:
    return open_grid(models_of(encoder, backends), shapes, threads=threads, device=CPU)


def models_of(encoder: Encoder, backends: str) -> list[Model]:
    return [Model(encoder, backend) for backend in backends.split(",")]


def read_csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# Shapes


def test_a_grid_is_every_batch_size_with_every_length() -> None:
    assert make_shapes((1, 4), (8, 32)) == (Shape(1, 8), Shape(1, 32), Shape(4, 8), Shape(4, 32))


def test_a_batch_has_random_ordinary_tokens_and_no_padding(encoder: Encoder) -> None:
    batch = random_batch(encoder, Shape(40, 60))
    special = load_tokenizer(encoder).all_special_ids
    assert batch.input_ids.shape == (40, 60)
    assert batch.input_ids.min() >= 0
    assert batch.input_ids.max() == encoder.vocab_size - 1  # all of it: 2,400 draws from 320
    assert not np.isin(batch.input_ids, special).any()
    assert (batch.attention_mask == 1).all()
    assert len(np.unique(batch.input_ids)) > encoder.vocab_size / 2


def test_the_seed_and_the_shape_say_which_tokens(encoder: Encoder) -> None:
    ids = random_batch(encoder, Shape(2, 8)).input_ids
    assert (ids == random_batch(encoder, Shape(2, 8)).input_ids).all()
    assert (ids != random_batch(encoder, Shape(2, 8), seed=1).input_ids).any()
    assert (ids[:1] != random_batch(encoder, Shape(1, 8)).input_ids).any()


@pytest.mark.parametrize(("family", "inputs"), [("roberta", 2), ("bert", 3), ("distilbert", 2)])
def test_inputs_counts_the_tensors_that_are_fed(family: str, inputs: int, tmp_path: Path, torch_threads: None) -> None:
    grid = open_(load_encoder(make_encoder(tmp_path, family)), "torch", SHAPES[:1])
    ((_, cell),) = grid.about.values()
    assert cell.inputs == inputs


def test_a_sequence_beyond_the_encoders_limit_is_refused_before_anything_is_built(
    encoder: Encoder, empty_cache: Path
) -> None:
    with pytest.raises(SequenceTooLongError, match=r"sequence lengths 65, 128: expected at most 64 tokens"):
        open_(encoder, "onnx-fp32", (Shape(1, 8), Shape(1, 65), Shape(2, 128)))
    assert not empty_cache.exists()


def register(monkeypatch: pytest.MonkeyPatch, name: str, answer: float) -> None:
    spec = BackendSpec(name, Precision.FP32, Runtime.TORCH, open_with=lambda *_: Stub(answer))
    monkeypatch.setitem(cast("dict[str, BackendSpec]", REGISTRY), name, spec)


def test_a_backend_that_answers_nan_is_refused_before_anything_is_timed(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, "broken", float("nan"))
    with pytest.raises(NonFiniteLogitsError, match="broken"):
        open_(encoder, "broken")


class Stub:
    """Someone else's runtime."""

    spec = BackendSpec("stub", Precision.FP32, Runtime.TORCH)
    in_force = InForce("npu", "float32", 1)

    def __init__(self, answer: float) -> None:
        self.answer = answer

    def prepare(self, batch: Any) -> Callable[[], Any]:
        return lambda: np.full((len(batch.rows), 4), self.answer, np.float32)


def test_someone_elses_runtime_is_its_own_engine_and_says_nothing_it_does_not_know(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch, "my-runtime", 0.5)
    grid = open_(encoder, "my-runtime", SHAPES[:1])
    (row,) = read_csv(render_grid_csv(grid.rows(visit_cells(grid.cells, 1))))
    assert (row["engine"], row["version"], row["inputs"], row["io_binding"]) == ("my-runtime", "", "", "False")


# How it is timed


def test_calls_are_spread_evenly_over_rounds() -> None:
    assert split_calls(100) == [20] * ROUNDS
    assert split_calls(7) == [2, 2, 1, 1, 1]
    assert split_calls(2) == [1, 1]


def test_every_cell_is_visited_once_a_round_and_the_order_changes() -> None:
    machine = Machine()
    cells = [machine.cell(name, 1.0) for name in "abcdef"]
    visited = [visit.cell for visit in visit_cells(cells, 10 * ROUNDS, timer=machine.read)]
    rounds = [tuple(visited[start : start + len(cells)]) for start in range(0, len(visited), len(cells))]
    assert len(rounds) == ROUNDS
    assert all(sorted(order) == list("abcdef") for order in rounds)
    assert len(set(rounds)) > 1


def test_settings_and_warm_up_come_before_the_clock_starts() -> None:
    machine = Machine()
    # Were a warm-up call timed, its 1,000 ms would be among the seconds.
    (visit,) = visit_cells([machine.cell("a", *[1000.0] * WARM_UP_CALLS, 2.0)], 1, timer=machine.read, now=lambda: NOON)
    assert machine.done == ["settle a", *["a"] * (WARM_UP_CALLS + 1)]
    assert visit == Visit("a", NOON, (pytest.approx(0.002),))


def test_a_run_that_is_stopped_keeps_what_was_measured() -> None:
    machine = Machine()
    visits = visit_cells([machine.cell("a", 1.0)], 100, timer=machine.read)
    next(visits)
    assert len(next(visits).seconds) == 100 // ROUNDS


def test_onnx_cells_run_by_io_binding_and_nothing_else(
    encoder: Encoder, warm_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = open_(encoder, "onnx-fp32")
    calls: list[str] = []
    bound = onnxruntime.InferenceSession.run_with_iobinding

    def spy(session: Any, binding: Any, *rest: Any) -> None:
        calls.append("bound")
        bound(session, binding, *rest)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run_with_iobinding", spy)
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", lambda *_: calls.append("run"))
    list(visit_cells(grid.cells, 4))
    assert set(calls) == {"bound"}
    assert len(calls) == len(SHAPES) * 4 * (WARM_UP_CALLS + 1)
    assert all(cell.io_binding for _, cell in grid.about.values())


@pytest.mark.parametrize("backend", ["onnx-fp32", "onnx-int8"])
def test_a_bound_call_gives_the_answers_of_an_unbound_one(backend: str, encoder: Encoder, warm_cache: Path) -> None:
    opened = open_backend(encoder, backend, RunSettings(1))
    assert isinstance(opened, OnnxBackend)
    for shape in SHAPES:
        batch = random_batch(encoder, shape)
        bound = opened.bind(batch)
        assert not np.array_equal(bound.logits(), opened.prepare(batch)())  # nothing was asked yet
        bound()
        np.testing.assert_array_equal(bound.logits(), opened.prepare(batch)())


def test_each_torch_cell_runs_with_its_own_threads(encoder: Encoder, torch_threads: None) -> None:
    grid = open_(encoder, "torch", SHAPES[:1], threads=(1, 2))
    assert [cell.threads for _, cell in grid.about.values()] == [1, 2]
    for cell in (*grid.cells, *reversed(grid.cells)):
        cell.settle()
        assert torch.get_num_threads() == grid.about[cell.name][1].threads


# What is written


def test_the_columns_are_those_of_onnx_runtimes_benchmark() -> None:
    assert COLUMNS == (
        "engine", "version", "providers", "device", "precision", "optimizer", "io_binding", "model_name", "inputs",
        "threads", "batch_size", "sequence_length", "datetime", "test_times", "latency_variance", "latency_90_percentile",
        "latency_95_percentile", "latency_99_percentile", "average_latency_ms", "QPS",
    )  # fmt: skip
    theirs = Path(onnxruntime.__file__).parent / "transformers/benchmark_helper.py"
    if not theirs.is_file():
        pytest.skip("this onnxruntime comes without its transformers tools")
    listed = re.search(r"column_names = \[(.*?)\]", theirs.read_text(encoding="utf-8"), re.DOTALL)
    assert listed
    # Theirs counts layers that were cut off, too, which never happens here.
    assert set(re.findall(r'"(\w+)"', listed[1])) - {"custom_layer_num"} == set(COLUMNS)


def test_every_number_is_what_its_column_says() -> None:
    milliseconds = [10.0] * 80 + [20.0] * 12 + [30.0] * 8
    latency = summarize_latency([value / 1e3 for value in milliseconds], batch_size=4)
    assert latency.test_times == 100
    assert latency.average_latency_ms == pytest.approx(12.8)
    assert latency.latency_variance == pytest.approx(80 / 100 * 2.8**2 + 12 / 100 * 7.2**2 + 8 / 100 * 17.2**2)
    assert (latency.latency_90_percentile, latency.latency_95_percentile) == (pytest.approx(20), pytest.approx(30))
    assert latency.latency_99_percentile == pytest.approx(30)
    assert pytest.approx(latency.QPS) == 4 * 1000 / 12.8


@pytest.mark.parametrize("seconds", [[], [0.1, 0.0], [float("nan")]])
def test_no_calls_or_calls_without_duration_are_no_latency(seconds: list[float]) -> None:
    with pytest.raises(ValueError, match="expected the seconds of measured calls"):
        summarize_latency(seconds, 1)


def test_a_row_is_over_all_visits_of_its_cell() -> None:
    machine = Machine()
    cells = (machine.cell("slow", 4.0), machine.cell("fast", 2.0))
    grid = Grid(cells, {"slow": ("a", ABOUT), "fast": ("b", ABOUT)})
    visits = list(visit_cells(cells, 12, timer=machine.read, now=lambda: NOON))
    slow, fast = read_csv(render_grid_csv(grid.rows(visits)))
    assert (slow["test_times"], slow["average_latency_ms"], slow["QPS"]) == ("12", "4", "1000")
    assert (fast["test_times"], fast["average_latency_ms"], fast["QPS"]) == ("12", "2", "2000")
    assert slow["datetime"] == "2026-01-02 12:00:00+00:00"


def test_short_latencies_keep_their_digits() -> None:
    row = GridRow("a", ABOUT, NOON, summarize_latency([0.0000312, 0.0000314], 1))
    (line,) = read_csv(render_grid_csv([row]))
    assert float(line["average_latency_ms"]) == pytest.approx(0.0313)
    assert float(line["latency_variance"]) == pytest.approx(1e-8, rel=1e-3)


def test_the_summary_has_a_line_for_each_configuration_and_a_column_for_each_shape(
    encoder: Encoder, warm_cache: Path, torch_threads: None
) -> None:
    grid = open_(encoder, "torch,onnx-int8", threads=(1, 2))
    rows = grid.rows(visit_cells(grid.cells, 2))
    lines = read_csv(render_grid_summary(rows))
    assert [(line["engine"], line["precision"], line["threads"]) for line in lines] == [
        ("torch", "fp32", "1"), ("torch", "fp32", "2"), ("onnxruntime", "int8", "1"), ("onnxruntime", "int8", "2"),
    ]  # fmt: skip
    assert float(lines[3]["b3_s16"]) == pytest.approx(rows[-1].latency.average_latency_ms, rel=1e-5)


def test_columns_say_what_is_in_force(encoder: Encoder, warm_cache: Path, torch_threads: None) -> None:
    grid = open_(encoder, "torch,onnx-int8", SHAPES[:1])
    in_torch, in_onnx = read_csv(render_grid_csv(grid.rows(visit_cells(grid.cells, 1))))
    shared = {"device": "cpu", "model_name": encoder.name, "threads": "1", "batch_size": "1", "sequence_length": "8"}
    assert shared.items() <= in_torch.items()
    assert shared.items() <= in_onnx.items()
    assert {"engine": "torch", "providers": "NA", "optimizer": "", "io_binding": "False"}.items() <= in_torch.items()
    assert in_torch["version"].startswith(torch.__version__.partition("+")[0])
    assert {
        "engine": "onnxruntime",
        "version": onnxruntime.__version__,
        "providers": "CPUExecutionProvider",
        "precision": "int8",
        "optimizer": "optimize-basic+int8-rowwise",
        "io_binding": "True",
    }.items() <= in_onnx.items()


def test_a_given_file_has_its_own_name_and_the_steps_of_its_manifest(
    encoder: Encoder, warm_cache: Path, tmp_path: Path
) -> None:
    folder = build(encoder, "onnx-fp32", tmp_path / "artifact")["onnx-fp32"]
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare/model.onnx").write_bytes((folder / "model.onnx").read_bytes())
    grid = open_(encoder, f"ours={folder}/model.onnx,theirs={tmp_path}/bare/model.onnx", SHAPES[:1])
    told = [(cell.model_name, cell.optimizer) for _, cell in grid.about.values()]
    assert told == [(f"{encoder.name}/ours", "optimize-basic"), (f"{encoder.name}/theirs", "published")]


# The command


@pytest.fixture
def command(tiny_encoder: Path, warm_cache: Path) -> Callable[..., Any]:
    """`driftgate grid` on one shape, each called once, unless options say otherwise."""

    def run(backends: str, *options: object) -> Any:
        shape = ("--batch-sizes", 1, "--sequence-lengths", 8, "--test-times", 1)
        return run_driftgate("grid", tiny_encoder, *shape, "--backends", backends, *options)

    return run


def test_every_batch_size_is_timed_with_every_length(command: Callable[..., Any]) -> None:
    result = command("onnx-fp32", "--batch-sizes", "1,2", "--sequence-lengths", "8,16", "--test-times", 2)
    assert result.exit_code == 0, result.output
    rows = read_csv(result.stdout)
    shapes = [(row["batch_size"], row["sequence_length"]) for row in rows]
    assert shapes == [("1", "8"), ("1", "16"), ("2", "8"), ("2", "16")]
    assert {row["test_times"] for row in rows} == {"2"}


def test_float16_on_a_cpu_is_computed_in_float32_and_says_so(command: Callable[..., Any]) -> None:
    result = command("onnx-fp16")
    (row,) = read_csv(result.stdout)
    assert row["precision"] == "fp32"
    assert row["optimizer"].endswith("+float16")
    assert "onnx-fp16: float16 weights, computed in float32" in result.stderr


def test_the_csv_goes_to_standard_output_and_everything_else_to_standard_error(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("driftgate.cli.grid_command.available_threads", lambda: 1)
    result = command("onnx-fp32", "--threads", "1,2")
    assert [row["threads"] for row in read_csv(result.stdout)] == ["1", "2"]
    assert "mean latency in ms" in result.stderr
    assert "oversubscribed: 2 threads on 1 cores" in result.stderr


def test_a_grid_that_is_there_is_not_replaced_unless_asked(command: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "new"
    assert command("onnx-fp32", "--out", out).exit_code == 0
    assert sorted(path.name for path in out.iterdir()) == [DETAILS, SUMMARY]
    (out / DETAILS).write_text("mine", encoding="utf-8")
    again = command("onnx-fp32", "--out", out)
    assert again.exit_code == 4
    assert "holds results already" in again.stderr
    assert (out / DETAILS).read_text(encoding="utf-8") == "mine"
    assert command("onnx-fp32", "--out", out, "--overwrite").exit_code == 0
    assert (out / DETAILS).read_text(encoding="utf-8").startswith("engine,")


def test_an_interrupted_grid_writes_what_was_measured(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(cells: Any, calls: int) -> Iterator[Visit]:
        visits = visit_cells(cells, calls)
        yield next(visits)
        yield next(visits)
        raise KeyboardInterrupt

    monkeypatch.setattr("driftgate.cli.grid_command.visit_cells", interrupted)
    result = command("onnx-fp32", "--test-times", 2 * ROUNDS)
    assert result.exit_code == 130
    (row,) = read_csv(result.stdout)
    assert row["test_times"] == "4"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("--sequence-lengths", "8,4096"), "sequence lengths 4096: expected at most 64 tokens"),
        (("--sequence-lengths", ""), "--sequence-lengths '': expected a whole number"),
        (("--batch-sizes", "1,1"), "--batch-sizes '1,1': expected a whole number"),
        (("--batch-sizes", "1.5"), "--batch-sizes '1.5': expected a whole number"),
        (("--batch-sizes", "\u0661"), "expected a whole number from 1 to 4,096"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(given: tuple[str, ...], message: str, command: Callable[..., Any]) -> None:
    result = command("onnx-fp32", *given)
    assert (result.exit_code, result.stdout) == (4, "")
    assert message in result.stderr
