"""The only module that starts programs: Pythons that import nothing from the current folder, and git.

`python -m` and `python -c` put the folder they are started in first on the path of imports. Models are looked at in folders
that others filled, and a `numpy.py` there would run in NumPy's place. A lint rule (`banned-api` in pyproject.toml) forbids
starting programs anywhere else. Ray starts processes by itself: `driftgate.engines.ray_cluster` keeps the folder out of them.
"""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TextIO

from driftgate.errors import WorkerError

Process = subprocess.Popen[str]
TimeoutExpired = subprocess.TimeoutExpired
Finished = subprocess.CompletedProcess[str]

_PROBE_SECONDS = 60.0
_LOOK_SECONDS = 0.5


def start_python(
    module: str, asker: str, *, python: str | Path, errors: TextIO, environment: Mapping[str, str]
) -> Process:
    """Start `python -m module`, with pipes to its standard input and output.

    Args:
        asker: who asks, for messages.
        python: any interpreter. `errors`: the file that its standard error goes to.
        environment: all of it.

    Raises:
        WorkerError: there is no such program, or it is no Python that can leave the current folder out.
    """
    try:
        if str(python) != sys.executable:
            _require_safe_path(str(python), asker)
        return subprocess.Popen(
            _command(python, module),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=shield(environment),
        )
    except OSError as error:
        raise WorkerError(
            f"{asker}: {python} cannot be started ({error.strerror}); give the path of a Python"
        ) from error


def run_python(
    module: str,
    *arguments: str,
    text: str = "",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    errors_apart: bool = True,
    started: Callable[[Process], None] = lambda process: None,  # noqa: ARG005
) -> Finished:
    """Run `python -m module` of this interpreter to its end.

    Args:
        text: for its standard input.
        folder: where it is started; None for the current one.
        environment: all of it; None for this process's.
        errors_apart: False for standard error within standard output.
        started: told the process, for whoever may have to end it from another thread.
    """
    with subprocess.Popen(
        [*_command(sys.executable, module), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if errors_apart else subprocess.STDOUT,
        cwd=folder,
        env=shield(os.environ if environment is None else environment),
        encoding="utf-8",
        errors="replace",
    ) as process:
        try:
            started(process)
            printed, errors = process.communicate(text)
        except BaseException:  # Ctrl-C too: nothing that was started outlives this
            process.kill()
            raise
    return Finished(process.args, process.returncode, printed, errors)


def start_python_with_socket(
    module: str, asker: str, descriptor: int, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start `python -m module DESCRIPTOR PARENT` of this interpreter, which inherits that open file and standard error.

    PARENT is the number of this process, for `end_with_parent`.

    Raises:
        WorkerError: it cannot be started.
    """
    try:
        return subprocess.Popen(
            [*_command(sys.executable, module), str(descriptor), str(os.getpid())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(descriptor,),
            env=shield(environment),
        )
    except OSError as error:
        raise WorkerError(f"{asker}: a process cannot be started ({error.strerror}); use fewer") from error


def end_with_parent(parent: int) -> None:
    """End this process soon after its parent did, whatever it is doing in Python by then.

    A socket to the parent tells as much, but only a process that is reading it.
    """

    def look(*_: object) -> None:
        if os.getppid() != parent:
            os._exit(1)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_SECONDS, _LOOK_SECONDS)
    look()


def fork(work: Callable[[], None]) -> int:
    """Copy this process, which has one thread; the copy does `work` and ends. The number of the copy is returned.

    What is in memory, such as a model's weights, is shared until one of them writes to it.
    """
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        work()
        code = 0
    except Exception:  # noqa: BLE001 - said here: nothing of the process that was copied may run in the copy
        traceback.print_exc()
    finally:
        os._exit(code)


def git_environment() -> dict[str, str]:
    """This process's, without what a git hook or another pytest set for itself."""
    foreign = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "PYTEST_ADDOPTS")
    return {name: value for name, value in os.environ.items() if name not in foreign}


def run_git(folder: Path, *arguments: str) -> Finished:
    """Run git in `folder`, in `git_environment`; standard error is within standard output.

    Raises:
        FileNotFoundError: found no program git on PATH.
    """
    return _run(["git", "-C", str(folder), *arguments], env=git_environment())


@contextmanager
def shielded() -> Iterator[None]:
    """Within, libraries start their own helpers as shielded: torch does to compile, py-cpuinfo to ask the processor."""
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "PYTHONSAFEPATH")}
    os.environ.update(shield(os.environ))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def shield(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with which no Python, and none that it starts in turn, imports from the current folder.

    An empty entry of PYTHONPATH stands for the current folder too. What else is relative there keeps the meaning that it has
    here, wherever the child is started.
    """
    entries = environment.get("PYTHONPATH", "").split(os.pathsep)
    kept = [str(Path(entry).absolute()) for entry in entries if entry and not _is_current_folder(Path(entry))]
    return {**environment, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(kept)}


def _is_current_folder(entry: Path) -> bool:
    """An absolute path is not: whoever wrote it chose that folder, not wherever they happen to be."""
    return not entry.is_absolute() and entry.resolve() == Path.cwd()


def _command(python: str | Path, module: str) -> list[str]:
    return [str(python), "-P", "-m", module]


def _run(command: list[str], **options: Any) -> Finished:
    """Run a program to its end; standard error is within standard output."""
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
        **options,
    )


@cache
def _require_safe_path(python: str, asker: str) -> None:
    """Refuse a Python older than 3.11: it does not know -P, and ignores PYTHONSAFEPATH."""
    try:
        # -I, which every Python 3 knows, leaves the current folder out of this question.
        done = _run([python, "-I", "-P", "-c", ""], stdin=subprocess.DEVNULL, timeout=_PROBE_SECONDS)
        if not done.returncode:
            return
        why = done.stdout.strip().partition("\n")[0] or f"it ended with exit code {done.returncode}"
    except subprocess.TimeoutExpired:
        why = f"no answer in {_PROBE_SECONDS:.0f} s"
    raise WorkerError(
        f"{asker}: expected a Python that takes the option -P, which keeps it from importing files of the current folder, "
        f"found {python}, which does not ({why}); give the path of Python 3.11 or newer"
    )
