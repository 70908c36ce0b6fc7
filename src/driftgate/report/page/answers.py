"""One sentence to each question that a reviewer has: the same model? as fast? what changed since the baseline?"""

from collections.abc import Callable, Sequence

from driftgate.report.page.content import (
    CHANGED,
    FAIL,
    NO_BASELINE,
    NOT_JUDGED,
    NOT_MEASURABLE,
    NOT_SHOWN,
    PASS,
    SKIPPED,
    UNCHANGED,
    Answer,
    Badge,
)
from driftgate.report.page.environments import baseline_changes
from driftgate.report.page.numbers import count_of, listed, short
from driftgate.report.page.runs import Backend, Run

_Found = tuple[Badge, str]
_BROKEN_OFF = 1
_DESCRIBED = 3


def answer(run: Run) -> tuple[Answer, ...]:
    """The answers of one run."""
    return (
        Answer("Is it the same model?", *_same(run)),
        Answer("Is it as fast?", *_fast(run)),
        Answer("What changed since the baseline?", *_since(run)),
    )


def sameness(run: Run, backend: Backend) -> Badge:
    """Whether a backend is the same model, whatever the speed gate says of it."""
    if backend.skipped:
        return SKIPPED
    timed = [cell for cell in run.cells if cell.backend == backend.name]
    slower = sum(cell.slower for cell in timed)
    if backend.broken() or backend.failed_checks > slower or (backend.verdict == "fail" and not slower):
        return FAIL
    if not backend.held and backend.checks <= len(timed):
        return NOT_JUDGED
    return NOT_SHOWN if backend.verdict == "not-shown" else PASS


def _same(run: Run) -> _Found:
    found = [(backend, sameness(run, backend)) for backend in run.backends]
    failed, unshown, passed = (
        [backend for backend, badge in found if badge is wanted] for wanted in (FAIL, NOT_SHOWN, PASS)
    )
    if failed:
        return FAIL, f"No. {_describe(failed, _describe_failure)}"
    if run.exit_code == _BROKEN_OFF and run.verdict == "fail" and not any(cell.slower for cell in run.cells):
        return FAIL, "No bound is known to be broken, but a test of the run failed; its output says which."
    if unshown:
        return NOT_SHOWN, f"The rows are too few to tell. {_describe(unshown, _describe_unshown)}"
    if not passed:
        return NOT_JUDGED, "This run compared no answers with those of the reference."
    if run.verdict == "not-shown":
        return NOT_SHOWN, "The bounds that were judged are kept, but the run ended before all were judged."
    bounds = sum(sum(one.verdict == "pass" for one in backend.held) for backend in passed)
    names = listed([backend.name for backend in passed])
    on = f" on {run.rows:,} rows" if run.rows else ""
    kept = f"{count_of(bounds, 'bound')} kept{on}" if bounds else "every check of the built files passed"
    return PASS, f"Yes. {names}: {kept}.{_count_unshown(passed)}"


def _describe(backends: Sequence[Backend], describe: Callable[[Backend], str]) -> str:
    """A sentence for each of the first few."""
    left = len(backends) - _DESCRIBED
    return " ".join([*map(describe, backends[:_DESCRIBED]), *([f"So do {left} more."] if left > 0 else [])])


def _describe_failure(backend: Backend) -> str:
    broken = backend.broken()
    if not broken:
        return f"{backend.name} failed {count_of(max(backend.failed_checks, 1), 'check')}."
    most = max(broken, key=lambda one: one.used or 0)
    rule = "at most" if most.at_most else "at least"
    cause = backend.node.text("diagnosis", "sentence").rstrip(".")
    why = f" {cause[:1].upper()}{cause[1:]}." if cause else ""
    return (
        f"{backend.name} breaks {count_of(len(broken), 'bound')}; the furthest is {most.metric}, which is "
        f"{short(most.value)} and may be {rule} {short(most.limit)}.{why}"
    )


def _describe_unshown(backend: Backend) -> str:
    unshown = backend.unshown()
    rows = max((one.rows_needed for one in unshown), default=0)
    needed = f"; about {rows:,} rows would show it" if rows else ""
    return f"{backend.name}: {count_of(len(unshown), 'bound')} not shown to hold{needed}."


def _count_unshown(backends: Sequence[Backend]) -> str:
    count = sum(len(backend.unshown()) for backend in backends)
    return f" {count_of(count, 'bound')} of lesser weight not shown to hold." if count else ""


def _fast(run: Run) -> _Found:
    cells = run.cells
    if not cells:
        ratios = [
            f"{backend.name} {short(ratio)} times"
            for backend in run.backends
            if (ratio := best_ratio(backend)) is not None and backend.name != "torch"
        ]
        beside = f" Speed relative to torch in the same session: {listed(ratios)}." if ratios else ""
        return NOT_JUDGED, f"The speed gate did not run (pytest benchmarks --gate).{beside}"
    slower = [cell for cell in cells if cell.slower]
    undecided = [cell for cell in cells if cell.verdict == "NOT MEASURABLE"]
    if slower:
        most = max(slower, key=lambda cell: cell.slowdown or 0)
        by = f"; {most.name} takes {most.slowdown:.1%} more time" if most.slowdown is not None else ""
        return FAIL, f"No. {len(slower)} of {count_of(len(cells), 'cell')} are slower or have vanished{by}."
    if undecided:
        why = f" {undecided[0].reason[:1].upper()}{undecided[0].reason[1:]}." if undecided[0].reason else ""
        of = f"{len(undecided)} of {count_of(len(cells), 'cell')}"
        return NOT_MEASURABLE, f"This machine could not tell for {of}.{why}"
    compared = [cell for cell in cells if cell.verdict in ("PASS", "IDENTICAL")]
    if not compared:
        return NOT_JUDGED, f"The baseline has none of the {count_of(len(cells), 'cell')} of this run."
    detect = run.node.number("gate", "rule", "detect")
    than = f" by {detect:.0%} or more" if detect else ""
    return PASS, f"Yes. No one of {count_of(len(compared), 'cell')} is slower than the baseline{than}."


def best_ratio(backend: Backend) -> float | None:
    """Speed relative to torch under the budget plan, of the first corpus that was timed."""
    for corpus in backend.node.at("ratios").items().values():
        if (found := corpus.number("budget", "median")) is not None:
            return found
    return None


def _since(run: Run) -> _Found:
    moved = [(backend.name, node) for backend in run.backends if (node := backend.node.at("movement"))]
    changes = baseline_changes(run)
    if not moved and not run.node.at("gate", "baseline"):
        return (
            NO_BASELINE,
            "This run was not compared with an earlier one; pytest --accuracy-baseline and pytest --gate compare runs.",
        )
    told = [
        f"{name}: {node.text('who')} moved, by {short(node.number('backend'))} at most."
        for name, node in moved
        if node.text("who") not in ("nothing", "")
    ]
    if changes:
        told.append(f"In the environment: {listed(changes)}.")
    if told:
        return CHANGED, " ".join(told)
    kept = "Answers did not move" if moved else "Software and machine are the same"
    return UNCHANGED, f"{kept} since the baseline was saved."
