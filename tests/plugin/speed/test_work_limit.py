"""What is made of counted work: its limit, and gated runs under `--gate-work`, pytest inside pytest."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from gated_project import FP32, Machine, Project
from nested_pytest import read_results

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.errors import ArtifactError
from driftgate.gate.work.records import Work, WorkChange, WorkVerdict, compare_sides
from driftgate.inputs.encoder import load_encoder

SHIPPED = "--backends=shipped:fp32=shipped/model.onnx"
CELLS = ["shipped-b1", "shipped-b2", "shipped-budget"]


@pytest.mark.parametrize(
    ("then", "now", "limit", "verdict"),
    [
        ((100, 100), (101, 100), 0.01, WorkVerdict.WITHIN),
        ((1000, 1000), (1000, 1011), 0.01, WorkVerdict.ADDED),
        ((1000, 1000), (1001, 900), 0.0, WorkVerdict.ADDED),
        ((1000, 1000), (900, 900), 0.0, WorkVerdict.WITHIN),
        ((0, 1000), (1, 1000), 1.0, WorkVerdict.ADDED),
        ((0, 1000), (0, 1000), 0.0, WorkVerdict.WITHIN),
    ],
)
def test_more_than_the_limit_of_either_quantity_is_added_work(
    then: tuple[int, int], now: tuple[int, int], limit: float, verdict: WorkVerdict
) -> None:
    change = compare_sides(Work(*then, {}, {}), Work(*now, {}, {}))
    assert change.judge(limit) is verdict
    assert json.dumps(change.to_json(), allow_nan=False)


def test_a_side_that_was_not_counted_needs_a_reason() -> None:
    with pytest.raises(ValueError, match="expected the reason"):
        WorkChange(None, Work(1, 1, {}, {}))


@pytest.fixture
def grown(project: Project, add_work: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose artifact has one more product than its baseline; the smaller one lies beside it."""
    monkeypatch.setenv("DRIFTGATE_CACHE", str(project.cache))
    model = project.folder / "shipped/model.onnx"
    model.parent.mkdir()
    shutil.copy2(build_artifact(load_encoder(project.encoder), REGISTRY["onnx-fp32"]).model, model)
    run = project.pytest(SHIPPED, "--gate-accept", "-k", "artifact", suite="benchmarks")
    assert run.code == 0, run.output
    shutil.copy2(model, project.folder / "smaller.onnx")
    add_work(project.folder / "smaller.onnx", model, 64)
    return project


def cells_of(project: Project) -> list[dict[str, Any]]:
    document = read_results(project.folder)
    return list(document["gate"]["cells"])


def test_added_work_is_reported_beside_the_verdict_and_fails_only_where_it_is_gated(
    grown: Project,
    machine: Machine,
) -> None:
    run = grown.pytest(SHIPPED, "--gate", "--gate-report=gate.md")
    assert run.code == 0, run.output
    assert set(run.verdicts.values()) == {"PASS"}
    assert "shipped: ADDED WORK in shipped-b1, shipped-b2, shipped-budget; most in shipped-" in run.output
    assert "nodes +1 Add, +1 MatMul, +1 Mul, +1 ReduceMax" in run.output
    for cell in cells_of(grown):
        assert cell["work"]["verdict"] == "ADDED WORK"
        assert cell["work"]["candidate"]["multiply_adds"] > 1.01 * cell["work"]["baseline"]["multiply_adds"]
    assert "| cell | verdict | work |" in (grown.folder / "gate.md").read_text(encoding="utf-8")

    run = grown.pytest(SHIPPED, "--gate", "--gate-work=1%", "--gate-accept", "-rf")
    assert run.code == 1, run.output
    assert "FAILED benchmarks/test_gate.py::test_no_slower_than_the_baseline[shipped-b1]" in run.output
    assert "shipped-b1: ADDED WORK, multiply-adds +" in run.output
    assert "--gate-work allows 1%" in run.output
    assert "gate baseline not saved: a run that ends with 1" in run.output


def test_added_work_fails_where_the_clock_cannot_tell(grown: Project, machine: Machine) -> None:
    machine.noise = 0.5
    run = grown.pytest(SHIPPED, "--gate", "--gate-budget=20")
    assert (run.code, set(run.verdicts.values())) == (7, {"NOT MEASURABLE"}), run.output
    for policy in ("fail", "warn"):
        run = grown.pytest(SHIPPED, "--gate", "--gate-budget=20", "--gate-work=1%", f"--gate-not-measurable={policy}")
        assert (run.code, set(run.verdicts.values())) == (1, {"NOT MEASURABLE"}), run.output


def test_less_work_passes_the_strictest_limit_and_so_does_more_within_a_wide_one(
    grown: Project,
    machine: Machine,
) -> None:
    (grown.folder / "pytest.ini").write_text("[pytest]\ndriftgate_gate_work = 100%\n", encoding="utf-8")
    run = grown.pytest(SHIPPED, "--gate", "--gate-accept")
    assert run.code == 0, run.output
    assert "ADDED WORK" in run.output
    shutil.copy2(grown.folder / "smaller.onnx", grown.folder / "shipped/model.onnx")
    run = grown.pytest(SHIPPED, "--gate", "--gate-work=0%")
    assert run.code == 0, run.output
    assert "ADDED WORK" not in run.output
    assert (
        "shipped: the nodes differ from the baseline's (-1 Add, -1 MatMul, -1 Mul, -1 ReduceMax), work -" in run.output
    )


def test_equal_bytes_are_not_counted(project: Project, machine: Machine) -> None:
    run = project.pytest(FP32, "--gate", "--gate-measure-identical", "--gate-work=0%", "-k", "fp32")
    assert {cell["work"] for cell in cells_of(project)} == {None}, run.output


def test_work_that_cannot_be_counted_does_not_pass(
    grown: Project,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> dict[str, Work]:
        raise ArtifactError("model.onnx: it cannot be run", "its words")

    monkeypatch.setattr("driftgate.gate.work.count.count_work", refuse)
    run = grown.pytest(SHIPPED, "--gate")
    assert run.code == 0, run.output
    said = "baseline: model.onnx: it cannot be run"
    assert f"shipped: work NOT COUNTED in {', '.join(CELLS)}: {said}" in run.output
    run = grown.pytest(SHIPPED, "--gate", "--gate-work=1%", "-rf")
    assert (run.code, set(run.verdicts.values())) == (7, {"PASS"}), run.output
    assert f"shipped-b1: work NOT COUNTED ({said}" in run.output
    run = grown.pytest(SHIPPED, "--gate", "--gate-work=1%", "--gate-not-measurable=warn", "--gate-accept")
    assert run.code == 0, run.output
    assert "gate baseline not saved: the work of some cells could not be counted" in run.output


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0.1", "--gate-work '0.1': expected a percentage such as 10% or 2.5%"),
        ("-1%", "--gate-work '-1%': expected a percentage"),
        ("101%", "gate work 1.01: expected a number from 0 to 1, the share of its work that a cell may have more"),
    ],
)
def test_a_limit_that_is_no_share_is_refused(project: Project, value: str, words: str) -> None:
    run = project.pytest(FP32, "--gate", f"--gate-work={value}")
    assert run.code == 4, run.output
    assert words in run.output
