"""Wiring of the speed gate: `pytest --pyargs driftgate.suites.benchmarks --gate`."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from driftgate.edges.escape import for_terminal
from driftgate.errors import DriftgateError
from driftgate.measure.workload import CellSpec
from driftgate.plugin.options import SESSION, reported, spelled_as_pytest, usage_errors
from driftgate.plugin.session import DriftgateSession
from driftgate.plugin.speed.compare_hooks import COMPARED, refuse_distortions
from driftgate.plugin.speed.gate_options import read_gate_options
from driftgate.pull_request.junit import list_cell_properties

if TYPE_CHECKING:  # imported where a gate is wanted: every pytest run of every project imports this module
    from driftgate.gate.verdicts import CellVerdict
    from driftgate.plugin.speed.speed_gate import GatedCell, SpeedGate

GATE: "pytest.StashKey[SpeedGate | None]" = pytest.StashKey()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[GATE] = None
    with usage_errors(config):
        options = read_gate_options(config)
    if options is None:
        return
    from driftgate.plugin.speed.speed_gate import SpeedGate

    config.stash[GATE] = SpeedGate(config.stash[SESSION], options)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """By now, whatever distorts times is active."""
    gate = session.config.stash[GATE]
    if gate is not None:
        refuse_distortions(session.config, "--gate" if gate.options.wanted else "--gate-accept")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if {"driftgate", "speed_verdicts", "speed_verdict"} <= set(metafunc.fixturenames):
        from driftgate.plugin.speed.speed_gate import gated_cells

        cells = gated_cells(metafunc.config.stash[SESSION])
        metafunc.parametrize("speed_verdict", cells, ids=[cell.id for cell in cells], indirect=True)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse a baseline that cannot be compared with, or kept, before anything is built or timed."""
    gate = session.config.stash[GATE]
    if gate is None or session.config.option.collectonly:
        return
    gated = {
        item: cell
        for item in session.items
        if hasattr(item, "callspec") and isinstance(cell := item.callspec.params.get("speed_verdict"), CellSpec)
    }
    with usage_errors(session.config):
        gate.check(list(gated.values()), next((item.path.parent for item in gated), session.path))


@pytest.fixture(scope="session")
def speed_verdicts(driftgate: DriftgateSession, request: pytest.FixtureRequest) -> "dict[str, CellVerdict]":  # noqa: ARG001
    """Verdicts on all gated cells of the run, timed once."""
    gate = request.config.stash[GATE]
    if gate is None:
        pytest.skip("nothing is gated without --gate")
    with reported():
        return gate.judge()


@pytest.fixture
def speed_verdict(speed_verdicts: "dict[str, CellVerdict]", request: pytest.FixtureRequest) -> "GatedCell":
    """The verdict on one cell of backend x plan."""
    from driftgate.plugin.speed.speed_gate import GatedCell

    gate = request.config.stash[GATE]
    assert gate is not None  # noqa: S101 - else its fixture has skipped
    found = speed_verdicts[request.param.id]
    request.node.user_properties.extend(list_cell_properties(found))
    return GatedCell(found, gate)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Set the exit code and keep the baseline before anyone writes down how the run ended."""
    gate = session.config.stash[GATE]
    if gate is not None and not session.config.option.collectonly:
        session.exitstatus = gate.state.exit_code(
            int(session.exitstatus),
            failed_tests=session.testsfailed,
            failed_otherwise=bool(session.config.stash[COMPARED].failures),
        )
        try:
            with spelled_as_pytest(session.config):
                gate.finish(int(session.exitstatus))
        except DriftgateError as error:
            session.exitstatus = 4
            gate.state.said.extend(f"{type(error).__name__}: {error}".split("\n"))
    return (yield)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    gate = config.stash[GATE]
    if gate is None or not (gate.state.report or gate.state.said):
        return
    terminalreporter.section("driftgate speed gate")
    if gate.state.report is not None:
        from driftgate.gate.rendering import render_gate

        terminalreporter.write(render_gate(gate.state.report, terminalreporter._tw.fullwidth))  # noqa: SLF001
    for line in gate.state.said:
        terminalreporter.write_line(for_terminal(line))
