"""pytest inside pytest: `--gate` on a tiny encoder, on a machine whose clock only moves when work is done."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest
from gated_project import BOTH, FP32, MS, Machine, Project, Run
from nested_pytest import change_json
from running_processes import processes_of, wait_until

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.errors import WorkerError
from driftgate.gate.comparison import Outcome
from driftgate.gate.notes import GateState
from driftgate.gate.rule import GateOptions, SpeedRule, Verdict
from driftgate.gate.run_facts import timed_software
from driftgate.gate.verdicts import CellVerdict
from driftgate.gate.worker import PROTOCOL
from driftgate.inputs.encoder import load_encoder

FP32_CELLS = ["onnx-fp32-b1", "onnx-fp32-b2", "onnx-fp32-budget"]


def test_an_accepted_run_leaves_its_artifacts_as_the_baseline(accepted: tuple[Project, Run]) -> None:
    project, run = accepted
    assert run.code == 0, run.output
    assert "gate baseline saved" in run.output
    content = json.loads(project.manifest.read_text(encoding="utf-8"))
    assert content["backends"]["onnx-fp32"]["cells"] == FP32_CELLS
    assert content["about"]["environment"]["versions"]["onnxruntime"]
    assert (project.folder / ".driftgate-baseline/.gitignore").read_text(encoding="utf-8") == "*\n"


def test_the_same_bytes_under_the_same_software_pass_without_timing(project: Project, machine: Machine) -> None:
    run = project.pytest(BOTH, "--gate")
    assert run.code == 0, run.output
    assert set(run.verdicts.values()) == {"IDENTICAL"}
    assert machine.loads == 0


def test_other_weights_beside_the_same_graph_are_not_the_same_bytes(
    project: Project, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTGATE_CACHE", str(project.cache))
    built = build_artifact(load_encoder(project.encoder), REGISTRY["onnx-fp32"]).model
    weights = project.folder / "shipped/weights.bin"
    weights.parent.mkdir()
    model = weights.with_name("model.onnx")
    onnx.save(onnx.load(built), model, save_as_external_data=True, location=weights.name, size_threshold=1024)
    shipped = "--backends=shipped=shipped/model.onnx"
    accepted = project.pytest(shipped, "--gate-accept", "-k", "artifact", suite="benchmarks")
    assert accepted.code == 0, accepted.output
    assert set(project.pytest(shipped, "--gate").verdicts.values()) == {"IDENTICAL"}
    assert machine.loads == 0

    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    run = project.pytest(shipped, "--gate")
    assert set(run.verdicts.values()) == {"PASS"}, run.output
    assert machine.loads > 0


def test_artifacts_as_fast_as_the_baseline_pass_and_the_report_says_how(project: Project, machine: Machine) -> None:
    run = project.pytest(BOTH, "--gate", "--gate-measure-identical", "--gate-report=out/gate.md,out/gate.json")
    assert run.code == 0, run.output
    assert set(run.verdicts.values()) == {"PASS"}
    assert machine.loads > 0
    report = json.loads((project.folder / "out/gate.json").read_text(encoding="utf-8"))
    cell = next(cell for cell in report["cells"] if cell["cell"] == "onnx-fp32-b1")
    assert cell["low"] <= cell["slowdown"] <= cell["high"] < 0.10
    assert cell["pairs"] == 2 * cell["rounds"] >= 10
    assert cell["baseline_ms"] == pytest.approx(30, rel=0.05)
    markdown = (project.folder / "out/gate.md").read_text(encoding="utf-8")
    assert "| onnx-fp32-b1 | PASS |" in markdown
    assert "<details><summary>environment</summary>" in markdown


def test_a_slower_artifact_fails_its_cells_and_does_not_become_the_baseline(project: Project, machine: Machine) -> None:
    machine.slower = 1.15
    before = project.manifest.read_bytes()
    run = project.pytest(FP32, "--gate", "--gate-measure-identical", "--gate-accept", "-rf")
    assert run.code == 1, run.output
    assert {run.verdicts[cell] for cell in FP32_CELLS} == {"REGRESSION"}
    assert "FAILED benchmarks/test_gate.py::test_no_slower_than_the_baseline[onnx-fp32-b1]" in run.output
    assert re.search(r"onnx-fp32-b1: REGRESSION, slowdown \+1[3-7]\.\d% \[", run.output)
    assert "Traceback" not in run.output
    assert "gate baseline not saved: a run that ends with 1" in run.output
    assert project.manifest.read_bytes() == before


def test_what_the_noise_hides_is_not_measurable_and_says_what_it_would_take(project: Project, machine: Machine) -> None:
    machine.noise = 0.5
    run = project.pytest(BOTH, "--gate", "--gate-measure-identical", "--gate-budget=60")
    assert run.code == 7, run.output
    assert "NOT MEASURABLE" in set(run.verdicts.values()) <= {"NOT MEASURABLE", "PASS"}
    assert re.search(r"out of time after \d+ s of --gate-budget 60; ", run.output)


def test_a_budget_too_small_for_any_verdict_says_which_would_do(project: Project, machine: Machine) -> None:
    run = project.pytest(BOTH, "--gate", "--gate-measure-identical", "--gate-budget=2", "--gate-accept")
    assert run.code == 7, run.output
    assert "NOT MEASURABLE" in run.verdicts.values()
    needed = re.search(r"would take about \d+ rounds, \d+\.\d s each: --gate-budget (\d+)", run.output)
    assert needed
    assert int(needed[1]) > 2
    assert project.pytest(BOTH, "--gate", "--gate-measure-identical", f"--gate-budget={needed[1]}").code == 0


def test_not_measurable_only_warns_where_that_is_the_policy(project: Project, machine: Machine) -> None:
    before = project.manifest.read_bytes()
    policy = ("--gate-not-measurable=warn", "--gate-accept", "-rs")
    run = project.pytest(BOTH, "--gate", "--gate-measure-identical", "--gate-budget=2", *policy)
    assert run.code == 0, run.output
    assert "SKIPPED" in run.output
    assert "NOT MEASURABLE" in run.output
    assert "gate baseline not saved: some cells could not be measured" in run.output
    assert project.manifest.read_bytes() == before


def test_not_measurable_does_not_hide_another_failure(project: Project, machine: Machine) -> None:
    (project.folder / "benchmarks/test_other.py").write_text("def test_other():\n    assert False\n", encoding="utf-8")
    chosen = ("-k", "other or slower")
    run = project.pytest(BOTH, "--gate", "--gate-measure-identical", "--gate-budget=2", *chosen, suite="benchmarks")
    assert run.code == 1, run.output


def test_a_pass_does_not_hide_a_regression_against_stored_times(project: Project) -> None:
    saving = (FP32, "--gate-accept", "--benchmark-autosave", "-k", "fp32-b")
    assert project.pytest(*saving, suite="benchmarks").code == 0
    (saved,) = (project.folder / ".benchmarks").rglob("*.json")
    content = json.loads(saved.read_text(encoding="utf-8"))
    for bench in content["benchmarks"]:
        bench["stats"]["mean"] = 1e-9
    saved.write_text(json.dumps(content), encoding="utf-8")
    before = project.manifest.read_bytes()
    stock = ("--benchmark-compare", "--benchmark-compare-fail=mean:300%")
    chosen = (FP32, "--gate", "--gate-accept", "-k", "fp32-b")
    run = project.pytest(*chosen, *stock, suite="benchmarks")
    assert run.code == 1, run.output
    assert set(run.verdicts.values()) == {"IDENTICAL"}
    assert "Performance has regressed" in run.output
    assert project.manifest.read_bytes() == before


def test_a_backend_without_a_baseline_is_new_and_not_gated(project: Project) -> None:
    project.change_manifest(lambda content: content["backends"].pop("onnx-int8-dynamic"))
    run = project.pytest(BOTH, "--gate", "-rs")
    assert run.code == 0, run.output
    assert run.verdicts["onnx-int8-dynamic-b1"] == "NEW"
    assert run.verdicts["onnx-fp32-b1"] == "IDENTICAL"


def test_a_run_that_compared_nothing_is_not_green(project: Project) -> None:
    project.change_manifest(lambda content: content["backends"].clear())
    run = project.pytest(FP32, "--gate")
    assert run.code == 1, run.output
    assert "nothing was compared" in run.output


def test_a_vanished_cell_is_not_a_pass(project: Project) -> None:
    run = project.pytest(FP32, "--gate")
    assert run.code == 1, run.output
    assert run.verdicts["onnx-int8-dynamic-b1"] == "VANISHED"
    assert "a missing cell fails the run: time it too" in run.output
    assert project.pytest(FP32, "--gate-accept", "-k", "artifact", suite="benchmarks").code == 0
    assert project.pytest(FP32, "--gate").code == 0
    run = project.pytest(FP32, "--gate", "-k", "b1")
    assert run.code == 1, run.output
    assert run.verdicts["onnx-fp32-b2"] == "VANISHED"
    assert run.verdicts["onnx-fp32-b1"] == "IDENTICAL"


def test_other_software_is_timed_and_named(project: Project, machine: Machine) -> None:
    project.change_manifest(lambda content: content["about"]["software"].update(onnxruntime="1.0.0"))
    run = project.pytest(BOTH, "--gate")
    assert run.code == 0, run.output
    assert set(run.verdicts.values()) == {"PASS"}
    assert re.search(r"onnxruntime: baseline 1\.0\.0, now \d", run.output)


def test_a_baseline_of_another_tokenizer_is_refused_by_field(
    project: Project, make_tiny_encoder: Any, tmp_path: Path
) -> None:
    other = make_tiny_encoder(tmp_path / "other", labels=("joy", "anger"))
    run = project.pytest(BOTH, "--gate", f"--encoder={other}")
    assert run.code == 4, run.output
    assert "labels: baseline ['" in run.output
    assert "now ['joy', 'anger']" in run.output


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda at: shutil.rmtree(at.parent),
            "save one with: pytest --pyargs driftgate.suites.benchmarks --gate-accept",
        ),
        (
            lambda at: at.write_text(at.read_text(encoding="utf-8")[:100], encoding="utf-8"),
            "not a readable gate baseline",
        ),
        (
            lambda at: change_json(at, lambda content: content.update(schema=1)),
            "accept a new one with: pytest --pyargs driftgate.suites.benchmarks --gate-accept",
        ),
    ],
    ids=["missing", "truncated", "of the former schema"],
)
def test_a_baseline_that_cannot_be_read_is_refused_before_anything_is_timed(
    project: Project, machine: Machine, damage: Callable[[Path], object], words: str
) -> None:
    damage(project.manifest)
    run = project.pytest(BOTH, "--gate", "--gate-measure-identical")
    assert run.code == 4, run.output
    assert words in run.output
    assert "Traceback" not in run.output
    assert machine.loads == 0


class Coverage:
    """What pytest-cov does when it is active: register a plugin of this name."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        config.pluginmanager.register(object(), "_cov")


