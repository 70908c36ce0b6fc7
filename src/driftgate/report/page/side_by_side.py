"""Several runs of one page: side by side, or one before and one after."""

from collections.abc import Iterator, Sequence

from driftgate.edges.spelling import option
from driftgate.errors import ResultsError
from driftgate.report.page.answers import answer, best_ratio, sameness
from driftgate.report.page.content import Cell, Figure, Section, Table, outcome_badge
from driftgate.report.page.environments import differences
from driftgate.report.page.numbers import short, short_hash
from driftgate.report.page.runs import Backend, Held, Run

_MOST_CHANGES = 60


def show_side_by_side(runs: Sequence[Run]) -> tuple[Section, ...]:
    """What several runs have in common and apart; nothing of one run."""
    if len(runs) == 1:
        return ()
    encoders = {run.encoder_sha256 for run in runs}
    corpora = {run.node.text("corpus", "sha256") for run in runs}
    sentences = []
    if len(encoders) > 1:
        sentences.append(
            f"These are runs of {len(encoders)} different encoders: their numbers stand side by side, not for each other."
        )
    if len(corpora) > 1:
        sentences.append(
            f"They used {len(corpora)} different corpora, so that drift and quality are not of the same texts."
        )
    overview: tuple[tuple[Cell, ...], ...] = tuple(
        (
            f"run {number}",
            run.encoder,
            short_hash(run.encoder_sha256),
            run.machine,
            outcome_badge(run.verdict),
            *(one.badge for one in answer(run)[:2]),
        )
        for number, run in enumerate(runs, 1)
    )
    columns = ("run", "encoder", "sha256", "machine", "verdict", "same model", "as fast")
    table = Table("Runs", columns, overview, frozenset(range(7)))
    lines = tuple(
        (
            f"run {number}",
            backend.name,
            sameness(run, backend),
            short(backend.drift("mean")),
            short(best_ratio(backend)),
        )
        for number, run in enumerate(runs, 1)
        for backend in run.backends
    )
    backends = Table(
        "Backends of all runs", ("run", "backend", "same model", "drift", "x torch"), lines, frozenset({0, 1, 2})
    )
    figures = (Figure("all-runs-table", "Runs", table), Figure("all-backends-table", "Backends", backends))
    return (Section("all-runs", "Runs side by side", tuple(sentences), figures, brief=True),)


def show_comparison(before: Run, after: Run) -> tuple[Section, ...]:
    """What changed from one run to another.

    Raises:
        ResultsError: they are of different encoders.
    """
    if before.encoder_sha256 != after.encoder_sha256:
        raise ResultsError(
            f"{option('compare')}: {before.where} is of encoder {before.encoder} ({short_hash(before.encoder_sha256)}), "
            f"{after.where} of {after.encoder} ({short_hash(after.encoder_sha256)}); "
            f"leave {option('compare')} out to set them side by side"
        )
    sentences = [f"Before: {before.where}. After: {after.where}."]
    if before.node.text("corpus", "sha256") != after.node.text("corpus", "sha256"):
        sentences.append("The corpora differ, so that the numbers are not of the same texts.")
    found = [_verdicts(before, after), _numbers(before, after), _surroundings(before, after)]
    figures = tuple(figure for figure in found if figure.table.rows)
    if not figures:
        sentences.append("Verdicts, numbers, artifacts and environment are the same.")
    return (Section("comparison", "What changed", tuple(sentences), figures, brief=True),)


def _pairs(before: Run, after: Run) -> dict[str, tuple[Backend | None, Backend | None]]:
    then, now = ({backend.name: backend for backend in run.backends} for run in (before, after))
    return {name: (then.get(name), now.get(name)) for name in dict.fromkeys([*then, *now])}


def _verdicts(before: Run, after: Run) -> Figure:
    rows: list[tuple[Cell, ...]] = []
    for name, (then, now) in _pairs(before, after).items():
        badges: tuple[Cell, ...] = tuple(
            "absent" if side is None else outcome_badge(side.verdict) for side in (then, now)
        )
        digests = [side.node.text("about", "artifact_sha256") if side else "" for side in (then, now)]
        if badges[0] != badges[1] or digests[0] != digests[1]:
            rows.append((name, *badges, *map(short_hash, digests)))
    columns = ("backend", "before", "after", "artifact before", "artifact after")
    table = Table("Backends whose verdict or artifact changed", columns, tuple(rows), frozenset(range(5)))
    return Figure("comparison-verdicts", "Verdicts", table)


def _numbers(before: Run, after: Run) -> Figure:
    changes = [change for name, sides in _pairs(before, after).items() for change in _changes(name, *sides)]
    changes.sort(key=lambda change: change[:3])
    rows = tuple(
        (name, one.metric, outcome_badge(old.verdict), outcome_badge(one.verdict), short(old.value), short(one.value))
        for _, _, name, old, one in changes[:_MOST_CHANGES]
    )
    left = len(changes) - _MOST_CHANGES
    columns = ("backend", "metric", "before", "after", "value before", "value after")
    more = f"{left} more numbers changed less." if left > 0 else ""
    table = Table(
        "Numbers that changed: new verdicts first, then the largest changes", columns, rows, frozenset(range(4)), more
    )
    return Figure("comparison-numbers", "Numbers", table)


def _changes(name: str, then: Backend | None, now: Backend | None) -> Iterator[tuple[bool, float, str, Held, Held]]:
    """The metrics of a backend that changed: whether the verdict stayed, and how much, from the most."""
    known = {one.metric: one for one in then.held} if then else {}
    for one in now.held if now else ():
        old = known.get(one.metric)
        if old is not None and (old.verdict, old.value) != (one.verdict, one.value):
            more = (one.used or 0.0) - (old.used or 0.0)  # of its bound
            yield old.verdict == one.verdict, -abs(more), name, old, one


def _surroundings(before: Run, after: Run) -> Figure:
    rows = tuple(differences(before.node.at("environment"), after.node.at("environment")))
    table = Table("What differs in the environment", ("what", "before", "after"), rows, frozenset(range(3)))
    return Figure("comparison-environment", "Environment", table)
