"""Wiring: each hook reads what pytest gives and hands it on."""

import os
import pickle
import warnings
from collections.abc import Generator
from contextlib import nullcontext
from typing import Any

import pytest
from pytest_benchmark.logger import PytestBenchmarkWarning

from driftgate.edges.escape import for_terminal
from driftgate.errors import OptionError
from driftgate.measure.phases import PROPERTIES
from driftgate.measure.workload import CellSpec
from driftgate.plugin import fixtures, folding_hooks, graphs, properties
from driftgate.plugin.keeping import keep_logits, name_worst_rows, report_run
from driftgate.plugin.options import SESSION, read_options, spelled_as_pytest, usage_errors
from driftgate.plugin.session import DriftgateSession
from driftgate.plugin.speed import cells
from driftgate.plugin.speed.gate_hooks import GATE
from driftgate.plugin.terminal_summary import write_summary
from driftgate.results.history import keep_history
from driftgate.results.results_file import write_results

FIXTURE_MODULES = (fixtures, graphs, properties, cells)

# Benchmarks that run only where -m names their marker.
_OPT_IN = {
    "long": "throughput on the corpus of long texts",
    "cold_start": "from files on disk to the first answer, in a process of its own",
    "memory": "peak memory, in a process of its own",
    "leak": "memory growth over many shapes, in a process of its own",
}


