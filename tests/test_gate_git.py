"""pytest inside pytest: `--gate-baseline git:REF` in a scratch repository, whose commits bring their own driftgate."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from nested_pytest import run_pytest
from tiny_models import save_adder

import driftgate
from driftgate.plugin import gate_git

REPOSITORY = Path(__file__).parents[1]
HOOK = """\
import shutil

from driftgate.backends import BackendSpec, Precision, Runtime, Step


def copy(source, target):
    shutil.copy2(source, target)
    {more}


def pytest_driftgate_backends(config):
    return [BackendSpec("onnx-mine", Precision.FP32, Runtime.ONNXRUNTIME, ("export", Step("copy", "1", copy)))]
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=someone", "-c", "user.email=someone@example.org", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@dataclass(frozen=True)
class Project:
    folder: Path
    cache: Path

    def pytest(self, *arguments: str) -> tuple[int, str]:
        small = ["--driftgate-sample-rows=4", "--driftgate-batch-sizes=1", "--encoder=encoder"]
        command = ["benchmarks", *small, "--import-mode=importlib", "-p", "no:cacheprovider", "--gate", *arguments]
        return run_pytest(self.folder, command, self.cache)

    @property
    def gate(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / ".driftgate/results.json").read_text(encoding="utf-8"))
        return content["gate"]

    @property
    def verdicts(self) -> dict[str, str]:
        return {cell["cell"]: cell["verdict"] for cell in self.gate["cells"]}


@pytest.fixture(scope="module")
def project(tiny_encoder: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Tagged `bare`: a driftgate that cannot do anything. `whole`: all of it, an encoder, a backend of its own."""
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "--quiet")
    (folder / "benchmarks").mkdir()
    shutil.copy2(REPOSITORY / "benchmarks/test_gate.py", folder / "benchmarks")
    (folder / "pytest.ini").write_text("[pytest]\naddopts = -k no_slower\n", encoding="utf-8")
    (folder / "benchmarks/conftest.py").write_text(HOOK.format(more=""), encoding="utf-8")
    (folder / ".gitignore").write_text(".driftgate\n", encoding="utf-8")
    package = folder / "src/driftgate"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=bare")
    git(folder, "tag", "bare")
    shutil.rmtree(package)
    shutil.copytree(Path(driftgate.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(tiny_encoder, folder / "encoder")
    (folder / "numpy.py").write_text(
        "raise SystemExit('a file of the current folder was imported')\n", encoding="utf-8"
    )
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=whole")
    git(folder, "tag", "whole")
    return Project(folder, shared_cache)


def worktrees(project: Project) -> list[str]:
    return git(project.folder, "worktree", "list", "--porcelain").split("\n\n")


def test_a_commit_s_artifacts_are_built_by_its_own_code_once(project: Project) -> None:
    backends = "--backends=onnx-fp32,onnx-mine"
    code, output = project.pytest(backends, "--gate-baseline=git:whole")
    assert code == 0, output
    assert set(project.verdicts.values()) == {"IDENTICAL"}, "the commit is what is checked out"
    sha = git(project.folder, "rev-parse", "whole")
    assert f"baseline: git:whole, built from commit {sha}" in output
    assert project.gate["baseline"]["git"] == {"reference": "whole", "commit": sha}
    assert "gate baseline: building git:whole" in output
    assert len(worktrees(project)) == 1

    # The same step with other effects and no new version: the baseline keeps the commit's.
    # (An empty second graph is merged into the first.)
    changed = 'with open(target, "ab") as model: model.write(b"\\x3a\\x00")'
    (project.folder / "benchmarks/conftest.py").write_text(HOOK.format(more=changed), encoding="utf-8")
    code, output = project.pytest(
        backends, "--driftgate-rebuild", f"--gate-baseline=git:{sha[:10]}", "--gate-budget=0.01"
    )
    assert "gate baseline: building" not in output, "it was built before"
    assert project.verdicts["onnx-mine-b1"] == "NOT MEASURABLE", output
    assert project.verdicts["onnx-fp32-b1"] == "IDENTICAL"


def test_what_was_published_counts_with_its_weights(tmp_path: Path) -> None:
    model = save_adder(tmp_path / "model.onnx", [1, 2])
    before = gate_git.digest_published([model, tmp_path])
    assert len(set(before)) == 1
    save_adder(model, [1, 3])
    assert not set(before) & set(gate_git.digest_published([model, tmp_path]))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("bare", "built no baseline (pytest ended with"),
        ("no-such", "has no commit of that name"),
        ("--all", "has no commit of that name"),
        ("", "expected a commit after the colon"),
    ],
)
def test_a_reference_that_gives_no_baseline_is_refused(project: Project, reference: str, words: str) -> None:
    code, output = project.pytest("--backends=onnx-fp32", f"--gate-baseline=git:{reference}")
    assert code == 4, output
    assert words in output
    assert 'Traceback (most recent call last):\n  File "/' not in output.partition("Its last lines:")[0]
    assert len(worktrees(project)) == 1


def test_the_last_lines_of_a_failed_build_are_shown(project: Project) -> None:
    _, output = project.pytest("--backends=onnx-fp32", "--gate-baseline=git:bare")
    assert "No module named 'driftgate.plugin'" in output.partition("Its last lines:")[2]


def test_there_is_nowhere_to_accept_a_run_gated_on_a_commit(project: Project) -> None:
    code, output = project.pytest("--backends=onnx-fp32", "--gate-baseline=git:whole", "--gate-accept")
    assert code == 4, output
    assert "nowhere to keep this run's artifacts" in output


@pytest.mark.parametrize("as_a_module", [False, True], ids=["pytest", "python -m pytest"])
def test_a_build_that_is_broken_off_leaves_no_worktree_and_imports_from_where_this_run_does(
    as_a_module: bool, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[Path, list[str]]] = []

    def break_off(*_: object, folder: Path, environment: dict[str, str], **__: object) -> None:
        started.append((folder, environment["PYTHONPATH"].split(":")))
        assert len(worktrees(project)) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(gate_git, "run_python", break_off)
    if as_a_module:
        monkeypatch.syspath_prepend(project.folder)
    code, output = project.pytest("--backends=onnx-int8-dynamic", "--gate-baseline=git:whole")
    assert code == 2, output
    ((tree, paths),) = started
    assert not tree.exists()
    assert len(worktrees(project)) == 1
    assert paths[0] == str(tree / "src")
    assert (str(tree) in paths) is as_a_module


def test_outside_of_a_repository_or_without_git_it_is_refused(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns(".git", "src"))
    elsewhere = Project(folder, project.cache)
    code, output = elsewhere.pytest("--backends=onnx-fp32", "--gate-baseline=git:main")
    assert code == 4, output
    assert "is in no git working tree" in output
    monkeypatch.setenv("PATH", str(tmp_path))
    code, output = elsewhere.pytest("--backends=onnx-fp32", "--gate-baseline=git:main")
    assert code == 4, output
    assert "install git" in output
