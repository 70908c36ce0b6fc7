"""Ratios to an anchor: judged on simulated blocks, and by pytest inside pytest on a machine of invented times."""

import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nested_pytest import change_json, copy_benchmarks, gate_verdicts, run_pytest

from driftgate.judge.intervals import clopper_pearson
from driftgate.judge.ratios import judge_ratio
from driftgate.judge.speed_rule import SpeedRule, Verdict
from driftgate.judge.verdicts import CellVerdict

RULE = SpeedRule()
CELLS, BLOCKS = 20, 12


def judge(then: Sequence[float], now: Sequence[float], *, elsewhere: bool = False) -> CellVerdict:
    return judge_ratio("cell", "backend", then, now, RULE, cells=CELLS, elsewhere=elsewhere)


def simulate(slowdown: float, spread: float, runs: int) -> list[CellVerdict]:
    generator = np.random.default_rng(7)
    draw = lambda mean: generator.normal(mean, spread, BLOCKS).tolist()  # noqa: E731
    return [judge(draw(1.0), draw(1.0 - math.log1p(slowdown))) for _ in range(runs)]


def test_equal_cells_are_called_slower_as_rarely_as_promised() -> None:
    verdicts = [found.verdict for found in simulate(0.0, 0.03, 2000)]
    assert clopper_pearson(verdicts.count(Verdict.REGRESSION), 2000).low <= RULE.alpha / CELLS
    assert verdicts.count(Verdict.PASS) > 1000, "the noise is such that most can be judged"


def test_slowdowns_of_detect_do_not_pass_where_they_are_judged() -> None:
    verdicts = [found.verdict for found in simulate(RULE.detect, 0.03, 2000)]
    judged = len(verdicts) - verdicts.count(Verdict.NOT_MEASURABLE)
    assert judged > 1000
    assert clopper_pearson(verdicts.count(Verdict.PASS), judged).low <= RULE.beta


def test_noise_that_hides_the_effect_is_not_measurable_and_names_what_could_be_seen() -> None:
    for found in simulate(0.3, 0.2, 50):
        assert found.verdict is Verdict.NOT_MEASURABLE
        assert found.detectable is not None
        assert found.detectable > RULE.detect
        assert found.reason == f"12 blocks could show no less than {found.detectable:.1%}"


def test_a_ratio_of_another_machine_is_never_more_than_advice() -> None:
    then, now = [1.0, 1.001, 0.999] * 4, [0.5, 0.501, 0.499] * 4
    assert judge(then, now).verdict is Verdict.REGRESSION
    found = judge(then, now, elsewhere=True)
    assert found.verdict is Verdict.NOT_MEASURABLE
    assert found.slowdown == pytest.approx(math.expm1(0.5))
    assert "advice only" in found.reason


def test_ratios_without_any_spread_are_judged() -> None:
    assert judge([1.0] * 4, [1.0] * 4).verdict is Verdict.PASS
    assert judge([1.0] * 4, [0.9] * 4).verdict is Verdict.REGRESSION


@pytest.mark.parametrize("now", [[1.0, math.nan, 1.0, 1.0], [1.0, math.inf, 1.0], [1.0, 1.0], []])
def test_what_is_not_finite_or_too_little_never_passes(now: list[float]) -> None:
    assert judge([1.0, 1.0, 1.0], now).verdict is Verdict.NOT_MEASURABLE
    assert judge(now, [1.0, 1.0, 1.0]).verdict is Verdict.NOT_MEASURABLE


@dataclass
class Machine:
    """torch takes a second; others a half, times `slower`; each time is off by chance."""

    slower: float = 1.0
    noise: float = 0.01
    generator: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    def time_blocks(self, workloads: Mapping[str, Any], blocks: int, seed: int) -> dict[str, list[float]]:
        assert blocks == 1
        assert seed >= 0
        noise = np.exp(self.noise * self.generator.standard_normal(len(workloads)))
        usual = {name: 1.0 if name == "torch" else 0.5 * self.slower for name in workloads}
        return {name: [seconds * float(off)] for (name, seconds), off in zip(usual.items(), noise, strict=True)}


@dataclass(frozen=True)
class Project:
    folder: Path
    encoder: Path
    cache: Path

    def pytest(
        self, *arguments: str, suite: str = "benchmarks/test_gate.py", mode: str = "--gate-ratios"
    ) -> tuple[int, str]:
        small = ["--driftgate-sample-rows=4", "--driftgate-batch-sizes=1", f"--encoder={self.encoder}"]
        backends = [] if any("--backends" in argument for argument in arguments) else ["--backends=torch,onnx-fp32"]
        command = [suite, *small, *backends, "--import-mode=importlib", "-p", "no:cacheprovider", *arguments]
        return run_pytest(self.folder, [*command, *mode.split()], self.cache)

    @property
    def ratios(self) -> Path:
        return self.folder / ".driftgate-baseline/ratios.json"

    def change(self, edit: Callable[[Any], object]) -> None:
        change_json(self.ratios, edit)

    @property
    def verdicts(self) -> dict[str, str]:
        return gate_verdicts(self.folder)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr("driftgate.plugin.gate_ratios.time_blocks", machine.time_blocks)
    return machine


