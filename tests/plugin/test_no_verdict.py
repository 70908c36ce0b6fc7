"""pytest inside pytest: a run of the suites that judged nothing ends with 7 and says why; other projects' runs do not."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nested_pytest import run_pytest

CONFTEST = """
from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.errors import BackendUnavailableError

def open_with(encoder, artifact, settings):
    raise BackendUnavailableError("it needs a machine that is not here")

def pytest_driftgate_backends(config):
    return [BackendSpec("absent", Precision.FP32, Runtime.TORCH, open_with=open_with)]
"""
OTHER = """
import pytest

@pytest.fixture
def gate():
    return pytest.skip("a gate of this project's own")

def test_of_another_project(gate):
    pass

def test_with_one_of_our_fixtures(encoder):
    assert encoder.labels

def test_that_passes():
    pass
"""
REACHED, ASKED = "no verdict was reached", "no verdict was asked for"

Run = Callable[..., tuple[int, str, dict[str, Any]]]


@pytest.fixture
def run(tiny_encoder: Path, shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run("accuracy", "-k", ...)`: a suite, or "" for this project's own tests; exit code, output, results by backend."""
    monkeypatch.setattr(sys, "path", [*sys.path])  # pytest's default way to import test files adds to it
    (tmp_path / "conftest.py").write_text(CONFTEST, encoding="utf-8")
    (tmp_path / "test_other.py").write_text(OTHER, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "corpus.jsonl").write_text('{"text": "thank you"}\n{"text": "the bus was late"}\n', encoding="utf-8")

    def run(suite: str, *arguments: str) -> tuple[int, str, dict[str, Any]]:
        names = ["--pyargs", f"driftgate.suites.{suite}"] if suite else []
        given = [f"--encoder={tiny_encoder}", "--corpus=corpus.jsonl", "-p", "no:cacheprovider"]
        code, output = run_pytest(tmp_path, [*names, *given, *arguments], shared_cache)
        path = tmp_path / ".driftgate/results.json"
        return code, output, json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    return run


def test_a_run_whose_backends_were_all_skipped_shows_nothing(run: Run) -> None:
    code, output, results = run("accuracy", "--backends=absent", "-m", "not property")
    assert code == 7, output
    assert "1 passed" in output  # that the reference is torch's says nothing about a backend
    why = r"selected tests that judge a backend were skipped \(absent: it needs a machine that is not here\); exit code 7\n"
    assert re.search(rf"driftgate: {REACHED}: all \d\d {why}", output), output
    assert results["exit_code"] == 7
    assert results["backends"]["absent"]["verdicts"] == []


def test_a_run_that_judged_one_backend_of_two_has_a_verdict(run: Run) -> None:
    code, output, results = run("accuracy", "--backends=absent,onnx-fp32", "-k", "test_ranking_of_labels")
    assert code == 0, output
    assert "no verdict" not in output
    counted = {name: len(entry["verdicts"]) for name, entry in results["backends"].items()}
    assert counted == {"absent": 0, "onnx-fp32": 1}


@pytest.mark.parametrize(
    ("suite", "arguments"),
    [
        pytest.param("accuracy.test_graph", ["--backends=onnx-fp32"], id="lint-of-a-graph"),
        pytest.param(
            "benchmarks",
            ["--backends=onnx-fp32", "-k", "b1", "--driftgate-sample-rows=2"],
            id="answers-of-a-timed-cell",
        ),
    ],
)
def test_what_is_no_metric_but_can_fail_a_backend_is_a_verdict(run: Run, suite: str, arguments: list[str]) -> None:
    code, output, results = run(suite, *arguments)
    assert code == 0, output
    assert "no verdict" not in output
    assert (results["backends"]["onnx-fp32"]["verdict"], results["backends"]["onnx-fp32"]["checks"]) == ("pass", 1)


@pytest.mark.parametrize(
    ("suite", "arguments", "why"),
    [
        pytest.param("accuracy", ["-k", "no_test_has_this_name"], "by -k, -m or --deselect", id="by-name"),
        pytest.param("benchmarks", ["-m", "property"], "by -k, -m or --deselect", id="by-marker"),
        pytest.param("benchmarks.test_gate", [], "an option that was not given (--gate,", id="without-its-option"),
        pytest.param("accuracy.test_ledger", [], "--ledger,", id="without-its-option-and-no-verdict"),
    ],
)
def test_a_run_whose_tests_were_all_deselected_shows_nothing(
    run: Run, suite: str, arguments: list[str], why: str
) -> None:
    code, output, _ = run(suite, "--backends=onnx-fp32", *arguments)
    assert code == 7, output
    assert f"{REACHED}: all " in output
    assert why in output


