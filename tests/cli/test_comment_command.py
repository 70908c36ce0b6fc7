"""`driftgate comment`: from the files of a run to a pull request."""

import json
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path
from typing import Any

import pytest
import report_documents as documents
from command_line import run_driftgate
from fake_github import fake_github
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytest.importorskip("jsonschema", reason="jsonschema is not installed; the extra github brings it")


def write(folder: Path, document: Any, name: str = "results.json") -> Path:
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return path


def test_results_and_their_report_make_the_same_comment(tmp_path: Path) -> None:
    results = write(tmp_path, documents.failing())
    assert (
        run_driftgate("report", results, "--out", tmp_path / "a.html", "--markdown", tmp_path / "report.md").exit_code
        == 0
    )
    comments = [run_driftgate("comment", path) for path in (results, tmp_path / "report.md", tmp_path)]
    assert {found.exit_code for found in comments} == {0}
    assert len({found.stdout for found in comments}) == 1
    assert "REGRESSION" in comments[0].stdout


def test_a_step_summary_is_appended_and_a_comment_written(tmp_path: Path) -> None:
    results, summary, out = write(tmp_path, documents.passing()), tmp_path / "summary.md", tmp_path / "comment.md"
    summary.write_text("before\n", encoding="utf-8")
    done = run_driftgate("comment", results, "--step-summary", summary, "--out", out)
    assert (done.exit_code, done.stdout) == (0, "")
    assert summary.read_text(encoding="utf-8") == "before\n" + out.read_text(encoding="utf-8")


def test_runs_of_two_encoders_stand_side_by_side(tmp_path: Path) -> None:
    other = documents.not_shown()
    other["encoder"]["name"] = "topics"
    found = run_driftgate("comment", write(tmp_path, documents.failing(), "a.json"), write(tmp_path, other, "b.json"))
    assert found.stdout.startswith("<!-- driftgate: emotions, topics -->")


def test_a_comment_is_posted_with_what_the_environment_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("github", reason="PyGithub is not installed; the extra github brings it")
    results = write(tmp_path, documents.failing())
    with fake_github() as github:
        monkeypatch.setenv("GITHUB_API_URL", github.address)
        monkeypatch.setenv("GITHUB_REPOSITORY", "someone/model")
        monkeypatch.setenv("GITHUB_TOKEN", github.token)
        done = run_driftgate("comment", results, "--post", "--head", github.head, "--commit", github.head_sha)
    assert done.exit_code == 0, done.stderr
    assert "commented on pull request 7" in done.stderr
    assert github.token not in done.stderr + done.stdout
    assert "REGRESSION" in github.comments[0]["body"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({**documents.passing(), "schema": 9}, "schema 9, and this driftgate reads schema 2"),
        (json.dumps(documents.passing())[:900], "expected a JSON object with a schema"),
        ({**documents.passing(), "verdict": "<b>"}, "at $.verdict"),
        ({**documents.passing(), "backends": []}, "expected an object at backends"),
    ],
    ids=["unknown", "truncated", "hostile", "type"],
)
def test_results_that_are_none_are_refused(tmp_path: Path, content: Any, words: str) -> None:
    done = run_driftgate("comment", write(tmp_path, content))
    assert done.exit_code == 4
    assert words in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--post", "--repository=a/b", "--pull-request=1"],
            "expected a token in the environment variable GITHUB_TOKEN",
        ),
        (["--link=javascript:alert(1)"], "expected the https address of a run"),
        (["report.md"], "expected one report.md, or any number of results.json"),
    ],
    ids=["token", "link", "both"],
)
def test_options_that_cannot_be_used_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    done = run_driftgate("comment", write(tmp_path, documents.passing()), *arguments)
    assert done.exit_code == 4
    assert words in " ".join(done.stderr.split())


@pytest.mark.parametrize("repository", ["", "model", "a/b/c"])
def test_a_repository_is_named_by_owner_and_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repository: str
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "a-token")
    done = run_driftgate("comment", write(tmp_path, documents.passing()), "--post", f"--repository={repository}")
    assert done.exit_code == 4
    assert "expected OWNER/NAME" in done.stderr


def test_no_more_is_imported_than_the_workflow_installs(tmp_path: Path) -> None:
    """examples/pull-request/comment.yml installs these by name, for the whole of driftgate would take minutes."""
    others = sorted(
        {canonicalize_name(Requirement(line).name) for line in requires("driftgate") or () if "extra ==" not in line}
        - {"markupsafe", "numpy", "typer", "rich"}
    )
    modules = {
        module
        for module, names in packages_distributions().items()
        if not set(map(canonicalize_name, names)).isdisjoint(others)
    }
    code = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(modules)!r}))\n"  # None: whoever imports it gets an error
        f"from driftgate.cli.main import app\napp(['comment', {str(write(tmp_path, documents.failing()))!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "torch" in modules
