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
from driftgate.gate.rule import SpeedRule

STUDY = Path(__file__).parents[1] / "studies/gate"
MODULES = (
    "calibrate",
    "census",
    "live",
    "parameters",
    "record",
    "recording",
    "report",
    "stock_rules",
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
    """Pairs of two cells and a control: turns vary by 3%, loads by `load`, and the minute by 10%."""
    generator = np.random.default_rng(seed)
    pairs = []
    for number in range(rounds):
        luck = generator.normal(0, load, 3)
        minute = generator.normal(0, 0.1)
        for _ in range(4):
            for cell, is_control in (("b1", False), ("b4", False), ("b1", True)):
                effect = luck[2] if is_control else luck[1] + np.log1p(slowdown)
                logs = minute + generator.normal(0, 0.03, 2) + [luck[0], effect]
                times = (5e6 * np.exp(logs)).astype(int).tolist()
                first = bool(generator.random() < 0.5)
                pairs.append(Pair(contest, f"{contest}/{cell}", number, *times, first, is_control))
    return pairs


def test_replayed_runs_find_a_slowdown_of_ten_percent(study: Any) -> None:
    runs = study.recording.replay(study.recording.rounds_of(make_pairs(0.10, 150)), SpeedRule())
    assert len(runs) >= 8
    assert {run.code for run in runs} == {1}


def test_replayed_runs_of_equal_artifacts_pass(study: Any) -> None:
    runs = study.recording.replay(study.recording.rounds_of(make_pairs(0.0, 150)), SpeedRule())
    assert len(runs) >= 15
    assert {run.code for run in runs} == {0}


def test_replayed_blocks_are_disjoint_and_leave_no_gap(study: Any) -> None:
    runs = study.recording.replay(study.recording.rounds_of(make_pairs(0.05, 200)), SpeedRule())
    ends = [run.start + run.rounds for run in runs]
    assert [run.start for run in runs] == [0, *ends[:-1]]
    assert ends[-1] <= 200


def test_a_run_that_stays_undecided_is_not_measurable(study: Any) -> None:
    noise = study.recording.rounds_of(make_pairs(0.0, 60, load=1.0))
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
    for name, condition, rounds in (("a", "idle", 5), ("b", "loaded", 7), ("c", "idle", 3)):
        recording = study.recording.Recording({"condition": condition})
        recording.add("onnx-fp32", make_pairs(0.0, rounds), 10.0)
        recording.save(tmp_path / f"{name}.npz")
    idle, loaded = study.report.load_conditions([tmp_path / f"{name}.npz" for name in "abc"])
    assert [pair.round for pair in idle.pairs["onnx-fp32"]][::12] == list(range(8))
    assert [part["rounds"] for part in idle.parts] == [5, 3]
    assert [part["rounds"] for part in loaded.parts] == [7]


BASELINE = np.array([100.0, 100.0, 110.0, 90.0])
CANDIDATE = np.array([108.0, 104.0, 130.0, 96.0])


@pytest.mark.parametrize(
    ("rule", "score"), [("mean:5%", 0.095), ("min:5%", 96 / 90 - 1), ("median:5%", 0.06), ("mean:10%", 0.095)]
)
def test_stock_thresholds_compare_the_statistic_they_name(study: Any, rule: str, score: float) -> None:
    assert study.stock_rules.STOCK_RULES[rule].score(BASELINE, CANDIDATE) == pytest.approx(score)


def test_welch_scores_by_the_p_value_of_the_textbook(study: Any) -> None:
    # Means 100 and 109.5, variances 66.67 and 211.67: t = 1.139, 4.7 degrees of freedom, p = 0.31.
    assert study.stock_rules.welch_score(BASELINE, CANDIDATE) == pytest.approx(1 - 0.31, abs=0.01)
    assert study.stock_rules.welch_score(CANDIDATE, BASELINE) == pytest.approx(-(1 - 0.31), abs=0.01)


def test_asv_needs_a_significant_difference_and_a_factor(study: Any) -> None:
    rule = study.stock_rules.STOCK_RULES["asv"]
    few, many = np.arange(100.0, 103.0), np.arange(100.0, 120.0)
    assert rule.score(few, few * 1.5) == -np.inf  # three samples cannot be significant at 0.002
    assert rule.score(many, many * 1.5) == pytest.approx(0.5)
    assert not rule.score(many, many + 8) > rule.threshold


def test_a_stock_run_fails_by_its_worst_cell_and_against_the_block_before(study: Any) -> None:
    pairs = [Pair("c", f"c/{cell}", number, 100, 100, False, False) for number in range(4) for cell in ("b1", "b4")]
    late = [pair for pair in pairs if pair.round >= 2]
    pairs[pairs.index(late[1])] = Pair("c", "c/b4", 2, 200, 400, False, False)
    rule = study.stock_rules.STOCK_RULES["mean:5%"]
    assert study.stock_rules.score_runs(pairs, rule, 2, stored=False) == pytest.approx([0.0, 250 / 150 - 1])
    assert study.stock_rules.score_runs(pairs, rule, 2, stored=True) == pytest.approx([1.5])


@pytest.mark.parametrize("target", [0.03, 0.10, 0.20])
def test_calibration_reaches_its_target_on_a_synthetic_clock(study: Any, target: float) -> None:
    now = [0]

    def slowdown(columns: int) -> float:
        def side(share: float) -> Any:
            def call() -> None:
                now[0] += round(5_000_000 * (1 + share))

            return lambda: nullcontext({"cell": [call]})

        contest = Contest("tried", side(0.0), side(columns / 3000), ("cell",), "cell")
        found: float = study.calibrate.measure_slowdown(contest, 1.0, clock=lambda: now[0])
        return found

    columns, reached = study.calibrate.bisect_columns(slowdown, target, start=50, tolerance=0.005, steps=12)
    assert reached == pytest.approx(target, abs=0.005)
    assert columns == pytest.approx(3000 * target, abs=15)


def test_the_census_finds_the_noise_that_was_put_in(study: Any) -> None:
    pairs = [pair for pair in make_pairs(0.0, 400, load=0.02) if pair.cell.endswith("b1")]
    found = study.census.take_census(pairs, ["same#0"])
    assert found["pair"] == pytest.approx(0.03 * np.sqrt(2), rel=0.1)
    assert found["load"] == pytest.approx(0.02, rel=0.15)
    assert found["within_pair"] == pytest.approx(0.0100 / 0.0113, abs=0.03)
    assert abs(found["second"]) < 4 * found["second_error"]


def test_the_census_finds_a_turn_that_is_slow_because_of_its_place(study: Any) -> None:
    late = []
    for pair in make_pairs(0.0, 200):
        slow = round(0.05 * pair.baseline_ns)
        times = (pair.baseline_ns + slow * pair.candidate_first, pair.candidate_ns + slow * (not pair.candidate_first))
        late.append(Pair(pair.backend, pair.cell, pair.round, *times, pair.candidate_first, pair.is_control))
    assert study.census.take_census(late, ["same#0"])["second"] == pytest.approx(0.05, abs=0.006)
    carried = study.census.take_carry_over(late, ["same#0"])
    assert abs(carried["after_another"]) < 4 * carried["after_another_error"]


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


def test_roc_points_run_from_nothing_to_everything(study: Any) -> None:
    points = study.tables.roc_points([0.0, 0.1], [0.05, 0.2])
    assert points == [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0), (1.0, 1.0)]


