"""`studies/gate`: its replays, stock rules and calibration, on times that are made up."""

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from driftgate.gate.pairs import Contest, Pair
from driftgate.gate.rule import SpeedRule, Verdict
from driftgate.gate.schedule import Units

STUDY = Path(__file__).parents[2] / "studies/gate"
MODULES = (
    "calibrate",
    "census",
    "live",
    "parameters",
    "record",
    "recording",
    "report",
    "sign_test",
    "tables",
    "variants",
)


@pytest.fixture(scope="module")
def study() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STUDY))
        yield SimpleNamespace(**{name: _import(name) for name in MODULES})
        for name in MODULES:
            sys.modules.pop(name, None)


def _import(name: str) -> ModuleType:
    sys.modules.pop(name, None)
    return __import__(name)


def make_pairs(
    slowdown: float, rounds: int, *, seed: int = 0, contest: str = "same#0", load: float = 0.01
) -> list[Pair]:
    """Two pairs a round of two cells and a control: turns vary by 2%, loads by `load`, and the minute by 10%."""
    generator = np.random.default_rng(seed)
    pairs = []
    for number in range(rounds):
        luck = generator.normal(0, load, 3)
        minute = generator.normal(0, 0.1)
        for _ in range(2):
            for cell, is_control in (("b1", False), ("b4", False), ("b1", True)):
                effect = luck[2] if is_control else luck[1] + np.log1p(slowdown)
                logs = minute + generator.normal(0, 0.02, 2) + [luck[0], effect]
                times = (5e6 * np.exp(logs)).astype(int).tolist()
                first = bool(generator.random() < 0.5)
                pairs.append(Pair(contest, f"{contest}/{cell}", number, *times, first, is_control))
    return pairs


def test_replayed_runs_find_a_slowdown_of_ten_percent(study: Any) -> None:
    runs = study.recording.replay(study.recording.timed_of(make_pairs(0.10, 150)), SpeedRule())
    assert len(runs) >= 8
    assert {run.code for run in runs} == {1}


def test_replayed_runs_of_equal_artifacts_pass(study: Any) -> None:
    runs = study.recording.replay(study.recording.timed_of(make_pairs(0.0, 150)), SpeedRule())
    assert len(runs) >= 20
    assert {run.code for run in runs} == {0}


def test_replayed_blocks_are_disjoint_and_leave_no_gap(study: Any) -> None:
    runs = study.recording.replay(study.recording.timed_of(make_pairs(0.05, 200)), SpeedRule())
    ends = [run.start + run.rounds for run in runs]
    assert [run.start for run in runs] == [0, *ends[:-1]]
    assert ends[-1] <= 200


def test_a_run_that_stays_undecided_is_not_measurable(study: Any) -> None:
    noise = study.recording.timed_of(make_pairs(0.0, 60, load=1.0))
    (first, *_) = study.recording.replay(noise, SpeedRule(), most_rounds=20)
    assert (first.code, first.rounds) == (7, 20)


def test_controls_are_judged_as_candidates(study: Any) -> None:
    pairs = make_pairs(0.10, 60)  # its controls are equal, whatever the candidate
    timed = study.recording.control_as_candidate(pairs)
    assert {run.code for run in study.recording.replay(timed, SpeedRule())} == {0}


def test_a_recording_is_read_as_it_was_written(study: Any, tmp_path: Path) -> None:
    recording = study.recording.Recording({"condition": "idle"})
    recording.add("onnx-fp32", make_pairs(0.0, 3), 6.0)
    recording.add("onnx-fp32", make_pairs(0.0, 2, seed=1), 4.0)
    recording.save(tmp_path / "idle.npz")
    found = study.recording.load_recording(tmp_path / "idle.npz")
    assert (found.pairs, found.parts, found.about) == (recording.pairs, recording.parts, recording.about)
    assert {pair.round for pair in found.pairs["onnx-fp32"]} == set(range(5))
    assert found.seconds_a_round("onnx-fp32") == 2.0


def test_recordings_of_the_same_condition_are_joined(study: Any, tmp_path: Path) -> None:
    for name, condition, rounds, cpu in (("a", "idle", 5, "AMD"), ("b", "loaded", 7, "AMD"), ("c", "idle", 3, "Intel")):
        about = {"condition": condition, "environment": {"cpu": cpu, "usable_cores": 2}}
        recording = study.recording.Recording(about)
        recording.add("onnx-fp32", make_pairs(0.0, rounds), 10.0)
        recording.save(tmp_path / f"{name}.npz")
    idle, loaded = study.report.load_conditions([tmp_path / f"{name}.npz" for name in "abc"])
    assert [pair.round for pair in idle.pairs["onnx-fp32"]][::6] == list(range(8))
    assert [part["rounds"] for part in idle.parts] == [5, 3]
    assert (idle.sittings, loaded.sittings) == (2, 1)
    assert (idle.machines, loaded.machines) == (["AMD, 2 cores", "Intel, 2 cores"], ["AMD, 2 cores"])
    assert [idle.block_of("onnx-fp32", number) for number in (0, 4, 5, 7)] == [0, 0, 1, 1]
    assert [part["rounds"] for part in loaded.parts] == [7]