class Tracer:
    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        sys.settrace(lambda frame, event, argument: None)


@pytest.fixture
def untraced() -> Iterator[None]:
    before = sys.gettrace()
    yield
    sys.settrace(before)


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize(
    ("arguments", "plugins", "words"),
    [
        (["--benchmark-disable"], [], "--benchmark-disable"),
        (["--benchmark-skip"], [], "--benchmark-skip"),
        (["-n2"], [], "pytest-xdist"),
        (["--pdb"], [], "a debugger"),
        (["--trace"], [], "a debugger"),
        ([], [Coverage()], "coverage"),
        ([], [Tracer()], "sys.settrace"),
    ],
    ids=["disable", "skip", "xdist", "pdb", "trace", "coverage", "settrace"],
)
def test_a_gate_is_refused_together_with_what_distorts_times(
    project: Project, arguments: list[str], plugins: list[object], words: str
) -> None:
    if arguments == ["-n2"]:
        pytest.importorskip("xdist")
    run = project.pytest(BOTH, "--gate", *arguments, plugins=plugins)
    assert run.code == 4, run.output
    assert "--gate: refused together with" in run.output
    assert words in run.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gate", "--gate-detect=0.1"], "--gate-detect '0.1': expected a percentage such as 10%"),
        (["--gate", "--gate-detect=0%"], "--gate-detect 0.0: expected a share above 0 and up to 1"),
        (
            ["--gate", "--gate-tolerance=10%"],
            "--gate-tolerance 0.1: expected a share from 0 to below what is to be detected",
        ),
        (["--gate", "--gate-alpha=60%"], "--gate-alpha 0.6: expected a share between 0 and 0.5"),
        (["--gate", "--gate-budget=soon"], "--gate-budget 'soon': expected a positive number of seconds"),
        (["--gate", "--gate-not-measurable=ignore"], "expected fail or warn"),
        (["--gate", "--gate-report=gate.txt"], "expected a file that ends in .md or .json"),
        (["--gate", "--backends=torch"], "no gated test was collected"),
        (["--gate", "-k", "nothing"], "no gated test was collected"),
    ],
)
def test_a_mistake_ends_the_run_at_once_with_one_clear_line(project: Project, arguments: list[str], words: str) -> None:
    run = project.pytest(*([] if any("--backends" in argument for argument in arguments) else [BOTH]), *arguments)
    assert run.code == 4, run.output
    assert words in run.output
    assert "Traceback" not in run.output


