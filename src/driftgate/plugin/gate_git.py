"""A gate baseline built from a git reference: by that commit's recipes, in a worktree of it, in a process of its own.

The process runs pytest with `--gate-accept` on one test written for it, so that options, ini files and hooks of that commit
have their say, and the baseline it leaves is what is read. That test fails, and nothing is kept, where the code that builds
is not that commit's: an editable install points at the current tree.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import driftgate
from driftgate.builder.artifact import digest_files, model_files
from driftgate.builder.build import library_versions
from driftgate.builder.cache import ENVIRONMENT_VARIABLE, cache_folder
from driftgate.errors import BaselineError, quote_lines
from driftgate.gate.baseline import FILE_NAME
from driftgate.inputs.model_folder import own_files
from driftgate.measure.software import timed_software
from driftgate.plugin.option_table import TABLE, Decides
from driftgate.plugin.session import DriftgateSession
from driftgate.processes import run_git, run_python

# Of that commit's ini file: what it asks of the whole suite has nothing to do with a build.
_UNSET = ("addopts=", "driftgate_gate=false", "driftgate_gate_baseline_python=")
_PACKAGE = Path("src/driftgate/__init__.py")
_TEST_NAME = "test_driftgate_builds_its_baseline.py"
_TEST = """\
from pathlib import Path

import driftgate as package


def test_the_code_of_this_commit_builds(driftgate):
    assert Path(package.__file__).resolve() == Path({package!r})
"""
_LAST_LINES = 20


@dataclass(frozen=True, slots=True)
class Commit:
    """What a reference stands for.

    Args:
        reference: as it was given. `sha`: the whole of it. `top`: folder of the repository's working tree.
    """

    reference: str
    sha: str
    top: Path


def find_commit(reference: str, folder: Path) -> Commit:
    """The commit that `reference` names in the repository around `folder`.

    Raises:
        BaselineError: git is missing, `folder` is in no repository, or the repository has no such reference.
    """
    option = f"--gate-baseline git:{reference}"
    code, top = _git(folder, "rev-parse", "--show-toplevel")
    if code:
        raise BaselineError(f"{option}: {folder} is in no git working tree ({top}); give a folder of artifacts instead")
    code, sha = _git(folder, "rev-parse", "--verify", "--end-of-options", f"{reference}^{{commit}}")
    if code:
        raise BaselineError(
            f"{option}: {top} has no commit of that name ({sha}); fetch it first (a shallow clone has few), or name another"
        )
    return Commit(reference, sha, Path(top).resolve())


def build_commit(session: DriftgateSession, commit: Commit, tests: Path) -> Path:
    """The folder of the baseline that `commit` builds, from the cache where it was built before.

    Args:
        tests: folder of the gated tests: the commit's `conftest.py` files around it are in force.

    Raises:
        BaselineError: the commit has no code for it, or its build failed; the last lines are shown.
    """
    from filelock import FileLock

    folder = cache_folder() / "gate-baselines" / _key(session, commit)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / FILE_NAME).is_file():
            with session.announce() as say, _worktree(commit) as tree:
                say(f"gate baseline: building git:{commit.reference} ({commit.sha[:12]}) in a worktree")
                _build(session, commit, tree, tests, folder)
    return folder


def _key(session: DriftgateSession, commit: Commit) -> str:
    """Of all that decides what is built."""
    parts = [
        commit.sha,
        session.encoder.sha256,
        session.calibration and session.calibration.sha256,
        digest_published(spec.published for spec in session.options.backends if spec.published),
        library_versions(),
        timed_software(),
        os.path.relpath(session.config.invocation_params.dir.resolve(), commit.top),
        [spec.name for spec in session.options.backends],
        _choices(session),
    ]
    return f"{commit.sha[:12]}-{hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:20]}"


def digest_published(paths: Iterable[Path]) -> list[str]:
    """sha256 of each ONNX model, with its weights, that is one of `paths` or in one that is a folder."""
    models = (model for path in paths for model in ([path] if path.is_file() else own_files(path, "*.onnx")))
    return [digest_files(model_files(model), model.parent) for model in models]


def _build(session: DriftgateSession, commit: Commit, tree: Path, tests: Path, folder: Path) -> None:
    config = session.config
    package = Path(driftgate.__file__).resolve()
    if (commit.top / _PACKAGE).exists():  # driftgate's own repository
        package = tree / _PACKAGE
        if not package.exists():
            raise BaselineError(f"--gate-baseline git:{commit.reference}: commit {commit.sha} has no {_PACKAGE}")
    start = _counterpart(config.invocation_params.dir, commit, tree)
    home = _counterpart(tests, commit, tree)
    if not home.is_relative_to(tree):  # tests of an installed package, or a folder that is new
        home = start = start if start.is_relative_to(tree) else tree
    test = home / _TEST_NAME
    test.write_text(_TEST.format(package=str(package.resolve())), encoding="utf-8")
    with TemporaryDirectory() as scratch:
        arguments = [
            str(test), "-q", "--no-header", "-p", "no:cacheprovider",
            "-Wignore::pytest.PytestConfigWarning",  # an older commit does not know all of `_UNSET`
            f"--import-mode={config.option.importmode}", f"--rootdir={_counterpart(config.rootpath, commit, tree)}",
            "--gate-accept", f"--gate-baseline={folder}", f"--driftgate-results={scratch}",
            *(f"-o{setting}" for setting in _UNSET), *_ini_file(session, commit, tree),
            *(f"-p{name}" for name in config.option.plugins), *_choices(session), *_paths(session, commit, tree),
        ]  # fmt: skip
        # A cache of its own: a step that was changed without a new version would be taken from this commit's.
        sources = [str(tree / "src"), os.environ.get("PYTHONPATH", "")]
        if str(config.invocation_params.dir) in sys.path:  # as `python -m pytest` has it: this run imports from there
            sources.insert(1, str(start))
        environment = _environment() | {ENVIRONMENT_VARIABLE: scratch, "PYTHONPATH": os.pathsep.join(sources)}
        done = run_python("pytest", *arguments, folder=start, environment=environment, errors_apart=False)
    if done.returncode or not (folder / FILE_NAME).is_file():
        raise BaselineError(
            f"--gate-baseline git:{commit.reference}: commit {commit.sha} built no baseline (pytest ended with "
            f"{done.returncode}); its driftgate may be too old for it. Its last lines:",
            *quote_lines(done.stdout)[-_LAST_LINES:],
        )


@contextmanager
def _worktree(commit: Commit) -> Iterator[Path]:
    """A checkout of the commit, removed again at exit, whatever happens."""
    with TemporaryDirectory(prefix="driftgate-") as scratch:
        tree = Path(scratch).resolve() / "tree"
        try:
            # The user's hooks are not for this: a post-checkout hook may do anything.
            checkout = ("-c", f"core.hooksPath={os.devnull}", "worktree", "add", "--detach", str(tree), commit.sha)
            code, said = _git(commit.top, *checkout)
            if code:
                raise BaselineError(
                    f"--gate-baseline git:{commit.reference}: git cannot check out {commit.sha}:", *quote_lines(said)
                )
            yield tree
        finally:
            shutil.rmtree(tree, ignore_errors=True)
            _git(commit.top, "worktree", "prune")


def _counterpart(path: Path, commit: Commit, tree: Path) -> Path:
    """The commit's own of a path in the repository; the path itself where it is outside, or the commit lacks it."""
    path = path.resolve()
    if path.is_relative_to(commit.top):
        own = tree / path.relative_to(commit.top)
        if own.exists():
            return own
    return path


