"""pytest inside pytest: `--gate-baseline git:REF` in a scratch repository, whose commits bring their own driftgate."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from nested_pytest import read_results, run_pytest
from running_processes import processes_of, wait_until
from tiny_models import save_adder

import driftgate
from driftgate.gate import commit
from driftgate.measure.remote import Worker
from driftgate.plugin.option_record import Decides, Option
from driftgate.plugin.option_table import TABLE
from driftgate.plugin.speed import gate_invocation

REPOSITORY = Path(__file__).parents[2]
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
        content: dict[str, Any] = read_results(self.folder)
        return content["gate"]

    @property
    def verdicts(self) -> dict[str, str]:
        return {cell["cell"]: cell["verdict"] for cell in self.gate["cells"]}


@pytest.fixture(scope="module")
def project(tiny_encoder: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
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
    yield Project(folder, shared_cache)
    for tag in ("bare", "whole"):
        for built in (shared_cache / "gate-baselines").glob(f"{git(folder, 'rev-parse', tag)[:12]}-*"):
            shutil.rmtree(built) if built.is_dir() else built.unlink()


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
    before = commit.digest_published([model, tmp_path])
    assert len(set(before)) == 1
    save_adder(model, [1, 3])
    assert not set(before) & set(commit.digest_published([model, tmp_path]))


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
    ask = Worker.ask

    def break_off(worker: Worker, request: dict[str, Any], *patience: float) -> Any:
        if request["do"] != "build":
            return ask(worker, request, *patience)
        started.append((Path(request["folder"]), request["environment"]["PYTHONPATH"].split(":")))
        assert len(worktrees(project)) == 2
        raise KeyboardInterrupt

    monkeypatch.setattr(Worker, "ask", break_off)
    if as_a_module:
        monkeypatch.syspath_prepend(project.folder)
    code, output = project.pytest("--backends=onnx-int8-dynamic", "--gate-baseline=git:whole")
    assert code == 2, output
    ((tree, paths),) = started
    assert not tree.exists()
    assert len(worktrees(project)) == 1
    assert paths[0] == str(tree / "src")
    assert (str(tree) in paths) is as_a_module


def test_a_session_that_is_killed_in_the_midst_of_a_build_leaves_no_worktree_and_no_half_baseline(
    project: Project, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    command = [
        *(sys.executable, "-P", "-m", "pytest", "benchmarks", "--encoder=encoder", "--import-mode=importlib"),
        *("-pno:cacheprovider", "--backends=onnx-fp32", "--gate", "--gate-baseline=git:whole"),
    ]
    environment = {**os.environ, "DRIFTGATE_CACHE": str(cache)}
    with subprocess.Popen(command, cwd=project.folder, env=environment, stdout=subprocess.DEVNULL) as session:
        wait_until(lambda: len(worktrees(project)) == 2 or session.poll() is not None)
        tree = worktrees(project)[1].split()[1]
        wait_until(lambda: processes_of("pytest", tree))
        assert processes_of("driftgate.gate.commit_builder", folder=project.folder)
        session.kill()
    wait_until(lambda: not Path(tree).exists() and len(worktrees(project)) == 1)
    wait_until(lambda: not processes_of("pytest", tree))
    wait_until(lambda: not processes_of("driftgate.gate.commit_builder", folder=project.folder))
    assert not list(cache.rglob("baseline.json"))


# Which options a build is given


class Config:
    """Everything was given on the command line."""

    def __init__(self, folder: Path) -> None:
        self.invocation_params = SimpleNamespace(dir=folder)
        self.rootpath = folder

    def getoption(self, dest: str) -> object:
        (option,) = (option for option in gate_invocation.TABLE if option.ini == dest)
        return True if option.is_switch else "given"

    def getini(self, name: str) -> str:
        raise AssertionError(name)


def handed_on(folder: Path) -> set[str]:
    config: Any = Config(folder)
    return {
        *(choice.partition("=")[0] for choice in gate_invocation.list_choices(config)),
        *(flag for flag, _, _ in gate_invocation.list_files(config)),
    }


def test_every_option_that_decides_what_is_built_is_handed_on_and_no_other(tmp_path: Path) -> None:
    assert handed_on(tmp_path) == {option.flag for option in TABLE if option.decides is Decides.BUILD}


@pytest.mark.parametrize(
    "how", [{}, {"metavar": "N"}, {"metavar": "FILE", "is_path": True}], ids=["switch", "value", "file"]
)
def test_a_new_option_that_decides_what_is_built_cannot_be_missed(
    how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_invocation, "TABLE", (*TABLE, Option("--new", "of tomorrow", Decides.BUILD, **how)))
    assert "--new" in handed_on(tmp_path)


def test_an_option_cannot_be_declared_without_saying_what_it_decides() -> None:
    with pytest.raises(TypeError, match="decides"):
        Option("--new", "of tomorrow")  # type: ignore[call-arg] - that is the claim


def test_what_decides_nothing_of_a_build_was_looked_at() -> None:
    """An option that is new here: does the commit build the same artifact without it?"""
    assert {option.flag for option in TABLE if option.decides is Decides.RUN} == {
        *(
            "--accuracy-baseline",
            "--accuracy-baseline-update",
            "--bounds",
            "--driftgate-group-column",
            "--driftgate-history",
            "--driftgate-not-shown",
            "--driftgate-precision",
            "--driftgate-rebuild",
        ),
        *(
            "--driftgate-report",
            "--driftgate-results",
            "--driftgate-show-texts",
            "--gate",
            "--gate-accept",
            "--gate-alpha",
            "--gate-baseline",
        ),
        *("--gate-baseline-python", "--gate-beta", "--gate-budget", "--gate-detect", "--gate-measure-identical"),
        *(
            "--gate-not-measurable",
            "--gate-report",
            "--gate-tolerance",
            "--gate-work",
            "--graph-lock",
            "--graph-lock-update",
            "--ledger",
        ),
        "--save-predictions",
    }


def test_outside_of_a_repository_or_without_git_it_is_refused(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "elsewhere"
    shutil.copytree(project.folder, folder, ignore=shutil.ignore_patterns(".git", "src"))
    elsewhere = Project(folder, project.cache)
    code, output = elsewhere.pytest("--backends=onnx-fp32", "--gate-baseline=git:main")
    assert code == 4, output
    assert "is not inside a git working tree" in output
    monkeypatch.setenv("PATH", str(tmp_path))
    code, output = elsewhere.pytest("--backends=onnx-fp32", "--gate-baseline=git:main")
    assert code == 4, output
    assert "install git" in output
