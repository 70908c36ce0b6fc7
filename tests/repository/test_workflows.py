"""The workflows do what they say: their scripts are run here, with a `pytest` that only writes down how it was called."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = Path(__file__).parents[2] / ".github" / "workflows"
ACCEPTED = ".driftgate-baseline/baseline.json"


def read_workflow(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((WORKFLOWS / name).read_text(encoding="utf-8"))
    return found


def gate_step(name: str) -> dict[str, Any]:
    steps = read_workflow("gate.yml")["jobs"]["gate"]["steps"]
    (found,) = (step for step in steps if step.get("name") == name or str(step.get("uses")).startswith(name))
    return found


def run_script(script: str, folder: Path, *, code: int = 0, **environment: str) -> tuple[int, list[str]]:
    """As a runner does it, with `bash -e`; the exit code and the arguments of each `pytest`."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    stub = programs / "pytest"
    stub.write_text(f'#!/bin/bash\necho "$*" >> calls\nexit {code}\n', encoding="utf-8")
    stub.chmod(0o755)
    search = f"{programs}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script], cwd=folder, env={"PATH": search, **environment}, check=False
    )
    calls = folder / "calls"
    return done.returncode, calls.read_text(encoding="utf-8").splitlines() if calls.exists() else []


def keep_baseline(folder: Path) -> None:
    (folder / ACCEPTED).parent.mkdir()
    (folder / ACCEPTED).write_text("{}", encoding="utf-8")


def test_a_pull_request_is_compared_with_the_kept_baseline(tmp_path: Path) -> None:
    keep_baseline(tmp_path)
    assert run_script(gate_step("Gate")["run"], tmp_path, BASE="abc", ACCEPT="") == (
        0,
        ["benchmarks --gate-report gate.md,gate.json --gate --gate-work 1%"],
    )


def test_a_pull_request_without_a_kept_baseline_builds_its_base_commit(tmp_path: Path) -> None:
    assert run_script(gate_step("Gate")["run"], tmp_path, BASE="abc", ACCEPT="") == (
        0,
        ["benchmarks --gate-report gate.md,gate.json --gate --gate-work 1% --gate-baseline git:abc"],
    )


def test_a_pull_request_never_keeps_a_baseline(tmp_path: Path) -> None:
    _, calls = run_script(gate_step("Gate")["run"], tmp_path, BASE="abc", ACCEPT="true")
    assert "--gate-accept" not in calls[0]
    assert "refs/heads/main" in gate_step("Keep the baseline")["if"]


@pytest.mark.parametrize(("kept", "accept", "compares"), [(True, "", True), (True, "true", False), (False, "", False)])
def test_main_compares_and_keeps_unless_there_is_nothing_or_someone_accepts_by_hand(
    tmp_path: Path, kept: bool, accept: str, compares: bool
) -> None:
    if kept:
        keep_baseline(tmp_path)
    code, (call,) = run_script(gate_step("Gate")["run"], tmp_path, BASE="", ACCEPT=accept)
    assert code == 0
    assert "--gate-accept" in call.split()
    assert ("--gate" in call.split()) is compares


@pytest.mark.parametrize("code", [1, 4, 7])
def test_a_gate_that_does_not_pass_fails_its_step_and_keeps_no_baseline(tmp_path: Path, code: int) -> None:
    keep_baseline(tmp_path)
    assert run_script(gate_step("Gate")["run"], tmp_path, code=code, BASE="", ACCEPT="")[0] == code
    assert "success()" in gate_step("Keep the baseline")["if"]


def test_the_baseline_is_restored_from_where_main_keeps_it() -> None:
    kept, restored = gate_step("Keep the baseline")["with"], gate_step("Restore the baseline")["with"]
    assert kept["path"] == restored["path"]
    assert kept["key"].startswith(restored["restore-keys"])
    assert restored["key"].startswith(restored["restore-keys"])