def test_a_multiplied_recording_is_that_much_slower(study: Any) -> None:
    timed = study.recording.timed_of(make_pairs(0.0, 5))
    slower = study.recording.slow_down(timed, 0.10)
    for then, now in zip(timed.rounds, slower.rounds, strict=True):
        assert {cell: ratio + np.log(1.1) for cell, ratio in then.items()} == pytest.approx(now)
    assert slower.controls == timed.controls


def test_the_rule_by_signs_takes_the_rounds_it_took(study: Any) -> None:
    """Seven to pass, eleven for a slower backend: as many as its likelihood ratio needs."""
    timed = lambda ratio: study.recording.TimedRun({"x": "b", "y": "b"}, [{"x": ratio, "y": ratio}] * 60, {})  # noqa: E731
    assert set(study.sign_test.decide(timed(0.0), SpeedRule()).values()) == {(Verdict.PASS, 7)}
    assert set(study.sign_test.decide(timed(0.2), SpeedRule()).values()) == {(Verdict.REGRESSION, 11)}


def test_a_share_of_dependent_runs_has_a_wider_interval(study: Any) -> None:
    flags = ([True] * 5 + [False] * 45) * 4
    alone = study.report.share(flags, range(200))
    together = study.report.share(flags, [index // 50 for index in range(200)])
    assert (alone["count"], alone["of"]) == (20, 200)
    clumped = study.report.share([True] * 20 + [False] * 180, [index // 20 for index in range(200)])
    assert clumped["high"] > alone["high"] >= together["high"] - 0.01
    none = study.report.share([False] * 300, [index // 30 for index in range(300)])
    assert none["low"] == 0.0
    assert none["high"] == pytest.approx(
        0.0122, abs=1e-4
    )  # Clopper and Pearson's: a bootstrap of no event has no width


@pytest.mark.parametrize("target", [0.03, 0.10, 0.20])
def test_calibration_reaches_its_target_on_a_synthetic_clock(study: Any, target: float) -> None:
    now = [0]

    def slowdown(columns: int) -> float:
        def side(share: float) -> Any:
            def call() -> None:
                now[0] += round(5_000_000 * (1 + share))

            return lambda: nullcontext({"cell": [call]})

        contest = Contest("tried", side(0.0), side(columns / 3000), {"cell": Units((slice(0, 1),))}, "cell")
        found: float = study.calibrate.measure_slowdown(contest, 1.0, clock=lambda: now[0])
        return found

    columns, reached = study.calibrate.bisect_columns(slowdown, target, start=50, tolerance=0.005, steps=12)
    assert reached == pytest.approx(target, abs=0.005)
    assert columns == pytest.approx(3000 * target, abs=15)


def test_the_census_finds_the_noise_that_was_put_in(study: Any) -> None:
    pairs = [pair for pair in make_pairs(0.0, 800, load=0.03) if pair.cell.endswith("b1") and not pair.is_control]
    found = study.census.take_census(pairs)
    assert found["pair"] == pytest.approx(0.02 * np.sqrt(2), rel=0.15)
    assert found["load"] == pytest.approx(0.03, rel=0.15)
    assert found["round"] == pytest.approx(np.sqrt(2) * np.hypot(0.03, 0.02 / np.sqrt(2)), rel=0.15)
    assert abs(found["second"]) < 4 * found["second_error"]


def test_the_census_finds_a_turn_that_is_slow_because_of_its_place(study: Any) -> None:
    late = []
    for pair in make_pairs(0.0, 400):
        slow = round(0.05 * pair.baseline_ns)
        times = (pair.baseline_ns + slow * pair.candidate_first, pair.candidate_ns + slow * (not pair.candidate_first))
        late.append(Pair(pair.backend, pair.cell, pair.round, *times, pair.candidate_first, pair.is_control))
    assert study.census.take_census(late)["second"] == pytest.approx(0.05, abs=0.006)


def test_signs_of_equal_sides_are_counted_with_an_interval_for_all_cells(study: Any) -> None:
    pairs = [pair for pair in make_pairs(0.0, 400) if pair.cell.endswith("b4")]
    one, six = (study.census.count_signs(pairs, cells) for cells in (1, 6))
    assert one["rounds"] == 400
    assert one["low"] < 0.5 < one["high"]
    assert six["high"] - six["low"] > one["high"] - one["low"]
    slower = [pair for pair in make_pairs(0.05, 400) if pair.cell.endswith("b4")]
    assert study.census.count_signs(slower, 6)["low"] > 0.8


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight numbers a row, normalized and summed."""
    scale = numpy_helper.from_array(np.ones(8, dtype=np.float32), "scale")
    nodes = [
        helper.make_node("LayerNormalization", ["x", "scale"], ["normal"]),
        helper.make_node("Softmax", ["normal"], ["logits"]),
    ]
    sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 8]) for name in ("x", "logits")]
    graph = helper.make_graph(nodes, "tiny", sides[:1], sides[1:], [scale])
    path = tmp_path_factory.mktemp("graph") / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), path)
    return path


def test_added_work_does_not_change_the_answer(study: Any, model: Path, tmp_path: Path) -> None:
    study.variants.add_work(model, tmp_path / "slower.onnx", 512)
    feed = {"x": np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)}
    paths = (model, tmp_path / "slower.onnx")
    plain, slower = (onnxruntime.InferenceSession(path).run(["logits"], feed)[0] for path in paths)
    np.testing.assert_array_equal(plain, slower)


def test_added_work_survives_the_optimizer(study: Any, model: Path, tmp_path: Path) -> None:
    study.variants.add_work(model, tmp_path / "slower.onnx", 512)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(tmp_path / "slower.onnx", options)
    left = onnx.load(tmp_path / "optimized.onnx").graph.node
    assert any("work_product" in node.output for node in left)


def recorded(study: Any, rounds: int) -> Any:
    environment = {"cpu": "a processor", "usable_cores": 2, "versions": {"onnxruntime": "1.22"}}
    recording = study.recording.Recording({"condition": "loaded", "environment": environment})
    slower = make_pairs(0.10, rounds, seed=1, contest="slower 10%#0")
    both = sorted([*make_pairs(0.0, rounds), *slower], key=lambda pair: pair.round)
    recording.add("onnx-fp32", both, 2.0 * rounds)
    return recording


def test_runs_are_counted_by_slowdown_and_by_cell(study: Any) -> None:
    found = study.report.tabulate(recorded(study, 100))
    rows = {(row["how"], row["slowdown"]): row for row in found if row["backend"] != "all"}
    together = {(row["how"], row["slowdown"]): row["runs"] for row in found if row["backend"] == "all"}
    assert together == {case: row["runs"] for case, row in rows.items()}, "one backend was recorded"
    assert {slowdown for how, slowdown in rows if how == "multiplied"} == set(study.parameters.MULTIPLIED)
    equal, work = rows["multiplied", 0.0], rows["real work", 0.10]
    assert (equal["runs"]["regression"]["count"], work["runs"]["pass"]["count"]) == (0, 0)
    assert equal["runs"]["pass"]["of"] >= 10
    assert work["runs"]["regression"]["count"] == work["runs"]["pass"]["of"]
    assert work["measured"] == pytest.approx(0.10, abs=0.01)
    assert set(work["cells"]) == {"b1", "b4"}
    assert rows["multiplied", 0.10]["cells"]["b1"]["REGRESSION"]["count"] >= 5


def test_the_document_says_what_the_recording_shows(study: Any, tmp_path: Path) -> None:
    cells = {"b1": {"verdict": "PASS"}, "b2": {"verdict": "PASS"}}
    runs = [{"variant": "same", "code": 0, "seconds": 3.0, "cells": cells}] * 20
    results = {
        "confidence": 0.95,
        "recordings": [study.report.report_recording(recorded(study, 70))],
        "live": study.report.report_live([{"about": {"condition": "idle"}, "runs": runs}]),
    }
    study.tables.write_document(results, tmp_path / "found.md")
    found = (tmp_path / "found.md").read_text(encoding="utf-8")
    assert {"## Loaded", "### Their cells"} <= set(found.split("\n"))
    (live,) = (line for line in found.split("\n") if line.startswith("| idle"))
    assert live.split(" | ")[1:6] == ["2", "same", "20", "0 (0.0% [0.0%, 16.8%])", "20 (100.0% [83.2%, 100.0%])"]
    (swept,) = (point for point in results["recordings"][0]["sweep"] if point["alpha"] == SpeedRule().alpha)
    assert (swept["0.02"], swept["0.1"]) == (0.0, 1.0)
    pytest.importorskip("matplotlib", reason="the plot needs driftgate[plots]")
    study.tables.draw_roc(results, tmp_path / "roc.svg")
    assert "<svg" in (tmp_path / "roc.svg").read_text(encoding="utf-8")