def test_without_gate_its_tests_are_left_out_and_a_run_of_nothing_else_does_not_pass(project: Project) -> None:
    run = project.pytest(BOTH)
    assert run.code == 7, run.output
    assert "no verdict was reached: all 6 collected tests of the suites were deselected" in run.output


# The baseline's side in a worker of another Python


class Worker:
    """Stands in for a worker: its calls move the machine's clock."""

    def __init__(self, machine: Machine, name: str, factor: float = 1.0, dies_at: str = "") -> None:
        self.machine, self.name, self.factor, self.dies_at = machine, name, factor, dies_at

    def ask(self, request: dict[str, Any]) -> object:
        if request["do"] == self.dies_at:
            raise WorkerError(f"{self.name}: it died at {request['do']!r}")
        if request["do"] == "describe":
            return {"protocol": PROTOCOL, "software": timed_software() | {"onnxruntime": "1.0.0"}}
        self.machine.now += int(30 * MS * self.factor) if request["do"] == "run" else 0
        return 1


def stand_in(monkeypatch: pytest.MonkeyPatch, machine: Machine, **how: Any) -> None:
    @contextmanager
    def start_worker(python: str | Path, name: str, *, module: str) -> Iterator[Worker]:
        machine.workers.append(name)
        yield Worker(machine, name, **(how if python == sys.executable else {}))

    monkeypatch.setattr("driftgate.gate.remote_side.start_worker", start_worker)


