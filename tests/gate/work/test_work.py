"""Counted work of whole artifacts, and of two sides."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from small_graphs import Graph, node

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.errors import ArtifactError
from driftgate.gate.work.count import count_work
from driftgate.gate.work.operators import FORMULAS
from driftgate.gate.work.records import Work, WorkVerdict, compare_sides, list_work, show_work
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.encoder import load_encoder
from driftgate.pipeline import Built
from driftgate.run.device import RunSettings
from driftgate.run.onnx_backend import OnnxBackend

REPOSITORY = Path(__file__).parents[3]
ONE = RunSettings(1)


def batch(rows: int, tokens: int) -> TokenBatch:
    ids = np.full((rows, tokens), 5)
    return TokenBatch(tuple(range(rows)), ids, np.ones_like(ids), None)


def build(folder: Path, name: str) -> Built:
    encoder = load_encoder(folder)
    return Built(REGISTRY[name], encoder, build_artifact(encoder, REGISTRY[name]))


@pytest.fixture(scope="module")
def embedded() -> Built:
    return build(REPOSITORY / "fixtures/encoders/goemotions-roberta-mini", "onnx-fp32")


@pytest.fixture
def tiny(tiny_encoder: Path, warm_cache: Path) -> Built:
    return build(tiny_encoder, "onnx-fp32")


def count(built: Built, *batches: TokenBatch, settings: RunSettings = ONE) -> Work:
    return count_work(built, {"cell": batches}, settings)["cell"]


def test_the_embedded_encoder_multiplies_as_much_as_its_architecture_says(embedded: Built) -> None:
    rows, tokens, hidden, inner, layers, labels = 2, 7, 384, 1536, 6, 28
    # Each token: queries, keys, values and their mix by a square matrix each, then to the inner size and back.
    by_weights = layers * rows * tokens * (4 * hidden * hidden + 2 * hidden * inner)
    # Each token with each token of its text: a product of `hidden` for the scores of all heads, and one for the mix.
    attention = layers * rows * tokens * tokens * 2 * hidden
    head = rows * (hidden * hidden + hidden * labels)  # on the first token
    found = count(embedded, batch(rows, tokens))
    assert found.multiply_adds == by_weights + attention + head
    assert not found.uncounted
    assert found.nodes["MatMul"] + found.nodes["FusedMatMul"] == layers * 8


def test_batches_of_one_shape_are_run_once_and_counted_each(tiny: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = []
    real = onnxruntime.InferenceSession.run
    monkeypatch.setattr(onnxruntime.InferenceSession, "run", lambda *given: runs.append(1) or real(*given))
    cells = {"a": [batch(2, 7), batch(1, 9), batch(2, 7)], "b": [batch(2, 7)]}
    found = count_work(tiny, cells, ONE)
    assert len(runs) == 2
    small, long = count(tiny, batch(2, 7)), count(tiny, batch(1, 9))
    assert found["b"] == small
    assert found["a"].multiply_adds == 2 * small.multiply_adds + long.multiply_adds
    assert found["a"].bytes_moved == 2 * small.bytes_moved + long.bytes_moved
    assert found["a"].nodes == small.nodes


MANY = [batch(1, 7), batch(8, 9), batch(8, 12), batch(32, 12), batch(5, 7)]


@pytest.fixture
def in_full(tiny: Built, monkeypatch: pytest.MonkeyPatch) -> Work:
    """Of `MANY`, every shape run."""
    with monkeypatch.context() as patch:
        patch.setattr("driftgate.gate.work.count._FEW_ROWS", 32)
        return count(tiny, *MANY)


def test_large_batches_are_counted_by_their_rows_to_the_last_byte(
    tiny: Built, in_full: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    real = OnnxBackend.prepare
    monkeypatch.setattr(
        OnnxBackend, "prepare", lambda backend, given: shapes.append(given.input_ids.shape) or real(backend, given)
    )
    assert count(tiny, *MANY) == in_full
    assert sorted(shapes) == [(1, 7), (1, 9), (1, 12), (2, 7), (2, 9), (2, 12), (5, 7)]


def test_where_rows_do_not_add_up_every_shape_is_run(
    tiny: Built, in_full: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("driftgate.gate.work.count._extend", lambda one, two, rows: replace(two, bytes_moved=rows))
        assert count(tiny, *MANY) == in_full
    real = OnnxBackend.prepare

    def fixed_rows(backend: OnnxBackend, given: TokenBatch) -> Any:
        if len(given.rows) == 2:
            raise ArtifactError("it takes other numbers of rows")
        return real(backend, given)

    monkeypatch.setattr(OnnxBackend, "prepare", fixed_rows)
    assert count(tiny, *MANY) == in_full


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core: no second thread")
def test_a_count_is_the_same_again_and_on_any_number_of_threads(tiny: Built) -> None:
    counts = [count(tiny, batch(3, 11), settings=RunSettings(threads)) for threads in (1, 1, 2)]
    assert counts[0].multiply_adds > 0
    assert counts[0] == counts[1] == counts[2]


def test_a_session_that_tells_what_it_does_runs_the_graph_that_is_timed(tiny: Built, tmp_path: Path) -> None:
    """Weights are told only where they are not packed: that has to leave the graph as it is."""
    assert tiny.artifact is not None
    optimized = []
    for disable in ("0", "1"):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.add_session_config_entry("session.disable_prepacking", disable)
        options.optimized_model_filepath = str(tmp_path / f"optimized-{disable}.onnx")
        onnxruntime.InferenceSession(tiny.artifact.model, options, providers=["CPUExecutionProvider"])
        optimized.append(Path(options.optimized_model_filepath).read_bytes())
    assert optimized[0] == optimized[1]


def test_added_work_is_counted_to_the_last_product(tiny: Built, add_work: Callable[..., None], tmp_path: Path) -> None:
    assert tiny.artifact is not None
    rows, tokens, hidden, columns, labels = 3, 11, 32, 40, 4
    add_work(tiny.artifact.model, tmp_path / "more.onnx", columns)
    more = replace(tiny, artifact=replace(tiny.artifact, model=tmp_path / "more.onnx"))
    change = compare_sides(count(tiny, batch(rows, tokens)), count(more, batch(rows, tokens)))
    assert change.baseline is not None
    assert change.candidate is not None
    added = change.candidate.multiply_adds - change.baseline.multiply_adds
    assert added == rows * tokens * hidden * columns
    product = rows * tokens * columns
    floats_moved = (
        (rows * tokens * hidden + hidden * columns + product)  # MatMul
        + (product + 1)  # ReduceMax
        + (1 + 1 + 1)  # Mul
        + (rows * labels + 1 + rows * labels)  # Add
    )
    assert change.candidate.bytes_moved - change.baseline.bytes_moved == 4 * floats_moved
    assert change.nodes == {"Add": 1, "MatMul": 1, "Mul": 1, "ReduceMax": 1}
    assert change.judge(0.01) is WorkVerdict.ADDED


class Unfused(onnxruntime.SessionOptions):  # type: ignore[misc, unused-ignore]
    """A session that fuses nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC


