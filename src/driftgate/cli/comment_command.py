"""`driftgate comment`: a run's summary as a comment on its pull request, and as the summary of a CI step."""

import os
from pathlib import Path
from typing import Annotated

import typer

from driftgate.edges.escape import for_terminal
from driftgate.errors import OptionError


def comment(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="One report.md, or files results.json of runs, or the folders they are in. Results are checked against their "
            "schema, and whatever they say is shown as text.",
            metavar="FILES...",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Write the comment to this file.", metavar="FILE")] = None,
    step_summary: Annotated[
        Path | None,
        typer.Option(help="Append the summary to this file; on GitHub, $GITHUB_STEP_SUMMARY.", metavar="FILE"),
    ] = None,
    post: Annotated[
        bool,
        typer.Option("--post", help="Put the comment on a pull request on GitHub, with the token in $GITHUB_TOKEN."),
    ] = False,
    repository: Annotated[
        str, typer.Option(help="Where the pull request is.", metavar="OWNER/NAME", envvar="GITHUB_REPOSITORY")
    ] = "",
    pull_request: Annotated[int | None, typer.Option(help="The number of the pull request.", min=1)] = None,
    head: Annotated[
        str,
        typer.Option(
            help="The branch that the pull request comes from, instead of its number.", metavar="OWNER:BRANCH"
        ),
    ] = "",
    commit: Annotated[
        str,
        typer.Option(
            help="The commit that was judged. A pull request that has moved on gets no comment.", metavar="SHA"
        ),
    ] = "",
    link: Annotated[str, typer.Option(help="The address of the run, named below the comment.", metavar="URL")] = "",
    author: Annotated[
        str, typer.Option(help="Who writes the comments; those of others are never changed.", metavar="LOGIN")
    ] = "github-actions[bot]",
) -> None:
    """Shape a run's summary for a pull request: failures first, and no longer than a comment may be.

    Without an option, the comment is printed. With --post, the comment of an earlier run on the same pull request and encoder is
    replaced, unless it says the same. Posting takes the extra `driftgate[github]`.

    Examples:

    `driftgate comment .driftgate/report.md --step-summary "$GITHUB_STEP_SUMMARY"`

    `driftgate comment results.json --post --head "$OWNER:$BRANCH" --commit "$SHA"`
    """
    from driftgate.files import write_whole
    from driftgate.pull_request.shape import COMMENT, STEP_SUMMARY, shape

    summary = _read(files)
    body = shape(summary, COMMENT, link)
    if out:
        write_whole(out, body)
        typer.echo(for_terminal(f"wrote {out}"), err=True)
    if step_summary:
        with step_summary.open("a", encoding="utf-8") as file:
            file.write(shape(summary, STEP_SUMMARY))
    if post:
        typer.echo(for_terminal(_post(body, repository, pull_request, head, commit, author)), err=True)
    if not (out or step_summary or post):
        typer.echo(body, nl=False)


def _read(files: list[Path]) -> str:
    """The summary of these files, in Markdown."""
    from driftgate.pull_request.shape import read_summary

    if any(path.suffix == ".md" for path in files):
        if len(files) > 1:
            raise OptionError(
                "expected one report.md, or any number of results.json; driftgate report --markdown merges runs"
            )
        return read_summary(files[0])
    from driftgate.report.page.make_report import make_report
    from driftgate.report.page.runs import find_results, read_run
    from driftgate.report.page.side_by_side import show_side_by_side
    from driftgate.report.page.summary import render_markdown
    from driftgate.results.schemas.schema_check import require_schema

    runs = [read_run(path) for path in find_results(files)]
    for run in runs:
        require_schema(run.node.value, "results", f"results {run.where}")
    return render_markdown(make_report(runs, show_side_by_side(runs)))


def _post(body: str, repository: str, number: int | None, head: str, commit: str, author: str) -> str:
    from driftgate.pull_request.github import Repository, Wanted, post_comment

    token = os.environ.get("GITHUB_TOKEN", "")
    if not token:
        raise OptionError("--post: expected a token in the environment variable GITHUB_TOKEN, found none")
    owner, _, name = repository.partition("/")
    if not owner or not name or "/" in name:
        raise OptionError(f"--repository {repository!r}: expected OWNER/NAME")
    api = os.environ.get("GITHUB_API_URL", "https://api.github.com")
    return post_comment(Repository(repository, api, token, author), Wanted(number, head, commit), body)
