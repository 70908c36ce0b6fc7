"""A gate baseline built from a git reference: by that commit's recipes, in a worktree of it, in a process of its own.

The process runs pytest with `--gate-accept` on one test written for it, so that options, ini files and hooks of that commit
have their say, and the baseline it leaves is what is read. That test fails, and nothing is kept, where the code that builds
is not that commit's: an editable install points at the current tree.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftgate.builder.artifact import digest_files, model_files
from driftgate.builder.build import library_versions
from driftgate.edges.cache_folder import ENVIRONMENT_VARIABLE, cache_folder
from driftgate.edges.processes import git_environment, run_git
from driftgate.errors import BaselineError, quote_lines
from driftgate.gate.baseline import FILE_NAME
from driftgate.gate.run_facts import timed_software
from driftgate.inputs.model_folder import own_files
from driftgate.measure.remote import start_worker

# Of that commit's ini file: what it asks of the whole suite has nothing to do with a build.
_UNSET = ("addopts=", "driftgate_gate=false", "driftgate_gate_baseline_python=", "driftgate_report=none")
_PACKAGE = Path("src/driftgate/__init__.py")
_TEST_NAME = "test_driftgate_builds_its_baseline.py"
_TEST = """\
from pathlib import Path

import driftgate as package


def test_the_code_of_this_commit_builds(driftgate):
    assert Path(package.__file__).resolve() == Path({package!r})
