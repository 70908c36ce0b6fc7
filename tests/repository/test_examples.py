"""The projects in `examples/` do what they say, each in processes of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from nested_pytest import read_results

REPOSITORY = Path(__file__).parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the examples need, so that their results do not end up in the repository."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("fixtures", "examples"):
        leftovers = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".driftgate")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=leftovers)
    return folder


@pytest.fixture(scope="module")
def run(checkout: Path) -> Run:
    """`run("examples/...", "-m", "pytest")`: Python in that folder."""

    def start(folder: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=checkout / folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return start


def backends(folder: Path) -> dict[str, dict[str, object]]:
    document = read_results(folder)
    found: dict[str, dict[str, object]] = document["backends"]
    return found


def test_the_passing_gate_passes(run: Run, checkout: Path) -> None:
    done = run("examples/passing-gate", "-m", "pytest")
    assert done.returncode == 0, done.stdout
    assert "test_own_claims.py" in done.stdout
    assert backends(checkout / "examples/passing-gate")["onnx-fp32"]["verdict"] == "pass"


def test_the_failing_gate_fails_although_no_decision_flips(run: Run, checkout: Path) -> None:
    done = run("examples/failing-gate", "-m", "pytest")
    assert done.returncode == 1, done.stdout
    assert "FAIL        onnx-scaled: " in done.stdout
    assert "driftgate explain" in done.stdout
    found = backends(checkout / "examples/failing-gate")["onnx-scaled"]
    assert found["verdict"] == "fail"
    assert found["flips"]["at 0.5"]["total"] == 0  # type: ignore[index]


def test_the_custom_backend_is_judged_and_passes(run: Run, checkout: Path) -> None:
    done = run("examples/custom-backend", "-m", "pytest")
    assert done.returncode == 0, done.stdout
    assert backends(checkout / "examples/custom-backend")["onnx-extended"]["verdict"] == "pass"


def test_the_script_scores_batches_in_other_processes(run: Run) -> None:
    done = run(".", "examples/map_batches.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "'Thank you so much!': gratitude" in done.stdout
    assert "'': empty text" in done.stdout


def test_the_script_judges_without_pytest(run: Run) -> None:
    done = run(".", "examples/assess.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "onnx-int8: pass" in done.stdout
