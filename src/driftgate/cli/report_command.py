"""`driftgate report`: what runs learned, as a page and a summary for people who did not start them."""

from pathlib import Path
from typing import Annotated

import typer

from driftgate.edges.escape import for_terminal
from driftgate.errors import OptionError, OutputError, ResultsError


def report(
    results: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files results.json of runs, or the folders they are in, from any machines and models.",
            metavar="[RESULTS...]",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The HTML page to write.", metavar="FILE")] = Path("report.html"),
    markdown: Annotated[
        Path | None, typer.Option(help="Also write a summary in Markdown, without charts.", metavar="FILE")
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(help="Also write the metrics as OpenMetrics has them, rounded, for GitLab.", metavar="FILE"),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            help="Two results of the same encoder, instead of RESULTS: the report is of the second, and says what changed.",
            metavar="BEFORE AFTER",
        ),
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help="Also show the accepted runs in this file, which --driftgate-history writes.")
    ] = None,
    explanations: Annotated[
        list[Path] | None,
        typer.Option(
            "--explanation",
            help="Also show where drift comes from: a file that driftgate explain --out wrote. May be given several times.",
            metavar="FILE",
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
) -> None:
    """Make a report of runs: one HTML page that opens without a network, and a summary in Markdown.

    Each run of the suites writes such a report beside its results.json by itself. This command makes one of several runs, of
    other machines or other models, side by side. Charts take the extra `driftgate[report]`; without it there are tables only.

    Examples:

    `driftgate report .driftgate --out report.html --markdown summary.md`

    `driftgate report laptop/results.json server/results.json --out both.html`

    `driftgate report .driftgate --explanation explain.json --out report.html`

    `driftgate report --compare before/results.json after/results.json --out changes.html`
    """
    from driftgate.files import write_whole
    from driftgate.report.page.explanation_sections import read_explanation
    from driftgate.report.page.make_report import make_report
    from driftgate.report.page.open_metrics import render_metrics
    from driftgate.report.page.runs import find_results, read_run
    from driftgate.report.page.side_by_side import show_comparison, show_side_by_side
    from driftgate.report.page.write import write_report
    from driftgate.results.history import read_history

    if bool(results) == bool(compare):
        raise OptionError("expected RESULTS of runs, or --compare BEFORE AFTER, and not both")
    targets = [path for path in (out, markdown, metrics) if path]
    if len(set(targets)) < len(targets):
        raise OptionError("--out, --markdown and --metrics: expected different files, found one twice")
    there = [str(path) for path in targets if path.exists()]
    if there and not overwrite:
        raise ResultsError(f"{', '.join(there)}: there already; choose another name or add --overwrite")
    missing = [str(path.parent) for path in targets if not path.parent.is_dir()]
    if missing:
        raise OutputError(f"{', '.join(missing)}: expected a folder to write the report to, found none; make it first")
    runs = [read_run(path) for path in find_results(compare or results or [])]
    accepted = read_history(history) if history else ()
    common = show_comparison(*runs) if compare else show_side_by_side(runs)
    explained = [read_explanation(path) for path in explanations or []]
    made = make_report(runs[1:] if compare else runs, common, history=accepted, explanations=explained)
    write_report(made, out, markdown)
    if metrics:
        write_whole(metrics, render_metrics(runs))
    for path in targets:
        typer.echo(for_terminal(f"wrote {path}"), err=True)