def list_fixtures() -> set[str]:
    """The names of the fixtures that tests may ask for."""
    kind = type(fixtures.driftgate)
    return {name for module in FIXTURE_MODULES for name, found in vars(module).items() if isinstance(found, kind)}


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # Before torch is imported: idle OpenMP threads sleep instead of stealing the core from the backend being timed.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # "Nothing to compare with yet" and "another machine" are things to say, not errors, whatever a project's filters are.
    warnings.filterwarnings("default", category=PytestBenchmarkWarning)
    config.addinivalue_line("filterwarnings", "default::pytest_benchmark.logger.PytestBenchmarkWarning")
    for marker, meaning in _OPT_IN.items():
        config.addinivalue_line("markers", f"{marker}: {meaning}; deselected unless -m names it")
    config.addinivalue_line("markers", "property: tried on generated inputs; --hypothesis-profile says on how many")
    with usage_errors(config):
        options = read_options(config)
        if getattr(config.option, "numprocesses", None) and (options.accuracy_baseline or options.save_predictions):
            raise OptionError(
                "--accuracy-baseline and --save-predictions need all logits in one process; leave out pytest-xdist's -n"
            )
        if getattr(config.option, "numprocesses", None) and options.graph_lock_update:
            raise OptionError("--graph-lock-update writes one file from one process; leave out pytest-xdist's -n")
        if options.graph_lock_update and not options.graph_lock:
            raise OptionError(
                "--graph-lock-update: no file to write; name it with --graph-lock (ini: driftgate_graph_lock)"
            )
        config.stash[SESSION] = DriftgateSession(config, options)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "driftgate" not in metafunc.fixturenames:  # someone else's fixture or parameter of the same name
        return
    options = metafunc.config.stash[SESSION].options
    plans = metafunc.config.stash[SESSION].benchmark_plans
    if "backend_spec" in metafunc.fixturenames:
        metafunc.parametrize(
            "backend_spec", options.backends, ids=[spec.name for spec in options.backends], indirect=True
        )
    if "cell" in metafunc.fixturenames:
        corpora = (options.throughput_corpus, *(["long"] if options.throughput_corpus == "normal" else []))
        specs = [CellSpec(spec, plan, name) for name in corpora for spec in options.backends for plan in plans]
        marks = {"long": [pytest.mark.long]} if len(corpora) > 1 else {}
        parameters = [pytest.param(spec, id=spec.id, marks=marks.get(spec.corpus, [])) for spec in specs]
        metafunc.parametrize("cell", parameters, indirect=True)
    if "side_by_side" in metafunc.fixturenames:
        ends = (plans[0], plans[-1])  # one text at a time, and the fastest way through many
        metafunc.parametrize("side_by_side", ends, ids=[plan.name for plan in ends], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the opt-in benchmarks that `-m` does not name, and what needs something that nobody gave or asked for."""
    wanted = config.option.markexpr
    options, speed_gate = config.stash[SESSION].options, config.stash[GATE]
    asked = {
        "past": options.accuracy_baseline,
        "ledger": options.ledger,
        "graph_lock": options.graph_lock,
        "pair_tokenizer": options.columns.pair,
        "shipped": any(spec.published for spec in options.backends),
        "speed_verdicts": speed_gate and speed_gate.options.wanted,
    }
    unasked = {name for name, given in asked.items() if not given}
    left_out = [
        item
        for item in items
        if "driftgate" in (names := getattr(item, "fixturenames", ()))
        and (
            any(item.get_closest_marker(marker) and marker not in wanted for marker in _OPT_IN)
            or not unasked.isdisjoint(names)
        )
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Check encoder, corpus and bounds before the first test, if any test needs them."""
    if session.config.option.collectonly:
        return
    folders = {item.path.parent for item in session.items if "driftgate" in getattr(item, "fixturenames", ())}
    if not folders:
        return
    with usage_errors(session.config):
        suites = sorted(folder / "bounds.toml" for folder in folders)
        session.config.stash[SESSION].check_inputs(file for file in suites if file.is_file())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """What our tests are refused is said in the spelling of this run's options; what properties take is counted apart."""
    ours = "driftgate" in getattr(item, "fixturenames", ())
    searches = ours and item.get_closest_marker("property")
    phases = item.config.stash[SESSION].phases
    with (
        spelled_as_pytest(item.config) if ours else nullcontext(),
        phases.during(PROPERTIES) if searches else nullcontext(),
    ):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """A benchmark whose test failed is not saved: it timed something wrong. What our tests say is shown escaped."""
    said = call.excinfo and call.excinfo.value
    if isinstance(said, (pytest.fail.Exception, pytest.skip.Exception)) and "driftgate" in getattr(
        item, "fixturenames", ()
    ):
        said.msg = "\n".join(map(for_terminal, str(said.msg).split("\n")))
    report = yield
    fixture = getattr(item, "funcargs", {}).get("benchmark")
    if fixture is not None and report.failed:
        fixture.has_error = True
    return report


@pytest.hookimpl(optionalhook=True)  # -p no:benchmark leaves nobody to call it
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:  # noqa: ARG001
    """The current clock frequency differs in every run: comparing it would warn about every comparison."""
    for name in ("hz_actual", "hz_actual_friendly"):
        machine_info.get("cpu", {}).pop(name, None)


@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    outcome = yield
    run = session.config.stash[SESSION]
    if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        folding_hooks.diagnose_failures(session.config)
        run.results.row_ids |= name_worst_rows(run)
    run.results.time = run.results.time or run.phases.taken()  # what the processes of pytest-xdist took has come in
    worker_output = getattr(session.config, "workeroutput", None)
    if worker_output is not None:
        worker_output["driftgate"] = pickle.dumps(run.results)
    elif run.results.backends:
        benchmarks: Any = session.config.pluginmanager.get_plugin("pytest-benchmark")
        regressed = bool(benchmarks and benchmarks.performance_regressions)
        exit_code = 1 if regressed else int(session.exitstatus)
        written = write_results(run.results, run.options.results, exit_code, run.options.not_shown)
        run.said.extend(
            (*keep_logits(run, exit_code), *keep_history(run.options.history, written, session.config.rootpath))
        )
        if run.options.report:
            run.said.append(report_run(run, written))
    return outcome


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ARG001
    """Collect what a pytest-xdist worker measured."""
    content = getattr(node, "workeroutput", {}).get("driftgate")
    if content:
        node.config.stash[SESSION].results.merge(pickle.loads(content))  # noqa: S301 - our own worker's


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    run = config.stash[SESSION]
    benchmarks: Any = config.pluginmanager.get_plugin("pytest-benchmark")
    if benchmarks and benchmarks.compare and not benchmarks.compared_mapping:
        terminalreporter.write_line(f"driftgate: nothing to compare yet: no saved run in {benchmarks.storage}")
    if run.results.backends:
        write_summary(terminalreporter, config)
