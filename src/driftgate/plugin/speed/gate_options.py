"""Options of the speed gate."""

import re
from pathlib import Path

import pytest

from driftgate.edges.limits import read_percentage
from driftgate.errors import OptionError
from driftgate.gate.rule import GateOptions, SpeedRule
from driftgate.plugin.options import read_choice, read_values
from driftgate.plugin.speed.gate_option_table import GATE_OPTIONS

_GIT = "git:"


def read_gate_options(config: pytest.Config) -> GateOptions | None:
    """The options named `--gate...`, parsed; None where neither a gate nor a baseline was asked for.

    Raises:
        OptionError: a value that cannot be used.
    """
    values = read_values(config, GATE_OPTIONS)
    if not (values["gate"] or values["gate_accept"]):
        return None
    policy = read_choice(values["gate_not_measurable"], "--gate-not-measurable", ("fail", "warn"))
    base = config.invocation_params.dir
    reports = tuple(base / name.strip() for name in values["gate_report"].split(",") if name.strip())
    for report in reports:
        if report.suffix not in (".md", ".json"):
            raise OptionError(f"--gate-report {report.name}: expected a file that ends in .md or .json")
    shares = {
        name: read_percentage(values[f"gate_{name}"], f"--gate-{name}")
        for name in ("detect", "tolerance", "alpha", "beta")
    }
    given, reference = values["gate_baseline"], ""
    if given.startswith(_GIT):
        reference = given.removeprefix(_GIT)
        if not reference:
            raise OptionError("--gate-baseline git:: expected a commit after the colon, such as git:main")
        if values["gate_accept"]:
            raise OptionError(f"--gate-accept: nowhere to keep this run's artifacts; give a folder instead of {given}")
    try:
        rule = SpeedRule(**shares)
    except ValueError as error:
        raise OptionError(f"--gate-{error}") from error
    return GateOptions(
        wanted=bool(values["gate"]),
        accept=bool(values["gate_accept"]),
        baseline=base / given,
        reference=reference,
        baseline_python=_program(base, values["gate_baseline_python"]),
        rule=rule,
        budget_seconds=_seconds(values["gate_budget"]),
        not_measurable_fails=policy == "fail",
        measure_identical=bool(values["gate_measure_identical"]),
        reports=reports,
        work_limit=read_percentage(values["gate_work"], "--gate-work") if values["gate_work"] else None,
    )


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d+(?:\.\d+)?", text):
        raise OptionError(f"--gate-budget {text!r}: expected a positive number of seconds")
    return float(text)


def _program(base: Path, given: str) -> str:
    """A path as seen from where pytest was started, or a name to be looked up on PATH."""
    return str(base / given) if "/" in given or "\\" in given else given