@pytest.fixture(scope="module")
def accepted(tiny_encoder: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Copied, never changed."""
    folder = tmp_path_factory.mktemp("accepted")
    copy_benchmarks(folder, "test_gate.py", "test_throughput.py")
    project = Project(folder, tiny_encoder, shared_cache)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("driftgate.plugin.gate_ratios.time_blocks", Machine().time_blocks)
        code, output = project.pytest("--gate-accept", "-k", "artifact", suite="benchmarks")
    assert code == 0, output
    return project


@pytest.fixture
def project(accepted: Project, tmp_path: Path) -> Project:
    """Whose baseline has travelled without its artifacts."""
    folder = tmp_path / "project"
    shutil.copytree(accepted.folder, folder, ignore=shutil.ignore_patterns("artifacts", "tokenizer", "baseline.json"))
    return Project(folder, accepted.encoder, accepted.cache)


def test_ratios_are_compared_without_the_artifacts(project: Project, machine: Machine) -> None:
    code, output = project.pytest("--gate", "--gate-report=gate.md")
    assert code == 0, output
    assert project.verdicts == {"onnx-fp32-b1": "PASS", "onnx-fp32-budget": "PASS"}
    assert "speed relative to torch" in (project.folder / "gate.md").read_text(encoding="utf-8")
    machine.slower = 1.15
    code, output = project.pytest("--gate")
    assert code == 1, output
    assert set(project.verdicts.values()) == {"REGRESSION"}


def test_ratios_too_noisy_to_judge_do_not_pass_and_say_what_could_be_seen(project: Project, machine: Machine) -> None:
    machine.noise = 0.3
    code, output = project.pytest("--gate")
    assert code == 7, output
    assert "blocks could show no less than" in output


def test_another_machine_s_ratios_only_advise_and_its_fields_are_named(project: Project, machine: Machine) -> None:
    project.change(lambda content: content["about"]["environment"].update(cpu="Another 9000"))
    machine.slower = 1.5
    code, output = project.pytest("--gate")
    assert code == 7, output
    assert "advice only, for ratios do not carry to another machine: cpu: baseline Another 9000, now" in output
    assert project.pytest("--gate", "--gate-not-measurable=warn")[0] == 0


def test_another_release_of_the_anchor_s_runtime_makes_it_advice_too(project: Project, machine: Machine) -> None:
    project.change(lambda content: content["about"]["environment"]["versions"].update(torch="1.0"))
    code, output = project.pytest("--gate")
    assert code == 7, output
    assert "torch: baseline 1.0, now" in output


def test_cells_of_other_work_are_not_compared(project: Project, machine: Machine) -> None:
    project.change(lambda content: content["cells"]["onnx-fp32-b1"].update(work=[1, 2, 3]))
    code, output = project.pytest("--gate", "-rs")
    assert code == 0, output
    assert project.verdicts == {"onnx-fp32-b1": "NEW", "onnx-fp32-budget": "PASS"}
    assert "other work" in output


def test_a_vanished_ratio_is_not_a_pass(project: Project, machine: Machine) -> None:
    code, output = project.pytest("--gate", "-k", "budget")
    assert code == 1, output
    assert project.verdicts["onnx-fp32-b1"] == "VANISHED"


def test_a_baseline_accepted_without_ratios_does_not_keep_the_old_ones(project: Project) -> None:
    code, output = project.pytest("--gate-accept", "-k", "artifact_size", suite="benchmarks", mode="")
    assert code == 0, output
    assert "gate baseline saved" in output
    assert not project.ratios.exists()


@pytest.mark.parametrize(
    ("damage", "arguments", "words"),
    [
        (
            lambda at: at.unlink(),
            [],
            "save some with: pytest --pyargs driftgate.suites.benchmarks --gate-accept --gate-ratios",
        ),
        (lambda at: at.write_text("{", encoding="utf-8"), [], "not readable as saved ratios"),
        (lambda at: at.write_text('{"schema": 9}', encoding="utf-8"), [], "schema 9"),
        (lambda at: None, ["--backends=onnx-fp32"], "expected torch in --backends"),
        (lambda at: None, ["--gate-baseline=git:main"], "compares saved numbers"),
    ],
    ids=["missing", "truncated", "schema", "anchor", "git"],
)
def test_what_cannot_be_compared_is_refused(
    project: Project, damage: Callable[[Path], object], arguments: list[str], words: str
) -> None:
    damage(project.ratios)
    code, output = project.pytest("--gate", *arguments)
    assert code == 4, output
    assert words in output
    assert "Traceback" not in output


def test_ratios_that_could_not_be_kept_are_refused_before_anything_is_built(project: Project) -> None:
    code, output = project.pytest("--gate-accept", "--backends=onnx-fp16", "-k", "artifact", suite="benchmarks")
    assert code == 4, output
    assert "expected torch or onnx-fp32 in --backends" in output
    assert "passed" not in output
