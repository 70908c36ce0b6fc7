"""From runs to what a report says of them."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

from driftgate.errors import ResultsError
from driftgate.report.page.answers import answer
from driftgate.report.page.content import Part, Report, Section
from driftgate.report.page.drift_sections import show_drift, show_ledgers, show_worst_rows
from driftgate.report.page.explanation_sections import show_explanations
from driftgate.report.page.node import Node
from driftgate.report.page.numbers import count_of, listed
from driftgate.report.page.quality_sections import show_quality, show_speed
from driftgate.report.page.run_sections import (
    show_artifacts,
    show_changes,
    show_commands,
    show_environment,
    show_history,
)
from driftgate.report.page.runs import Run
from driftgate.report.page.verdict_sections import list_backends, list_bounds, list_failures
from driftgate.results.history import HistoryEntry

_EXIT_CODES = {0: "passed", 1: "failed", 7: "has not shown enough"}


def make_report(
    runs: Sequence[Run],
    common: Sequence[Section] = (),
    texts: Mapping[int, str] | None = None,
    history: Sequence[HistoryEntry] = (),
    explanations: Sequence[Node] = (),
) -> Report:
    """The report of one run or more.

    Args:
        common: sections about all runs together.
        texts: of rows by number, where they may be shown; of one run only.
        history: accepted runs of any encoder; each run shows those of its own.
        explanations: of backends, by `read_explanation`; likewise.

    Raises:
        ResultsError: an explanation is of no run's encoder.
    """
    digests = {run.encoder_sha256 for run in runs}
    for found in explanations:
        if found.text("encoder_sha256") not in digests:
            raise ResultsError(
                f"{found.file}: expected the encoder of a run of this report, found {found.text('encoder')}, of another digest"
            )
    encoders = list(dict.fromkeys(run.encoder for run in runs))
    parts = tuple(_part(run, f"run-{number}", texts or {}, history, explanations) for number, run in enumerate(runs, 1))
    return Report(listed(encoders), f"driftgate report: {listed(encoders)}", parts, _filled(common))


def _part(
    run: Run, anchor: str, texts: Mapping[int, str], history: Sequence[HistoryEntry], explanations: Sequence[Node]
) -> Part:
    sections = (
        list_failures(run, anchor),
        list_backends(run, anchor),
        show_changes(run, anchor),
        list_bounds(run, anchor),
        show_quality(run, anchor),
        show_speed(run, anchor),
        show_drift(run, anchor),
        show_ledgers(run, anchor),
        show_explanations(explanations, run.encoder_sha256, anchor),
        show_worst_rows(run, anchor, texts),
        show_history(history, run.encoder_sha256, anchor),
        show_environment(run, anchor),
        show_artifacts(run, anchor),
        show_commands(run, anchor),
    )
    return Part(anchor, f"{run.encoder} on {run.machine}", _describe(run), answer(run), _filled(sections))


def _describe(run: Run) -> str:
    corpus = run.node.at("corpus")
    pairs = "pairs of texts" if corpus.flag("pairs") else "texts"
    on = f" on {run.rows:,} {pairs} of {corpus.text('name')}" if corpus else ", without a corpus"
    labels = f" with {count_of(len(run.labels), 'label')}" if run.labels else ""
    gives = ", which gives a score," if run.gives_scores else labels
    ended = _EXIT_CODES.get(run.exit_code, "was refused or broken off")
    return (
        f"The encoder {run.encoder}{gives}{on}: a run of {count_of(len(run.backends), 'backend')} that {ended} (exit code "
        f"{run.exit_code}), from {PurePath(run.where).name}."
    )


def _filled(sections: Sequence[Section]) -> tuple[Section, ...]:
    return tuple(section for section in sections if section.sentences or section.figures or section.commands)
