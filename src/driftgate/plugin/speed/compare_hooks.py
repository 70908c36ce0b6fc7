"""Wiring beside pytest-benchmark's `--benchmark-compare` and `--benchmark-compare-fail`, for runs with cells of ours."""

import os
import sys
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from driftgate.edges.escape import for_terminal
from driftgate.plugin.speed.compare import (
    KEY,
    SCHEMA,
    Comparison,
    cell_of,
    compare_cells,
    hardware_changes,
    newest_accepted,
)


def refuse_distortions(config: pytest.Config, gate: str) -> None:
    """Refuse `gate`, an option's name, while something is active that times would show.

    Raises:
        pytest.UsageError: names all of it.
    """
    option = config.option
    active = {
        "pytest-xdist (-n, --dist): workers share the cores": getattr(option, "numprocesses", None)
        or getattr(option, "dist", "no") != "no"
        or "PYTEST_XDIST_WORKER" in os.environ,
        "--benchmark-disable: nothing is timed": getattr(option, "benchmark_disable", False)
        and not getattr(option, "benchmark_enable", False),
        "--benchmark-skip: nothing is timed": getattr(option, "benchmark_skip", False),
        "coverage (--cov)": config.pluginmanager.hasplugin("_cov"),
        "a debugger (--pdb, --trace)": getattr(option, "usepdb", False) or getattr(option, "trace", False),
        "a trace function (sys.settrace): a debugger or coverage": sys.gettrace() is not None,
        "a profiler (sys.setprofile)": sys.getprofile() is not None,
        "Python's development mode (-X dev)": sys.flags.dev_mode,
        **{f"{tool} (sys.monitoring)": True for tool in _monitoring_tools()},
    }
    if found := [what for what, is_active in active.items() if is_active]:
        raise pytest.UsageError(f"{gate}: refused together with {'; '.join(found)}; run the gate without")


def _monitoring_tools() -> list[str]:
    """Names of tools that watch the interpreter through `sys.monitoring` (Python 3.12): coverage, debuggers, profilers."""
    if sys.version_info < (3, 12):
        return []
    return [tool for number in range(6) if (tool := sys.monitoring.get_tool(number))]


_FAIL = "--benchmark-compare-fail"


@dataclass(slots=True)
class Compared:
    """What the comparison found, for the summary and the saved file."""

    session: pytest.Session | None = None
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