def test_what_a_session_does_not_fuse_shows_in_nodes_and_bytes(tiny: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    fused = count(tiny, batch(3, 11))
    monkeypatch.setattr(onnxruntime, "SessionOptions", Unfused)
    change = compare_sides(fused, count(tiny, batch(3, 11)))
    assert "BiasGelu" in fused.nodes
    assert change.nodes["BiasGelu"] < 0 < sum(change.nodes.values())
    assert change.multiply_adds == 0
    assert change.bytes_moved > 0.01


def test_an_operator_without_a_formula_is_named_and_not_counted_as_nothing(
    tiny: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = count(tiny, batch(2, 7))
    monkeypatch.setattr(
        "driftgate.gate.work.operators.FORMULAS", {name: FORMULAS[name] for name in FORMULAS if name != "MatMul"}
    )
    found = count(tiny, batch(2, 7))
    assert found.uncounted == {"MatMul": whole.nodes["MatMul"]}
    assert found.multiply_adds < whole.multiply_adds
    assert found.bytes_moved < whole.bytes_moved
    same = compare_sides(found, found)
    assert (same.judge(0), show_work(same)) == (WorkVerdict.WITHIN, "+0.0%")
    (note,) = list_work({"x-b1": same}, {"x-b1": "x"}, None)
    assert note.startswith(f"x: no formula for {whole.nodes['MatMul']} MatMul, as many on both sides")
    differs = compare_sides(whole, found)
    assert (differs.judge(1), show_work(differs)) == (WorkVerdict.NOT_COUNTED, "?")
    assert differs.reason == f"operators without a formula differ: baseline none, now {whole.nodes['MatMul']} MatMul"


def test_the_equation_of_an_einsum_is_read_from_the_file(tmp_path: Path) -> None:
    from driftgate.gate.work.count import _read_equations

    factors = {"a": np.ones((2, 3), np.float32), "b": np.ones((3, 4), np.float32)}
    graph = Graph([node("Einsum", "a b", name="product", equation="ik,kj->ij")], factors)
    assert _read_equations(graph.save(tmp_path / "graph.onnx")) == {"product": "ik,kj->ij"}


def test_a_profile_that_is_cut_off_is_an_error_and_no_count(tiny: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    real = onnxruntime.InferenceSession.end_profiling

    def cut_off(session: Any) -> str:
        path = real(session)
        Path(path).write_bytes(Path(path).read_bytes()[:-2])
        return str(path)

    monkeypatch.setattr(onnxruntime.InferenceSession, "end_profiling", cut_off)
    with pytest.raises(ArtifactError, match=r"model\.onnx: ONNX Runtime's profile of it cannot be read"):
        count(tiny, batch(2, 7))
    monkeypatch.setattr(onnxruntime.InferenceSession, "end_profiling", real)
    monkeypatch.setattr("driftgate.gate.work.count.read_runs", lambda *_: [])
    with pytest.raises(ArtifactError, match=r"model\.onnx: expected a profile of 1 runs, found 0"):
        count(tiny, batch(2, 7))