def _ini_file(session: DriftgateSession, commit: Commit, tree: Path) -> list[str]:
    found = session.config.inipath
    return ["-c", str(_counterpart(found, commit, tree))] if found else []


def _choices(session: DriftgateSession) -> list[str]:
    """What this run's command line chose. What an ini file or a hook chooses is the commit's own affair."""
    chosen = (option for option in TABLE if option.decides is Decides.BUILD and not option.is_path)
    given = {option.flag: session.config.getoption(option.dest) for option in chosen}
    return [flag if value is True else f"{flag}={value}" for flag, value in given.items() if value]


def _paths(session: DriftgateSession, commit: Commit, tree: Path) -> list[str]:
    config, found = session.config, []
    for option in TABLE:
        if option.decides is not Decides.BUILD or not option.is_path:
            continue
        given = config.getoption(option.dest) or config.getini(option.ini)
        bases = (config.invocation_params.dir, config.rootpath)
        here = next((base / given for base in bases if given and (base / given).exists()), None)
        if given:
            found.append(f"{option.flag}={_counterpart(here, commit, tree) if here else given}")
    return found


def _environment() -> dict[str, str]:
    """This process's, without what a git hook or another pytest set for itself."""
    foreign = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "PYTEST_ADDOPTS")
    return {name: value for name, value in os.environ.items() if name not in foreign}


def _git(folder: Path, *arguments: str) -> tuple[int, str]:
    """git's exit code, and what it printed."""
    try:
        done = run_git(folder, *arguments, environment=_environment())
    except FileNotFoundError as error:
        raise BaselineError("--gate-baseline git:REF: no program git on PATH; install git, or give a folder") from error
    return done.returncode, done.stdout.strip()
