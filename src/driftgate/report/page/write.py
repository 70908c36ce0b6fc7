"""Writing reports: beside the results of a run, where nothing may go wrong with the run, and wherever a command is told to."""

import warnings
from collections.abc import Mapping
from pathlib import Path

from driftgate.files import write_whole
from driftgate.report.page.content import Report
from driftgate.report.page.drawing import EXTRA, can_draw
from driftgate.report.page.html import render_html
from driftgate.report.page.make_report import make_report
from driftgate.report.page.runs import read_run
from driftgate.report.page.summary import render_markdown
from driftgate.results.history import read_history

PAGE, SUMMARY = "report.html", "report.md"


def write_report(report: Report, page: Path | None, summary: Path | None) -> None:
    """Write what has a path, each whole or not at all.

    Raises:
        OutputError: the page would be too large. OSError: a file cannot be written.
    """
    for path, render in ((page, render_html), (summary, render_markdown)):
        if path:
            write_whole(path, render(report))


def write_run_report(results: Path, texts: Mapping[int, str], history: Path | None = None) -> str:
    """Write page and summary beside the results of the run that has just ended, and say so, or why not.

    The run has been judged: whatever goes wrong here changes nothing of that, and is said.

    Args:
        texts: of rows by number, where they may be shown.
        history: a file of accepted runs, to be drawn if it is there.
    """
    page = results.with_name(PAGE)
    try:
        # A project may turn warnings into errors, and those of libraries that draw are none of its own.
        with warnings.catch_warnings(action="ignore"):
            accepted = read_history(history) if history and history.exists() else ()
            report = make_report([read_run(results)], texts=texts, history=accepted)
            write_report(report, page, results.with_name(SUMMARY))
    except Exception as error:  # noqa: BLE001
        return f"report not written: {type(error).__name__}: {error}"
    drawn = "" if can_draw() else f", without charts, which take {EXTRA}"
    return f"report: {page}{drawn}"
