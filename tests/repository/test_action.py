"""The action and the workflows to copy: their scripts are run here, with hostile inputs and as much of GitHub as they need."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import report_documents as documents
import yaml
from fake_github import FakeGitHub, fake_github

REPOSITORY = Path(__file__).parents[2]
ACTION = REPOSITORY / "action.yml"
JUDGE, COMMENT = (REPOSITORY / "examples/pull-request" / name for name in ("judge.yml", "comment.yml"))
WORKFLOWS = (*sorted((REPOSITORY / ".github/workflows").glob("*.yml")), JUDGE, COMMENT)
PROGRAMS = Path(sys.executable).parent
HOSTILE = "x y;$(touch owned) `touch owned` \"'\\ --lf"
# Runs nothing, and leaves what the run of the test is to leave.
PYTHON = """#!/bin/bash
if [[ "$1 $2" == "-m pytest" ]]; then
  shift 2
  printf '%s\\n' "$@" > calls
  if [[ -f prepared.json ]]; then cp prepared.json "$REPORT/results.json"; fi
  if [[ -f prepared.md ]]; then cp prepared.md "$REPORT/report.md"; fi
  exit "${CODE:-0}"
fi
if [[ "$1 $2" == "-m pip" ]]; then printf '%s\\n' "$@" > installed; exit 0; fi
exec "@PYTHON@" "$@"
"""


def read(path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return found


def list_steps(path: Path) -> list[dict[str, Any]]:
    content = read(path)
    jobs = [content["runs"]] if "runs" in content else content["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


def run_step(path: Path, name: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    (step,) = (step for step in list_steps(path) if step.get("name") == name)
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "python").write_text(PYTHON.replace("@PYTHON@", sys.executable), encoding="utf-8")
    (programs / "python").chmod(0o755)
    given = {key: "" if "${{" in str(value) else str(value) for key, value in step.get("env", {}).items()}
    search = os.pathsep.join([str(programs), str(PROGRAMS), os.environ["PATH"]])
    files = {name: str(folder / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", step["run"]],
        cwd=folder,
        env={**given, **files, "PATH": search, "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


# What they may do


@pytest.mark.parametrize("path", [ACTION, *WORKFLOWS], ids=lambda path: path.name)
def test_what_comes_from_outside_reaches_a_script_by_the_environment_only(path: Path) -> None:
    scripts = [step["run"] for step in list_steps(path) if "run" in step]
    assert [script for script in scripts if re.search(r"\$\{\{(?!\s*matrix\.)", script)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_of_others_are_named_by_commit(path: Path) -> None:
    used = [step["uses"] for step in list_steps(path) if "uses" in step]
    assert [name for name in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_pull_request_keeps_nothing_in_a_cache(path: Path) -> None:
    kept = [step for step in list_steps(path) if re.match(r"actions/cache(/save)?@", step.get("uses", ""))]
    on = read(path)[True]  # YAML 1.1 reads `on` so
    if "pull_request" in on:
        assert [step for step in kept if "github.ref == 'refs/heads/main'" not in step.get("if", "")] == []


def test_the_job_that_judges_may_only_read_and_the_one_that_comments_runs_nothing_of_others() -> None:
    assert read(JUDGE)["permissions"] == {"contents": "read"}
    assert "permissions" not in read(JUDGE)["jobs"]["judge"]
    assert read(COMMENT)["permissions"] == {}
    assert read(COMMENT)["jobs"]["comment"]["permissions"] == {"actions": "read", "pull-requests": "write"}
    assert not any("checkout" in step.get("uses", "") for step in list_steps(COMMENT))


# The action


@pytest.mark.parametrize(("document", "code"), [("passing", 0), ("failing", 1), ("not_shown", 7)])
def test_the_action_ends_as_pytest_does_and_says_the_verdict(tmp_path: Path, document: str, code: int) -> None:
    found = getattr(documents, document)()
    (tmp_path / "prepared.json").write_text(json.dumps(found), encoding="utf-8")
    (tmp_path / "prepared.md").write_text("<!-- driftgate: emotions -->\n\n# it\n", encoding="utf-8")
    given = {"ENCODER": "encoder", "CORPUS": "rows.tsv", "REPORT": "out", "COMMENT": "true", "CODE": str(code)}
    done = run_step(ACTION, "Judge", tmp_path, **given)
    assert done.returncode == code, done.stdout + done.stderr
    outputs = (tmp_path / "GITHUB_OUTPUT").read_text(encoding="utf-8")
    assert outputs == f"verdict={found['verdict']}\nreport=out\n"
    assert "# it" in (tmp_path / "GITHUB_STEP_SUMMARY").read_text(encoding="utf-8")
    assert "# it" in (tmp_path / "out/comment.md").read_text(encoding="utf-8")


def test_a_run_that_judges_nothing_is_no_verdict_and_fails(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/results.json").write_text('{"verdict": "pass"}', encoding="utf-8")  # an earlier run's
    done = run_step(ACTION, "Judge", tmp_path, ENCODER="e", CORPUS="c", REPORT="out", CODE="4")
    assert done.returncode == 4
    assert (tmp_path / "GITHUB_OUTPUT").read_text(encoding="utf-8").startswith("verdict=error\n")


def test_a_report_that_cannot_be_shaped_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "prepared.json").write_text(json.dumps(documents.passing()), encoding="utf-8")
    (tmp_path / "prepared.md").write_text("not ours\n", encoding="utf-8")
    done = run_step(ACTION, "Judge", tmp_path, ENCODER="e", CORPUS="c", REPORT="out", COMMENT="true")
    assert done.returncode == 0
    assert "::warning::the report was not added" in done.stdout


def test_inputs_are_arguments_whatever_they_are(tmp_path: Path) -> None:
    names = ("ENCODER", "CORPUS", "BACKENDS", "BASELINE")
    given = dict.fromkeys(names, HOSTILE)
    run_step(ACTION, "Judge", tmp_path, **given, REPORT="o u t\nverdict=pass", ARGUMENTS=f"{HOSTILE}\n\n-k\nb or c")
    calls = (tmp_path / "calls").read_text(encoding="utf-8")
    options = ("--encoder", "--corpus", "--backends", "--gate-baseline")
    assert all(f"{option}={HOSTILE}\n" in calls for option in options)
    assert calls.endswith(f"\n{HOSTILE}\n-k\nb or c\n")
    assert not (tmp_path / "owned").exists()
    assert len((tmp_path / "GITHUB_OUTPUT").read_text(encoding="utf-8").splitlines()) == 2
    assert run_step(ACTION, "Install", tmp_path, INSTALL=f"a[b] {HOSTILE}").returncode == 0
    assert not (tmp_path / "owned").exists()


# The job that comments


def comment(folder: Path, github: FakeGitHub, **changes: str) -> "subprocess.CompletedProcess[str]":
    given = {
        "GITHUB_TOKEN": github.token,
        "GITHUB_API_URL": github.address,
        "GITHUB_REPOSITORY": "someone/model",
        "HEAD": github.head,
        "COMMIT": github.head_sha,
        "LINK": "https://github.com/someone/model/actions/runs/1",
    }
    return run_step(COMMENT, "Comment", folder, **{**given, **changes})


def leave(folder: Path, document: Any) -> None:
    (folder / "judged").mkdir(exist_ok=True)
    content = document if isinstance(document, str) else json.dumps(document)
    (folder / "judged/results.json").write_text(content, encoding="utf-8")


def test_a_fork_is_commented_on_once_and_again_only_when_something_changes(tmp_path: Path) -> None:
    pytest.importorskip("github", reason="PyGithub is not installed; the extra github brings it")
    with fake_github() as github:
        for number, document in enumerate((documents.failing(), documents.failing(), documents.passing()), 1):
            leave(tmp_path, document)
            link = f"https://github.com/someone/model/actions/runs/{number}"
            done = comment(tmp_path, github, LINK=link)
            assert done.returncode == 0, done.stderr
        assert github.written == ["POST", "PATCH"]
        (found,) = github.comments
        assert "PASS" in found["body"]
        assert "actions/runs/3" in found["body"]


def test_the_largest_run_with_hostile_names_is_a_comment_of_text(tmp_path: Path) -> None:
    pytest.importorskip("github", reason="PyGithub is not installed; the extra github brings it")
    labels = tuple(f"@everyone <b>{number}" for number in range(200))
    backends = {f"{HOSTILE}{number}": documents.backend(2e-2, "fail", labels) for number in range(59)}
    leave(tmp_path, documents.document(backends, "fail", 1, labels))
    with fake_github() as github:
        done = comment(tmp_path, github)
        assert done.returncode == 0, done.stderr
        body = github.comments[0]["body"]
    assert len(body) <= 65_536
    assert "<b>" not in body
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "document",
    ["{", {"schema": 2}, {**documents.passing(), "verdict": "<script>"}, "[" * 100_000],
    ids=["truncated", "empty", "hostile", "deep"],
)
def test_a_file_that_is_no_result_is_refused_and_nothing_is_commented(tmp_path: Path, document: Any) -> None:
    leave(tmp_path, document)
    with fake_github() as github:
        done = comment(tmp_path, github)
        assert done.returncode == 4, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert github.asked == []


def test_neither_a_missing_file_nor_a_link_is_commented_on(tmp_path: Path) -> None:
    with fake_github() as github:
        assert comment(tmp_path, github).returncode == 0
        leave(tmp_path, documents.passing())
        (tmp_path / "judged/results.json").rename(tmp_path / "elsewhere.json")
        (tmp_path / "judged/results.json").symlink_to(tmp_path / "elsewhere.json")
        assert comment(tmp_path, github).returncode == 0
        assert github.asked == []


def test_a_commit_that_the_pull_request_has_left_behind_is_not_commented_on(tmp_path: Path) -> None:
    pytest.importorskip("github", reason="PyGithub is not installed; the extra github brings it")
    leave(tmp_path, documents.failing())
    with fake_github() as github:
        done = comment(tmp_path, github, COMMIT="b" * 40)
        assert (done.returncode, github.written) == (0, [])
    assert "no comment" in done.stderr