def test_a_slower_runtime_is_a_regression_of_the_same_bytes(
    project: Project, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, machine, factor=1.2)
    run = project.pytest(BOTH, "--gate", "--gate-baseline-python=/elsewhere/python")
    assert run.code == 1, run.output
    assert set(run.verdicts.values()) == {"REGRESSION"}
    assert re.search(r"onnxruntime: baseline 1\.0\.0, now \d.*Each side ran on its own", run.output)


def test_an_even_runtime_passes(project: Project, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, machine)
    run = project.pytest(BOTH, "--gate", "--gate-baseline-python=/elsewhere/python")
    assert run.code == 0, run.output
    assert set(run.verdicts.values()) == {"PASS"}


def test_every_load_of_either_side_is_in_a_process_of_its_own(
    project: Project, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch, machine)
    run = project.pytest(FP32, "--gate", "--gate-baseline-python=/elsewhere/python", "--gate-report=gate.json")
    report = json.loads((project.folder / "gate.json").read_text(encoding="utf-8"))
    rounds = max(cell["rounds"] for cell in report["cells"] if cell["backend"] == "onnx-fp32")
    described, probed, *loads = machine.workers
    assert described.startswith("--gate-baseline-python"), run.output
    assert probed == "the baseline's worker", "one load says how long a row takes"
    assert Counter(loads) == {"the baseline's worker": 3 * rounds, "this run's worker": rounds}
    assert rounds >= 5


