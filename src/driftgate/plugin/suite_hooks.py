"""Wiring of the suites: their names on the command line, what is not shown, and exit code 7 of a run that showed too little."""

from collections.abc import Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from driftgate.judge.accuracy_verdicts import UNSHOWN, exit_code
from driftgate.judge.bounds import Outcome
from driftgate.plugin.options import SESSION
from driftgate.plugin.session import DriftgateSession
from driftgate.plugin.speed.gate_hooks import GATE
from driftgate.results.unshown import count_enough, describe_outcome, list_unshown
from driftgate.suites import PACKAGE, SUITES, is_package, is_suite, names_suite

# A test that asks for one of these wants a verdict: a metric held to its bound, a graph or folder checked, a cell timed or gated.
_JUDGING = {"gate", "gate_all", "gate_part", "graph_facts", "integer_products", "shipped", "cell", "speed_verdict"}


@dataclass(slots=True)
class Chosen:
    """What a run chose of the suites.

    Args:
        named: whether the command line names a suite, or a file of one.
        collected: how many tests are of the suites, or want a verdict as theirs do.
        gated: how many of them the speed gate decides.
        judging: how many of them want a verdict and were not deselected. `others`: how many were not, and want none.
    """

    named: bool = False
    collected: int = 0
    gated: int = 0
    judging: int = 0
    others: int = 0


CHOSEN: "pytest.StashKey[Chosen]" = pytest.StashKey()
_STARTED: "pytest.StashKey[bool]" = pytest.StashKey()
_LACK: "pytest.StashKey[tuple[bool, str]]" = pytest.StashKey()
_WORKER_KEY = "driftgate_chosen"