@pytest.mark.parametrize("chosen", ["-k no_test_has_this_name", "-m property -k no_test", "--deselect accuracy"])
def test_options_of_the_environment_make_no_pass(chosen: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", f"{chosen} --deselect test_graph.py")
    code, output, _ = run("accuracy.test_graph", "--backends=onnx-fp32")
    assert code == 7, output
    assert REACHED in output


def test_other_tests_that_pass_beside_them_do_not_make_up_for_it(run: Run) -> None:
    code, output, _ = run("accuracy", "test_other.py", "-k", "that_passes")
    assert code == 7, output
    assert "1 passed" in output
    assert REACHED in output


def test_reasons_that_concern_no_backend_are_pointed_to(run: Run) -> None:
    code, output, _ = run("accuracy.test_quality", "--backends=onnx-fp32", "-rs")
    assert code == 7, output
    assert "were skipped (-rs shows the reasons)" in output
    assert "corpus corpus has no labels" in output


def test_torch_beside_nothing_but_itself_has_no_ratio(run: Run) -> None:
    """And what judged nothing becomes no baseline."""
    code, output, _ = run("benchmarks", "--backends=torch,absent", "-k", "ratio", "-rs", "--gate-accept")
    assert code == 7, output
    assert "this machine can run no backend but torch" in output
    assert "gate baseline not saved: a run that ends with 7 does not become one" in output


def test_accepting_a_baseline_alone_asks_for_no_verdict_and_keeps_it(run: Run, tmp_path: Path) -> None:
    code, output, _ = run("benchmarks.test_gate", "--backends=onnx-fp32", "--gate-accept")
    assert code == 0, output
    assert f"driftgate: {ASKED}: --gate-accept without --gate keeps the artifacts and times nothing" in output
    assert "gate baseline saved:" in output
    assert (tmp_path / ".driftgate-baseline/baseline.json").is_file()
    code, output, _ = run(
        "benchmarks.test_gate", "--backends=onnx-fp32", "--gate-accept", "-k", "no_test_has_this_name"
    )
    assert code == 0, output


def test_a_file_of_a_suite_that_is_named_alone_is_in_its_tests_ids(run: Run) -> None:
    code, output, _ = run("accuracy.test_graph", "--backends=onnx-fp32", "-v")
    assert code == 0, output
    assert re.search(r"^test_graph\.py::test_\w+\[onnx-fp32\]", output, re.MULTILINE), output


def test_a_failure_is_not_hidden(run: Run, tmp_path: Path) -> None:
    (tmp_path / "test_failing.py").write_text("def test_failing():\n    assert False\n", encoding="utf-8")
    code, output, _ = run("accuracy.test_noise", "test_failing.py", "--backends=absent")
    assert code == 1, output
    assert "no verdict" not in output


def test_properties_alone_are_asked_for_no_verdict_and_it_is_said(run: Run) -> None:
    code, output, results = run("accuracy", "--backends=onnx-fp32", "-m", "property", "-k", "batch_mates")
    assert code == 0, output
    assert f"{ASKED}: the selected tests search for counterexamples or only measure" in output
    assert results["backends"]["onnx-fp32"]["verdicts"] == []


@pytest.mark.parametrize("option", ["--collect-only", "--fixtures", "--setup-plan"])
def test_a_run_that_is_not_meant_to_judge_is_left_alone(run: Run, option: str) -> None:
    code, output, _ = run("accuracy.test_noise", "--backends=absent", option)
    assert code == 0, output
    assert "no verdict" not in output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [([], 0), (["-k", "of_another_project"], 0), (["-k", "no_test_has_this_name"], 5), (["-m", "property"], 5)],
    ids=["all", "all-skipped", "none-by-name", "none-by-marker"],
)
def test_a_project_without_our_suites_keeps_its_exit_codes(run: Run, arguments: list[str], expected: int) -> None:
    code, output, _ = run("", *arguments)
    assert code == expected, output
    assert "driftgate:" not in output


def test_a_suite_named_without_pyargs_is_refused_with_the_command_to_use(run: Run) -> None:
    code, output, _ = run("", "driftgate.suites.accuracy")
    assert code == 4, output
    assert "found the name of a Python package; write: pytest --pyargs driftgate.suites.accuracy" in output


@pytest.mark.parametrize(
    ("setting", "words"),
    [("python_files=*_spec.py", "in files *_spec.py"), ("python_functions=check", "collects functions check in files")],
)
def test_a_project_whose_settings_leave_out_our_tests_is_told_which(run: Run, setting: str, words: str) -> None:
    code, output, _ = run("accuracy", "-o", setting)
    assert code == 7, output
    assert f"{REACHED}: no test of the suites was collected" in output
    assert words in output


@pytest.mark.slow
def test_a_worker_of_xdist_that_crashes_is_no_pass(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    crashing = CONFTEST.replace('raise BackendUnavailableError("it needs a machine that is not here")', "os._exit(3)")
    (tmp_path / "conftest.py").write_text(f"import os\n{crashing}", encoding="utf-8")
    code, output, _ = run("accuracy", "--backends=absent", "-n2", "-k", "ranking or frequent")
    assert code == 1, output
    assert "crashed while running" in output


@pytest.mark.slow
def test_workers_of_xdist_count_verdicts_together(run: Run) -> None:
    pytest.importorskip("xdist")
    chosen = ("-n2", "-k", "ranking or frequent")
    code, output, results = run("accuracy", "--backends=onnx-fp32", *chosen)
    assert code == 0, output
    assert len(results["backends"]["onnx-fp32"]["verdicts"]) == 2
    code, output, _ = run("accuracy", "--backends=absent", *chosen)
    assert code == 7, output
    assert f"{REACHED}: all 2 selected tests" in output
    code, output, _ = run("", "-n2", "-k", "of_another_project")
    assert code == 0, output
