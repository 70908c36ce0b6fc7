"""pytest inside pytest: what pytest-benchmark's own comparison would let pass in silence."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nested_pytest import change_json, copy_suite, run_pytest

COMPARE = ("--benchmark-compare", "--benchmark-compare-fail=mean:300%")


@dataclass(frozen=True)
class Project:
    """A folder with the throughput benchmark and saved runs."""

    folder: Path
    encoder: Path
    cache: Path

    def pytest(self, *arguments: str, path: Sequence[str] = ("benchmarks",)) -> tuple[int, str]:
        small = ["--driftgate-sample-rows=2", "--driftgate-batch-sizes=2", f"--encoder={self.encoder}"]
        chosen = [] if "-k" in arguments else ["-k", "fp32-b"]
        quiet = ["-p", "no:cacheprovider", "--import-mode=importlib", "--backends=onnx-fp32"]
        return run_pytest(self.folder, [*path, *small, *chosen, *quiet, *arguments], self.cache)

    @property
    def saved(self) -> list[Path]:
        return sorted((self.folder / ".benchmarks").rglob("*.json"))

    def change(self, edit: Callable[[Any], object]) -> None:
        """Change the newest saved run."""
        change_json(self.saved[-1], edit)


def scale(factor: float) -> Callable[[Any], None]:
    def edit(content: Any) -> None:
        for bench in content["benchmarks"]:
            bench["stats"] = {
                name: value * factor if isinstance(value, float) else value for name, value in bench["stats"].items()
            }

    return edit


@pytest.fixture(scope="module")
def first(tiny_encoder: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One saved run: copied, never changed. Its times are made long enough that only a test makes a regression."""
    folder = tmp_path_factory.mktemp("compare")
    copy_suite(folder, "benchmarks", "test_throughput.py")
    project = Project(folder, tiny_encoder, shared_cache)
    code, output = project.pytest("--benchmark-autosave")
    assert code == 0, output
    project.change(scale(100))
    return project


@pytest.fixture
def project(first: Project, tmp_path: Path) -> Project:
    shutil.copytree(first.folder, tmp_path / "project")
    return Project(tmp_path / "project", first.encoder, first.cache)


def test_an_even_run_passes_and_is_saved_as_accepted(project: Project) -> None:
    code, output = project.pytest(*COMPARE, "--benchmark-autosave")
    assert code == 0, output
    assert json.loads(project.saved[-1].read_text(encoding="utf-8"))["driftgate"]["status"] == "accepted"
    assert "driftgate comparison" not in output


def test_a_regressed_run_is_saved_as_rejected_and_ends_without_a_traceback(project: Project) -> None:
    project.change(scale(1e-4))
    code, output = project.pytest(*COMPARE, "--benchmark-autosave")
    assert code == 1, output
    assert "Performance has regressed" in output
    assert "Field 'mean' has failed" in output
    assert "Traceback" not in output
    assert "PerformanceRegression" not in output
    mark = json.loads(project.saved[-1].read_text(encoding="utf-8"))["driftgate"]
    assert (mark["status"], mark["exit_code"]) == ("rejected", 1)
    assert any("'mean'" in reason for reason in mark["reasons"])


def test_a_rejected_run_never_becomes_the_next_baseline(project: Project) -> None:
    """Else a regression would fail once, and pass the second time."""
    project.change(scale(1e-4))
    for _ in range(2):
        code, output = project.pytest(*COMPARE, "--benchmark-autosave")
        assert code == 1, output
    assert len(project.saved) == 3


def test_where_every_saved_run_was_rejected_there_is_nothing_to_compare_with(project: Project) -> None:
    project.change(lambda content: content["driftgate"].update(status="rejected"))
    assert project.pytest(*COMPARE)[0] == 4
    code, output = project.pytest("--benchmark-compare")
    assert code == 0, output
    assert "nothing to compare yet" in output


def test_a_rejected_run_can_still_be_named(project: Project) -> None:
    project.change(lambda content: content["driftgate"].update(status="rejected"))
    code, output = project.pytest("--benchmark-compare=0001", COMPARE[1])
    assert code == 0, output


def test_a_run_that_failed_otherwise_is_rejected_too(project: Project) -> None:
    (project.folder / "benchmarks/test_other.py").write_text("def test_other():\n    assert False\n", encoding="utf-8")
    code, output = project.pytest("--benchmark-autosave", "-k", "fp32-b or other")
    assert code == 1, output
    assert json.loads(project.saved[-1].read_text(encoding="utf-8"))["driftgate"]["status"] == "rejected"


