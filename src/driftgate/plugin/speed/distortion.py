"""What would distort or prevent timing; a gate is refused beside any of it."""

import os
import sys

import pytest


def find_distortions(config: pytest.Config) -> list[str]:
    """What is active that times would show, in words; empty where nothing is."""
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
    return [what for what, found in active.items() if found]


def refuse_distortions(config: pytest.Config, gate: str) -> None:
    """Refuse `gate`, an option's name, while something distorts times.

    Raises:
        pytest.UsageError: names all of it.
    """
    found = find_distortions(config)
    if found:
        raise pytest.UsageError(f"{gate}: refused together with {'; '.join(found)}; run the gate without")


def _monitoring_tools() -> list[str]:
    """Names of tools that watch the interpreter through `sys.monitoring` (Python 3.12): coverage, debuggers, profilers."""
    if sys.version_info < (3, 12):
        return []
    return [tool for number in range(6) if (tool := sys.monitoring.get_tool(number))]