"""
_LAST_LINES = 20
_BUILD_SECONDS = 24 * 3600.0
_BUILDER = "driftgate.gate.commit_builder"


@dataclass(frozen=True, slots=True)
class Commit:
    """What a reference stands for.

    Args:
        reference: as it was given. `sha`: the whole of it. `top`: folder of the repository's working tree.
    """

    reference: str
    sha: str
    top: Path


@dataclass(frozen=True, slots=True)
class Invocation:
    """How this run was started, as far as the commit's build has to be started alike.

    Args:
        folder: where. `root`: pytest's root folder. `tests`: folder of the gated tests: the commit's `conftest.py` files around
            it are in force. `ini`: the ini file, if any.
        arguments: that mean the same in the worktree. `choices`: options of the command line that decide what is built, which
            do so too, but are part of the result's name.
        files: options that name a file: the flag, what was given, and where that is, None where it is nowhere.
        inputs: JSON-ready; contents that decide what is built besides the commit.
    """

    folder: Path
    root: Path
    tests: Path
    ini: Path | None
    arguments: tuple[str, ...]
    choices: tuple[str, ...]
    files: tuple[tuple[str, str, Path | None], ...]
    inputs: tuple[object, ...]


def find_commit(reference: str, folder: Path) -> Commit:
    """The commit that `reference` names in the repository around `folder`.

    Raises:
        BaselineError: git is missing, `folder` is in no repository, or the repository has no such reference.
    """
    option = f"--gate-baseline git:{reference}"
    code, top = _git(folder, "rev-parse", "--show-toplevel")
    if code:
        raise BaselineError(
            f"{option}: {folder} is not inside a git working tree ({top}); give a folder of artifacts instead"
        )
    code, sha = _git(folder, "rev-parse", "--verify", "--end-of-options", f"{reference}^{{commit}}")
    if code:
        raise BaselineError(
            f"{option}: {top} has no commit of that name ({sha}); fetch it first (a shallow clone has few), or name another"
        )
    return Commit(reference, sha, Path(top).resolve())


def build_commit(commit: Commit, invocation: Invocation, announce: Callable[[str], None]) -> Path:
    """The folder of the baseline that `commit` builds, from the cache where it was built before.

    Raises:
        BaselineError: the commit has no code for it, or its build failed; the last lines are shown.
    """
    from filelock import FileLock

    folder = cache_folder() / "gate-baselines" / _key(commit, invocation)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / FILE_NAME).is_file():
            announce(f"gate baseline: building git:{commit.reference} ({commit.sha[:12]}) in a worktree")
            _build(commit, invocation, folder)
    return folder


def _key(commit: Commit, invocation: Invocation) -> str:
    """Of all that decides what is built."""
    parts = [
        commit.sha,
        invocation.inputs,
        library_versions(),
        timed_software(),
        os.path.relpath(invocation.folder.resolve(), commit.top),
        invocation.choices,
    ]
    return f"{commit.sha[:12]}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]}"


def digest_published(paths: Iterable[Path]) -> list[str]:
    """sha256 of each ONNX model, with its weights, that is one of `paths` or in one that is a folder."""
    models = (model for path in paths for model in ([path] if path.is_file() else own_files(path, "*.onnx")))
    return [digest_files(model_files(model), model.parent) for model in models]


def _build(commit: Commit, invocation: Invocation, folder: Path) -> None:
    option = f"--gate-baseline git:{commit.reference}"
    # Worktree and cache are the builder's: it outlives whatever ends this process, and removes what it made.
    with start_worker(sys.executable, option, module=_BUILDER) as builder:
        made = builder.ask({"do": "checkout", "top": str(commit.top), "sha": commit.sha}, _BUILD_SECONDS)
        if made["code"]:
            raise BaselineError(f"{option}: git cannot check out {commit.sha}:", *quote_lines(made["output"]))
        request = _describe_build(commit, invocation, Path(made["tree"]), folder, Path(made["scratch"]))
        done = builder.ask({"do": "build", **request}, _BUILD_SECONDS)
    if done["code"] or not (folder / FILE_NAME).is_file():
        raise BaselineError(
            f"{option}: commit {commit.sha} built no baseline (pytest ended with {done['code']}); its driftgate may be too old "
            "for it. Its last lines:",
            *quote_lines(done["output"])[-_LAST_LINES:],
        )


def _describe_build(commit: Commit, invocation: Invocation, tree: Path, folder: Path, scratch: Path) -> dict[str, Any]:
    """Write the test into the worktree; how pytest is to be run on it."""
    package = Path(__file__).resolve().parents[1] / "__init__.py"
    if (commit.top / _PACKAGE).exists():  # driftgate's own repository
        package = tree / _PACKAGE
        if not package.exists():
            raise BaselineError(f"--gate-baseline git:{commit.reference}: commit {commit.sha} has no {_PACKAGE}")
    start = _counterpart(invocation.folder, commit, tree)
    home = _counterpart(invocation.tests, commit, tree)
    if not home.is_relative_to(tree):  # tests of an installed package, or a folder that is new
        home = start = start if start.is_relative_to(tree) else tree
    test = home / _TEST_NAME
    test.write_text(_TEST.format(package=str(package.resolve())), encoding="utf-8")
    files = (f"{flag}={_counterpart(here, commit, tree) if here else given}" for flag, given, here in invocation.files)
    arguments = [
        str(test), "-q", "--no-header", "-p", "no:cacheprovider",
        "-Wignore::pytest.PytestConfigWarning",  # an older commit does not know all of `_UNSET`
        f"--rootdir={_counterpart(invocation.root, commit, tree)}",
        "--gate-accept", f"--gate-baseline={folder}", f"--driftgate-results={scratch}",
        *(f"-o{setting}" for setting in _UNSET),
        *(["-c", str(_counterpart(invocation.ini, commit, tree))] if invocation.ini else []),
        *invocation.arguments, *invocation.choices, *files,
    ]  # fmt: skip
    # A cache of its own: a step that was changed without a new version would be taken from this commit's.
    sources = [str(tree / "src"), os.environ.get("PYTHONPATH", "")]
    if str(invocation.folder) in sys.path:  # as `python -m pytest` has it: this run imports from there
        sources.insert(1, str(start))
    environment = git_environment() | {ENVIRONMENT_VARIABLE: str(scratch), "PYTHONPATH": os.pathsep.join(sources)}
    return {"arguments": arguments, "folder": str(start), "environment": environment}


def _counterpart(path: Path, commit: Commit, tree: Path) -> Path:
    """The commit's own of a path in the repository; the path itself where it is outside, or the commit lacks it."""
    path = path.resolve()
    if path.is_relative_to(commit.top):
        own = tree / path.relative_to(commit.top)
        if own.exists():
            return own
    return path


def _git(folder: Path, *arguments: str) -> tuple[int, str]:
    """git's exit code, and what it printed."""
    try:
        done = run_git(folder, *arguments)
    except FileNotFoundError as error:
        raise BaselineError(
            "--gate-baseline git:REF: found no program git on PATH; install git, or give a folder"
        ) from error
    return done.returncode, done.stdout.strip()