def test_a_renamed_test_keeps_the_history_of_its_cells(project: Project) -> None:
    project.change(scale(1e-4))
    (project.folder / "benchmarks/test_throughput.py").rename(project.folder / "benchmarks/test_throughput_of_all.py")
    code, output = project.pytest(*COMPARE)
    assert code == 1, output
    assert "Field 'mean' has failed" in output


def test_a_vanished_cell_is_not_a_pass(project: Project) -> None:
    code, output = project.pytest(*COMPARE, "-k", "fp32-b2")
    assert code == 1, output
    assert "onnx-fp32-budget: in the saved run, not in this one" in output


def test_a_renamed_cell_is_not_a_pass(project: Project) -> None:
    def rename(content: Any) -> None:
        for bench in content["benchmarks"]:
            bench["fullname"] = bench["fullname"].replace("onnx-fp32", "onnx-f32")
            bench["extra_info"]["cell"] = bench["extra_info"]["cell"].replace("onnx-fp32", "onnx-f32")

    project.change(rename)
    code, output = project.pytest(*COMPARE)
    assert code == 1, output
    assert "nothing was compared" in output


def test_a_gated_run_that_timed_nothing_is_not_green(project: Project) -> None:
    code, output = project.pytest(*COMPARE, "-k", "artifact")
    assert code == 1, output
    assert "nothing was compared" in output


def test_comparing_without_a_gate_only_says_what_is_missing(project: Project) -> None:
    code, output = project.pytest("--benchmark-compare", "-k", "fp32-b2")
    assert code == 0, output
    assert "onnx-fp32-budget: in the saved run, not in this one" in output


def test_a_cell_that_did_other_work_is_refused_by_field(project: Project) -> None:
    project.change(lambda content: [bench["extra_info"].update(threads=64) for bench in content["benchmarks"]])
    code, output = project.pytest(*COMPARE, "--benchmark-autosave")
    assert code == 4, output
    assert "not comparable with the saved run: onnx-fp32-b2: threads 64 ->" in output
    assert json.loads(project.saved[-1].read_text(encoding="utf-8"))["driftgate"]["status"] == "rejected"


def test_times_of_another_machine_do_not_gate_and_without_a_gate_advise(project: Project) -> None:
    project.change(lambda content: content["machine_info"]["cpu"].update(brand_raw="Imagined 9000"))
    code, output = project.pytest(*COMPARE)
    assert code == 4, output
    assert "timed on another machine (cpu.brand_raw 'Imagined 9000' -> " in output
    assert "use --gate" in output
    assert "Traceback" not in output
    code, output = project.pytest("--benchmark-compare")
    assert code == 0, output
    assert "so its times are only advice: cpu.brand_raw" in output


@pytest.mark.parametrize("path", ["benchmarks", "benchmarks/", "benchmarks/test_throughput.py"])
def test_a_path_swallowed_by_compare_is_caught(project: Project, path: str) -> None:
    code, output = project.pytest(path=["--benchmark-compare", path])
    assert code == 4, output
    assert f"--benchmark-compare took the path {path!r} for the number of a saved run; put the path first" in output


def test_a_second_bound_that_would_replace_the_first_is_refused(project: Project) -> None:
    code, output = project.pytest(*COMPARE, "--benchmark-compare-fail=min:5%")
    assert code == 4, output
    assert "keeps only the last; write all bounds after one" in output


@pytest.mark.parametrize("argument", ["--benchmark-disable", "-n2", "--pdb"])
def test_a_gate_on_distorted_times_is_refused(project: Project, argument: str) -> None:
    if argument == "-n2":
        pytest.importorskip("xdist")
    code, output = project.pytest(*COMPARE, argument)
    assert code == 4, output
    assert "--benchmark-compare-fail: refused together with" in output


def test_saved_runs_are_read_by_pytest_benchmarks_own_command(project: Project) -> None:
    assert project.pytest("--benchmark-autosave")[0] == 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", "compare", "--columns=mean"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test_throughput[onnx-fp32-b2]") == 2


def test_benchmarks_of_others_are_left_alone(project: Project) -> None:
    other = "def test_other(benchmark):\n    benchmark.pedantic(int, rounds=1)\n"
    (project.folder / "theirs").mkdir()
    (project.folder / "theirs/test_other.py").write_text(other, encoding="utf-8")
    storage = "--benchmark-storage=file://./.theirs"
    run = ["theirs", storage, "-p", "no:cacheprovider"]
    assert run_pytest(project.folder, [*run, "--benchmark-autosave"], project.cache)[0] == 0
    (saved,) = (project.folder / ".theirs").rglob("*.json")
    content = json.loads(saved.read_text(encoding="utf-8"))
    assert "driftgate" not in content
    scale(1e-6)(content)
    saved.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(Exception, match=r"Performance has regressed\."):
        run_pytest(project.folder, [*run, *COMPARE], project.cache)