@pytest.mark.parametrize("report", ["### a table\n", None])
def test_the_summary_holds_the_table_or_says_that_there_is_none(tmp_path: Path, report: str | None) -> None:
    if report:
        (tmp_path / "gate.md").write_text(report, encoding="utf-8")
    summary = tmp_path / "summary.md"
    assert run_script(gate_step("Summary")["run"], tmp_path, GITHUB_STEP_SUMMARY=str(summary))[0] == 0
    assert summary.read_text(encoding="utf-8") == (
        report or "The speed gate compared nothing: see the log of its step.\n"
    )
    assert gate_step("Summary")["if"].startswith("always()")


@pytest.mark.parametrize("name", [path.name for path in sorted(WORKFLOWS.glob("*.yml"))])
def test_a_workflow_uses_options_markers_and_files_that_there_are(name: str, pytestconfig: pytest.Config) -> None:
    text = (WORKFLOWS / name).read_text(encoding="utf-8")
    parser: Any = pytestconfig._parser
    known = {flag for action in parser.optparser._actions for flag in action.option_strings}
    commands = re.findall(r"(?:run: |^\s+)(pytest .*)$", text, re.MULTILINE)
    options = set(re.findall(r"(?<![\w-])--(?:gate|benchmark|hypothesis)[\w-]*", text))
    assert commands
    assert options <= known
    markers = {line.partition(":")[0].strip() for line in pytestconfig.getini("markers")}
    for expression in re.findall(r"-m (?:\"([^\"]+)\"|(\w+))", text):
        assert set(re.split(r" or ", expression[0] or expression[1])) - {"pip"} <= markers
    for command in commands:
        assert (WORKFLOWS.parents[1] / command.split()[1]).exists()


def test_nightly_without_a_release_compares_nothing_and_is_green(tmp_path: Path) -> None:
    jobs = read_workflow("nightly.yml")["jobs"]["long"]["strategy"]["matrix"]["include"]
    (script,) = (job["run"] for job in jobs if job["name"] == "gate-since-release")
    assert run_script(script, tmp_path) == (0, [])


def test_nightly_compares_with_the_last_release(tmp_path: Path) -> None:
    jobs = read_workflow("nightly.yml")["jobs"]["long"]["strategy"]["matrix"]["include"]
    (script,) = (job["run"] for job in jobs if job["name"] == "gate-since-release")
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "a"], ["tag", "v1"]):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)
    assert run_script(script, tmp_path)[1] == [
        "benchmarks/test_gate.py --gate --gate-baseline git:v1 --gate-report report.md"
    ]


@pytest.mark.parametrize("name", [path.name for path in sorted(WORKFLOWS.glob("*.yml"))])
def test_actions_are_pinned_by_commit_and_say_which_release_that_is(name: str) -> None:
    text = (WORKFLOWS / name).read_text(encoding="utf-8")
    used = re.findall(r"uses: *(\S.*)", text)
    assert used
    for action in used:
        assert action.startswith("./") or re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("name", [path.name for path in sorted(WORKFLOWS.glob("*.yml"))])
def test_only_main_writes_what_later_runs_restore(name: str) -> None:
    for job in read_workflow(name)["jobs"].values():
        for step in job["steps"]:
            action = str(step.get("uses"))
            assert not action.startswith("actions/cache@"), "it saves what a pull request built"
            if action.startswith("actions/cache/save@"):
                assert step["if"] == "success() && github.ref == 'refs/heads/main'"


def test_a_committed_baseline_is_removed_before_the_kept_one_is_restored(tmp_path: Path) -> None:
    keep_baseline(tmp_path)
    run_script(gate_step("Remove a committed baseline")["run"], tmp_path)
    assert not (tmp_path / ACCEPTED).exists()
    steps = [step.get("name") for step in read_workflow("gate.yml")["jobs"]["gate"]["steps"]]
    assert steps.index("Remove a committed baseline") < steps.index("Restore the baseline") < steps.index("Gate")