COMPARED: pytest.StashKey[Compared] = pytest.StashKey()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before pytest-benchmark loads what to compare with: the last run that was not rejected."""
    config.stash[COMPARED] = Compared()
    given = getattr(config.option, "benchmark_compare", None)
    if isinstance(given, str):
        _refuse_swallowed_path(config, given)
    if given is True and (files := _saved_runs(config)):
        accepted = newest_accepted(files)
        config.option.benchmark_compare = str(accepted) if accepted else "no-accepted-run"


def _saved_runs(config: pytest.Config) -> list[Path]:
    """Files of saved runs, as pytest-benchmark would look for them; none where they are not files."""
    from pytest_benchmark import logger, utils

    upstream: Any = utils
    if not config.option.benchmark_storage.startswith("file://"):
        return []
    quiet: Any = logger.Logger
    storage = upstream.load_storage(
        config.option.benchmark_storage,
        logger=quiet(quiet.QUIET, config=config),
        default_machine_id=upstream.get_machine_id(),
        netrc=None,
    )
    found: list[Path] = storage.query("[0-9][0-9][0-9][0-9]_")
    return found


def _refuse_swallowed_path(config: pytest.Config, given: str) -> None:
    path = config.invocation_params.dir / given.partition("::")[0]
    if path.is_dir() or path.suffix == ".py":
        raise pytest.UsageError(
            f"--benchmark-compare took the path {given!r} for the number of a saved run; put the path first (pytest {given} "
            "--benchmark-compare) or write --benchmark-compare=NUMBER"
        )


@pytest.hookimpl(optionalhook=True, tryfirst=True)  # -p no:benchmark leaves nobody to call it
def pytest_benchmark_compare_machine_info(
    config: pytest.Config, machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
) -> None:
    """Stored times do not carry to another machine: they cannot fail a run there."""
    if not any(cell_of(benchmark) for benchmark in compared_benchmark["benchmarks"]):
        return
    changes = hardware_changes(machine_info, compared_benchmark["machine_info"])
    if changes and config.option.benchmark_compare_fail:
        raise pytest.UsageError(
            f"{_FAIL}: the saved run was timed on another machine ({'; '.join(changes)}); save one here with "
            "--benchmark-autosave, or use --gate, which times the baseline's artifacts again on this machine"
        )
    if changes:
        config.stash[COMPARED].notes.append(
            f"the saved run was timed on another machine, so its times are only advice: {'; '.join(changes)}"
        )


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to gate with nothing to compare with, on times that something distorts, or by a bound that pytest-benchmark would
    not see.
    """
    benchmarks = _benchmark_session(session.config)
    if not (benchmarks and benchmarks.compare_fail):
        return
    if not benchmarks.compared_mapping:
        raise pytest.UsageError(
            f"{_FAIL}: no saved run to compare with in {benchmarks.storage}; save one first with --benchmark-autosave, and pass "
            "--benchmark-compare"
        )
    if not any(map(cell_of, _saved(benchmarks))):
        return
    refuse_distortions(session.config, _FAIL)
    if sum(str(argument).partition("=")[0] == _FAIL for argument in session.config.invocation_params.args) > 1:
        raise pytest.UsageError(
            f"{_FAIL} given twice: pytest-benchmark keeps only the last; write all bounds after one"
        )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Judge before the speed gate accepts and pytest-benchmark saves: a run that fails is saved as rejected.

    The speed gate's hook is called after this one because it is registered before.
    """
    state, benchmarks = session.config.stash[COMPARED], _benchmark_session(session.config)
    state.session = session
    if benchmarks and benchmarks.compared_mapping and not session.config.option.collectonly:
        timed = [benchmark for benchmark in benchmarks.benchmarks if benchmark]
        if any(map(cell_of, [*timed, *_saved(benchmarks)])):
            _judge(session, state, benchmarks, compare_cells(timed, benchmarks.compared_mapping))
    return (yield)


def _judge(session: pytest.Session, state: Compared, benchmarks: Any, found: Comparison) -> None:
    said = _describe(found)
    if not benchmarks.compare_fail:
        state.notes += said
        return
    list(benchmarks.prepare_benchmarks())  # fills performance_regressions
    state.failures += [*said, *(f"{name}: {why}" for name, why in benchmarks.performance_regressions)]
    benchmarks.performance_regressions, benchmarks.compare_fail = [], []  # said without a traceback
    if state.failures and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        session.exitstatus = 4 if found.incomparable else 1


def _describe(found: Comparison) -> list[str]:
    said = [f"{cell}: in the saved run, not in this one" for cell in found.vanished]
    said += [f"not comparable with the saved run: {sentence}" for sentence in found.incomparable]
    return said if found.compared else [*said, "nothing was compared: no cell of this run is in the saved one"]


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(config: pytest.Config, benchmarks: list[Any], output_json: dict[str, Any]) -> None:
    """Say in the saved file whether the run may be a baseline."""
    state = config.stash[COMPARED]
    if state.session is None or not any(map(cell_of, filter(None, benchmarks))):
        return
    code = int(state.session.exitstatus)
    output_json[KEY] = {
        "schema": SCHEMA,
        "status": "rejected" if code else "accepted",
        "exit_code": code,
        "reasons": state.failures,
    }


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    state = config.stash[COMPARED]
    if state.failures or state.notes:
        terminalreporter.section("driftgate comparison")
        if state.failures:
            terminalreporter.write_line("Performance has regressed, or cannot be compared:", red=True)
        for line in (*(f"  {failure}" for failure in state.failures), *state.notes):
            terminalreporter.write_line(for_terminal(line))


def _benchmark_session(config: pytest.Config) -> Any:
    return config.pluginmanager.get_plugin("pytest-benchmark")


def _saved(benchmarks: Any) -> list[Any]:
    """Benchmarks of the saved runs that this one is compared with."""
    return [benchmark for by_name in benchmarks.compared_mapping.values() for benchmark in by_name.values()]
