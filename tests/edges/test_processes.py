"""Programs that driftgate starts: none of them, nor what they start in turn, runs code of the current folder."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_driftgate

from driftgate.errors import WorkerError
from driftgate.gate.remote_side import MODULE
from driftgate.gate.run_facts import timed_software
from driftgate.measure.process import ask_fresh_process
from driftgate.measure.remote import start_worker
from driftgate.measure.workers import start_team

REPOSITORY = Path(__file__).parents[2]
PLANTED = """\
from pathlib import Path

Path({marker!r}).write_text("it ran")
raise SystemExit("a planted file was imported")
"""
# Stand-ins for our modules, which take seconds to import. Each says which NumPy it, or a child of its own, imports.
FRESH = "import json, numpy\nprint(json.dumps({'numpy': numpy.__file__}))\n"
WITH_A_CHILD = """\
import json, subprocess, sys
command = [sys.executable, "-c", "import numpy; print(numpy.__file__)"]
print(json.dumps({"numpy": subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()}))
"""
WORKER = """\
import numpy
from driftgate.measure.remote import serve
serve(lambda request: {"provider": numpy.__file__, "arithmetic": "", "resident_bytes": 0})
"""


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is written when code of the current folder runs."""
    folder = tmp_path / "model"
    folder.mkdir()
    marker = tmp_path / "marker"
    for name in ("numpy", "cpuinfo"):
        (folder / f"{name}.py").write_text(PLANTED.format(marker=str(marker)), encoding="utf-8")
    monkeypatch.chdir(folder)
    return marker


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`module(code, *before)`: the name of a module for children, whose folder is in PYTHONPATH behind `before`."""

    def write(code: str, *before: str) -> str:
        folder = tmp_path / "modules"
        folder.mkdir()
        (folder / "stand_in.py").write_text(code, encoding="utf-8")
        monkeypatch.setenv("PYTHONPATH", ":".join((*before, str(folder))))
        return "stand_in"

    return write


def test_cold_start_and_memory_run_nothing_of_the_current_folder(marker: Path, module: Callable[..., str]) -> None:
    assert ask_fresh_process(module(FRESH), "x", {}) == {"numpy": np.__file__}
    assert not marker.exists()


def test_what_a_child_starts_runs_nothing_of_the_current_folder(marker: Path, module: Callable[..., str]) -> None:
    assert ask_fresh_process(module(WITH_A_CHILD), "x", {}) == {"numpy": np.__file__}
    assert not marker.exists()


@pytest.mark.parametrize("entry", ["", ".", "./", "../model"])
def test_an_entry_of_pythonpath_that_is_the_current_folder_is_left_out(
    entry: str, marker: Path, module: Callable[..., str]
) -> None:
    assert ask_fresh_process(module(FRESH, entry), "x", {}) == {"numpy": np.__file__}
    assert not marker.exists()


def test_another_relative_entry_of_pythonpath_keeps_its_meaning(marker: Path, module: Callable[..., str]) -> None:
    Path("lib").mkdir()
    Path("lib/needed.py").write_text("", encoding="utf-8")
    found = ask_fresh_process(
        module("import json, needed\nprint(json.dumps({'at': needed.__file__}))\n", "lib"), "x", {}
    )
    assert found == {"at": str(Path("lib/needed.py").absolute())}


def test_the_workers_of_a_bench_run_nothing_of_the_current_folder(marker: Path, module: Callable[..., str]) -> None:
    with start_team("x", 1, {}, module=module(WORKER)) as team:
        assert team.facts["provider"] == np.__file__
    assert not marker.exists()


@pytest.mark.parametrize("other", [False, True], ids=["this-python", "another-python"])
def test_the_worker_of_a_gate_runs_nothing_of_the_current_folder(other: bool, marker: Path, tmp_path: Path) -> None:
    python = Path(sys.executable)
    if other:
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
        python.chmod(0o755)
    with start_worker(python, "the baseline's worker", module=MODULE) as worker:
        assert worker.ask({"do": "describe"})["software"] == timed_software()
    assert not marker.exists()


def test_a_command_and_what_its_libraries_start_run_nothing_of_the_current_folder(marker: Path) -> None:
    """py-cpuinfo asks the processor by `python -m cpuinfo`."""
    assert run_driftgate("doctor", "--json").exit_code in (0, 1)
    assert not marker.exists()


def test_a_real_bench_beside_a_planted_file_measures(marker: Path, tiny_encoder: Path, warm_cache: Path) -> None:
    shutil.copytree(tiny_encoder, ".", dirs_exist_ok=True)
    result = run_driftgate("bench", ".", "--backends=onnx-fp32", "--plans=budget", "--corpus-rows=4", "--blocks=1")
    assert result.exit_code == 0, result.output
    assert "texts/s" in result.output
    assert not marker.exists()


@pytest.mark.parametrize(
    ("answer", "said"),
    [("echo 'Unknown option: -P'; echo usage; exit 2", "Unknown option: -P"), ("exit 3", "it ended with exit code 3")],
    ids=["an-old-python", "not-a-python"],
)
def test_an_interpreter_that_cannot_leave_the_folder_out_is_refused(answer: str, said: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
    python.chmod(0o755)
    with (
        pytest.raises(
            WorkerError, match=rf"the baseline's worker: expected a Python that takes .* \({said}\); give the path"
        ),
        start_worker(python, "the baseline's worker", module=MODULE),
    ):
        pass


STARTS = """\
import multiprocessing
import pty
import subprocess
import subprocess as sp
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from subprocess import run
import loky
import torch.multiprocessing
import asyncio, concurrent.futures, joblib, os, torch
os.system("x")
os.popen("x")
os.fork()
os.forkpty()
os.execv("x", [])
os.spawnlp(0, "x")
os.posix_spawn("x", [], {})
os.posix_spawnp("x", [], {})
asyncio.create_subprocess_exec("x")
asyncio.create_subprocess_shell("x")
concurrent.futures.ProcessPoolExecutor()
joblib.Parallel()
torch.multiprocessing.spawn(print)
"""
RULES = ("--select=TID251,S605,S606", "--output-format=json", "--no-cache")


@pytest.fixture
def needs_ruff() -> None:
    pytest.importorskip("ruff", reason="the linter is in the extra dev")


def lint(*arguments: object, text: str = "") -> list[Any]:
    command = [sys.executable, "-m", "ruff", "check", *RULES, *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, input=text, capture_output=True, text=True, check=False)
    found: list[Any] = json.loads(done.stdout)
    return found


@pytest.mark.usefixtures("needs_ruff")
def test_the_linter_forbids_every_other_way_to_start_a_program() -> None:
    lines = STARTS.splitlines()
    flagged = {
        found["location"]["row"] for found in lint("--stdin-filename=src/driftgate/run/new.py", "-", text=STARTS)
    }
    allowed = [line for number, line in enumerate(lines, 1) if number not in flagged]
    assert allowed == ["import asyncio, concurrent.futures, joblib, os, torch"]


@pytest.mark.usefixtures("needs_ruff")
def test_one_module_of_ours_starts_programs() -> None:
    """Comments that silence the linter count too."""
    found = lint("--ignore-noqa", "src", "accuracy", "benchmarks")
    assert [entry for entry in found if "rich.console" not in entry["message"]] == []
    assert (REPOSITORY / "src/driftgate/edges/processes.py").read_text(encoding="utf-8").count("import subprocess") == 1