@pytest.mark.parametrize("request_name", ["load", "run"])
def test_a_worker_that_dies_leaves_its_cells_not_measurable(
    project: Project, machine: Machine, monkeypatch: pytest.MonkeyPatch, request_name: str
) -> None:
    stand_in(monkeypatch, machine, dies_at=request_name)
    run = project.pytest(BOTH, "--gate", "--gate-baseline-python=/elsewhere/python")
    assert run.code == 7, run.output
    assert set(run.verdicts.values()) == {"NOT MEASURABLE"}
    assert f"this run's worker: it died at '{request_name}'" in run.output


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="processes are looked up in /proc")
def test_a_session_that_is_killed_in_the_midst_of_timing_leaves_no_worker_and_the_baseline_as_it_was(
    project: Project,
) -> None:
    before = project.manifest.read_bytes()
    command = [
        *(sys.executable, "-P", "-m", "pytest", "benchmarks/test_gate.py", FP32, f"--encoder={project.encoder}"),
        *("--driftgate-sample-rows=4", "--driftgate-batch-sizes=1,2", "--import-mode=importlib", "-pno:cacheprovider"),
        *("--gate", "--gate-accept", "--gate-measure-identical", f"--gate-baseline-python={sys.executable}"),
    ]
    environment = {**os.environ, "DRIFTGATE_CACHE": str(project.cache)}
    workers = partial(processes_of, "driftgate.gate.worker", folder=project.folder)
    with subprocess.Popen(command, cwd=project.folder, env=environment, stdout=subprocess.DEVNULL) as session:
        wait_until(lambda: len(workers()) == 2 or session.poll() is not None)
        assert session.poll() is None, "the session ended before it was killed"
        session.kill()
    wait_until(lambda: not workers())
    assert project.manifest.read_bytes() == before
    assert not [path for path in project.manifest.parent.rglob("*") if "partial" in path.name]


def test_a_python_that_is_not_there_is_refused(project: Project) -> None:
    run = project.pytest(BOTH, "--gate", "--gate-baseline-python=elsewhere/bin/python")
    assert run.code == 4, run.output
    assert "elsewhere/bin/python cannot be started" in run.output
    assert "Traceback" not in run.output


def test_a_folder_of_something_else_is_refused_as_a_baseline_before_anything_is_built(project: Project) -> None:
    run = project.pytest(FP32, "--gate-accept", "--gate-baseline=benchmarks", suite="benchmarks")
    assert run.code == 4, run.output
    assert "give a new or empty folder with --gate-baseline" in run.output
    assert "passed" not in run.output


@pytest.mark.parametrize(
    ("verdict", "code"),
    [(Verdict.PASS, 7), (Verdict.NOT_MEASURABLE, 7), (Verdict.REGRESSION, 1), (Verdict.VANISHED, 1)],
)
def test_what_accuracy_does_not_show_stays_so_and_hides_no_slower_cell(verdict: Verdict, code: int) -> None:
    options = GateOptions(True, False, Path(), "", "", SpeedRule(), 600, True, False, ())
    state = GateState(options, seed=1)
    assert state.exit_code(7, failed_tests=0, failed_otherwise=False) == 7, "nothing was timed"
    state.outcome = Outcome({"cell": CellVerdict("cell", "backend", verdict)}, None, {})
    assert state.exit_code(7, failed_tests=0, failed_otherwise=False) == code