def pytest_configure(config: pytest.Config) -> None:
    packages = [name for name in config.args if is_package(name)]
    if packages and not config.option.pyargs:
        raise pytest.UsageError(
            f"{packages[0]}: expected a path, found the name of a Python package; write: pytest --pyargs {packages[0]}"
        )
    given = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else ()
    named = bool(packages) or any(names_suite(name, config.invocation_params.dir) for name in given)
    config.stash[CHOSEN] = Chosen(named)
    # pytest would search the package's folder, which in an editable install holds no test.
    suites = [f"{PACKAGE}.{suite}" for suite in SUITES]
    config.args = [name for argument in config.args for name in (suites if argument == PACKAGE else [argument])]


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Give a file of a suite its name in test ids: pytest leaves it out if the file is named alone and lies elsewhere."""
    if not is_suite(module_path.parent) or module_path.is_relative_to(parent.config.rootpath):
        return None
    if not parent.session.isinitpath(module_path):
        return None
    module: pytest.Module = pytest.Module.from_parent(parent, path=module_path, nodeid=module_path.name)
    return module


def _wants_verdict(item: pytest.Item) -> bool:
    names = getattr(item, "fixturenames", ())
    return "driftgate" in names and not _JUDGING.isdisjoint(names)  # another project's fixtures may have such names


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Generator[None, Any, Any]:
    """Count before anything is deselected, and after everything is."""
    chosen = config.stash[CHOSEN]
    chosen.collected = sum(_wants_verdict(item) or is_suite(item.path.parent) for item in items)
    chosen.gated = sum("speed_verdicts" in getattr(item, "fixturenames", ()) for item in items)
    outcome = yield
    chosen.judging = sum(map(_wants_verdict, items))
    chosen.others = sum(is_suite(item.path.parent) and not _wants_verdict(item) for item in items)
    return outcome


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Not reached by `--fixtures`. Nothing is judged where tests are only collected, or their fixtures only set up."""
    option = session.config.option
    session.config.stash[_STARTED] = not (option.collectonly or option.setuponly)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Set the exit code before the run is written down, or kept as a baseline.

    pytest-benchmark's comparison comes before this and the speed gate after it: hooks registered later are called first.
    """
    config = session.config
    worker_output = getattr(config, "workeroutput", None)
    if worker_output is not None:
        worker_output[_WORKER_KEY] = asdict(config.stash[CHOSEN])
    elif config.stash.get(_STARTED, False) and session.exitstatus in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
        results, not_shown = config.stash[SESSION].results, config.stash[SESSION].options.not_shown
        if any(entry.judged for entry in results.backends.values()):
            # A broken bound has failed its test, and with it the run, unless someone expects it to fail.
            if session.exitstatus == pytest.ExitCode.OK and results.verdict(not_shown) is Outcome.NOT_SHOWN:
                session.exitstatus = exit_code(Outcome.NOT_SHOWN, not_shown)
        else:
            skipped = {name: entry.skipped for name, entry in results.backends.items() if entry.skipped}
            config.stash[_LACK] = explain_lack(config, skipped, nothing_ran=session.exitstatus != pytest.ExitCode.OK)
            if config.stash[_LACK][0]:
                session.exitstatus = UNSHOWN
            elif _only_accepts(config):
                session.exitstatus = pytest.ExitCode.OK
    return (yield)


def _only_accepts(config: pytest.Config) -> bool:
    """Whether all that was chosen are the tests of the speed gate, which only keeps its baseline in this run."""
    gate, chosen = config.stash[GATE], config.stash[CHOSEN]
    return gate is not None and not gate.options.wanted and 0 < chosen.collected == chosen.gated


def explain_lack(config: pytest.Config, skipped: Mapping[str, str], *, nothing_ran: bool) -> tuple[bool, str]:
    """Whether a run without a verdict should have reached one, and the reason why it did not; "" where no suite was involved.

    Args:
        skipped: why backends could not be run, by name. `nothing_ran`: no test at all was left to run.
    """
    chosen = config.stash[CHOSEN]
    if _only_accepts(config):
        return False, "--gate-accept without --gate keeps the artifacts and times nothing"
    if chosen.judging:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        return True, (
            f"all {chosen.judging} selected tests that judge a backend were skipped ({reasons or '-rs shows the reasons'})"
        )
    if chosen.others:
        return False, (
            "the selected tests search for counterexamples or only measure; run the suites without -m and -k for a verdict"
        )
    if chosen.collected and (chosen.named or nothing_ran):
        return True, (
            f"all {chosen.collected} collected tests of the suites were deselected, by -k, -m or --deselect, or because they "
            "need an option that was not given (--gate, --accuracy-baseline, --graph-lock, --ledger, --driftgate-pair-column)"
        )
    if chosen.named:
        files, functions = (" ".join(config.getini(name)) for name in ("python_files", "python_functions"))
        return True, (
            "no test of the suites was collected: theirs are functions test_* in files test_*.py, and this project collects "
            f"functions {functions} in files {files}, except what --ignore names; to change that for one run, add "
            "-o 'python_files=test_*.py' -o 'python_functions=test_*'"
        )
    return False, ""


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:  # noqa: ARG001
    """Every pytest-xdist worker collects the same tests, and the controller none."""
    if content := getattr(node, "workeroutput", {}).get(_WORKER_KEY):
        node.config.stash[CHOSEN] = Chosen(**content)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lacking, reason = config.stash.get(_LACK, (False, ""))
    if lacking:
        terminalreporter.write_line(f"driftgate: no verdict was reached: {reason}; exit code {UNSHOWN}", red=True)
    elif reason:
        terminalreporter.write_line(f"driftgate: no verdict was asked for: {reason}")


def list_notes(run: DriftgateSession, *, brief: bool = False) -> list[str]:
    """Lines under the tables: what is not shown, what was taken for granted, where the results are.

    Args:
        brief: leave out what is not shown, of a run that fails for another reason.
    """
    notes = [] if brief else _list_unshown(run)
    if run.encoder.problem_type_inferred:
        notes.append(
            f"{run.encoder.name}: config.json has no problem_type; taken as {run.encoder.problem_type} from its head "
            "(--driftgate-problem-type says otherwise)"
        )
    widened = [
        name
        for name, entry in run.results.backends.items()
        if entry.about and (entry.about.precision, entry.about.arithmetic) == ("fp16", "float32")
    ]
    if widened:
        notes.append(
            f"{', '.join(widened)}: float16 weights, but computed in float32 on this CPU: its drift is a lower bound"
        )
    notes.extend(run.said)
    notes.extend(_list_rows(run))
    notes.append(f"results: {run.options.results / 'results.json'}")
    return notes


def _list_rows(run: DriftgateSession) -> list[str]:
    corpus = run.results.header.corpus if run.results.header else None
    if corpus is None:
        return []
    lines = []
    if corpus.drawn_from:
        lines.append(f"corpus: {corpus.rows:,} of {corpus.drawn_from:,} rows, drawn at random with seed 0")
    verdicts = (verdict for entry in run.results.backends.values() for verdict in entry.verdicts)
    if enough := count_enough(verdicts, corpus.rows):
        lines.append(
            f"rows: about {enough:,} of these {corpus.rows:,} would have been enough for the same verdicts; "
            f"--driftgate-corpus-rows {enough} draws as many"
        )
    return lines


def _list_unshown(run: DriftgateSession) -> list[str]:
    results, not_shown = run.results, run.options.not_shown
    corpus = results.header.corpus if results.header else None
    lines = list_unshown(
        {name: entry.verdicts for name, entry in results.backends.items()}, corpus.rows if corpus else 0
    )
    return [*lines, describe_outcome(results.verdict(not_shown), not_shown)] if lines else []
