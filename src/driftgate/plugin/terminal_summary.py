"""The section that ends a run: verdicts first, then tables, then notes."""

import pytest

from driftgate.edges.escape import for_terminal
from driftgate.plugin.folding_hooks import FAILURES
from driftgate.plugin.options import SESSION
from driftgate.plugin.suite_hooks import list_notes
from driftgate.pull_request.annotations import annotate, is_wanted
from driftgate.report.run_time import describe_time
from driftgate.report.terminal import render_table
from driftgate.report.verdict_lines import FAIL, PASS, list_verdicts
from driftgate.results.stages import render_ledgers


def write_summary(terminal: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Write it in the width of the terminal; -v adds every metric, and what was folded away is counted."""
    terminal.section("driftgate")
    run, failures = config.stash[SESSION], config.stash[FAILURES]
    width, verbose = terminal._tw.fullwidth, config.get_verbosity() > 0  # noqa: SLF001
    for line in list_verdicts(run.results, width, run.options.not_shown, failures.by_backend):
        terminal.write_line(line, red=line.startswith(FAIL), green=line.startswith(PASS))
    terminal.write(render_table(run.results, width, run.options.not_shown, set(failures.by_backend)))
    entries = [entry for entry in run.results.backends.values() if entry.measured.records]
    if entries and (verbose or any(entry.about and entry.about.precision == "checkpoint" for entry in entries)):
        from driftgate.report.terminal import render_claims, render_details  # scikit-learn is slow to import

        terminal.write(render_claims(run.results, width))
        terminal.write(render_details(run.results, width) if verbose else "")
    terminal.write(render_ledgers(run.results, width))
    if run.results.time:
        for line in describe_time(run.results.time, width, brief=not verbose):
            terminal.write_line(line)
    if is_wanted():
        verdicts = [verdict for entry in run.results.backends.values() for verdict in entry.verdicts]
        for line in annotate(verdicts, config.rootpath):
            terminal.write_line(line)
    for line in list_notes(run, brief=bool(failures.by_backend) and not verbose):
        terminal.write_line(for_terminal(line))
    if failures.folded:
        count = f"{len(failures.folded)} failure{'s' * (len(failures.folded) != 1)}"
        terminal.write_line(f"{count} in the verdicts above; pytest -v prints each of them in full")