def test_the_report_counts_replayed_runs_and_controls_apart(study: Any) -> None:
    recording = study.recording.Recording({"condition": "idle"})
    slower = make_pairs(0.10, 60, seed=1, contest="slower 10%#0")
    both = sorted([*make_pairs(0.0, 60), *slower], key=lambda pair: pair.round)
    recording.add("onnx-fp32", both, 120.0)
    rows = {row["variant"]: row for row in study.report.replay_all(recording) if row["backend"] == "all"}
    assert set(rows) == {"same", "slower 10%", "controls"}
    assert rows["same"]["regression"] == rows["controls"]["regression"] == 0
    assert rows["slower 10%"]["regression"] == rows["slower 10%"]["runs"]
    assert rows["controls"]["runs"] >= 2 * rows["slower 10%"]["runs"]


def test_the_document_says_what_the_recording_shows(study: Any, tmp_path: Path) -> None:
    environment = {"cpu": "a processor", "usable_cores": 2, "versions": {"onnxruntime": "1.22"}}
    recording = study.recording.Recording({"condition": "loaded", "environment": environment})
    slower = make_pairs(0.10, 40, seed=1, contest="slower 10%#0")
    both = sorted([*make_pairs(0.0, 40), *slower], key=lambda pair: pair.round)
    recording.add("onnx-fp32", both, 80.0)
    live = {"about": {"condition": "idle"}, "runs": [{"variant": "same", "code": 0, "seconds": 3.0}] * 20}
    results = {
        "confidence": 0.95,
        "stock_rounds": 8,
        "recordings": [study.report.report_recording(recording)],
        "live": study.report.report_live([live]),
        "wide": [],
    }
    study.tables.write_document(results, tmp_path / "found.md")
    found = (tmp_path / "found.md").read_text(encoding="utf-8")
    assert "## Loaded" in found
    assert "| idle | same | 20 | 0 (0.0% [0.0%, 16.8%]) | 20 | 0 | 3.0 | 3.0 |" in found
    # Forty rounds are five runs.
    assert "| mean:5% | beside | 0 (0.0% [0.0%, 52.2%]) |  |  |  | 5 (100.0% [47.8%, 100.0%]) |" in found
    (swept,) = (point for point in results["recordings"][0]["sweep"] if point["alpha"] == SpeedRule().alpha)
    assert (swept["false_alarms"], swept["detected"]) == (0.0, 1.0)


def test_the_plot_is_drawn(study: Any, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the plot needs driftgate[plots]")
    rows = [
        {"rule": "mean:5%", "stored": False, "variant": variant, "scores": scores}
        for variant, scores in (("same", [0.0, 0.1]), ("slower 10%", [0.1, 0.2]))
    ]
    swept = [{"alpha": 0.01, "false_alarms": 0.0, "detected": 1.0}]
    study.tables.draw_roc(
        {"recordings": [{"about": {"condition": "idle"}, "stock": rows, "sweep": swept}]}, tmp_path / "roc.svg"
    )
    assert "<svg" in (tmp_path / "roc.svg").read_text(encoding="utf-8")
