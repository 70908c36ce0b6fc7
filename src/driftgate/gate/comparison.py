"""Compare a run's artifacts with the baseline's: what is refused, what needs no timing, what is timed, and the verdicts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from driftgate.errors import BaselineError, OptionError, WorkerError
from driftgate.gate.baseline import GateBaseline
from driftgate.gate.decisions import regression_rounds
from driftgate.gate.facts import Facts, list_encoder_changes, list_software_changes
from driftgate.gate.options import GateOptions
from driftgate.gate.pairs import Contest, Pair, Timing, log_ratios, time_pairs
from driftgate.gate.remote_side import describe_worker
from driftgate.gate.rule import Verdict
from driftgate.gate.sides import OpenSide, Terms, open_sides
from driftgate.gate.units import Clock
from driftgate.gate.verdicts import CellVerdict, TimedBackend, judge_cells, undecided
from driftgate.gate.work.compare import compare_work
from driftgate.gate.work.records import WorkChange
from driftgate.measure.workload import CellSpec
from driftgate.pipeline import Built


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """What is compared, settled before anything is built.

    Args:
        cells: to gate. `now`: the facts of this run.
        software_changes: between both sides as they are timed, in words.
    """

    cells: tuple[CellSpec, ...]
    baseline: GateBaseline
    now: Facts
    software_changes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of it.

    Args:
        verdicts: by cell id, in the order of the run's cells, then vanished ones.
        timing: None where nothing was timed, or a worker failed.
        work: counted on both sides, by cell id; of cells whose artifact is another than the baseline's.
    """

    verdicts: Mapping[str, CellVerdict]
    timing: Timing | None
    work: Mapping[str, WorkChange] = field(default_factory=dict)

    def has(self, verdict: Verdict) -> bool:
        return any(found.verdict is verdict for found in self.verdicts.values())


def require_cells(cells: Sequence[CellSpec]) -> None:
    """Refuse a gated run without a gated cell.

    Raises:
        OptionError: there is none.
    """
    if not cells:
        raise OptionError(
            "--gate: no gated test was collected; run: pytest --pyargs driftgate.suites.benchmarks --gate, with at least one "
            "ONNX backend in --backends and no -k or -m that leaves out test_no_slower_than_the_baseline"
        )


def prepare_comparison(
    cells: Sequence[CellSpec], baseline: GateBaseline, now: Facts, options: GateOptions
) -> Comparison:
    """Refuse what cannot be compared.

    Args:
        now: the facts of this run.

    Raises:
        WorkerError: the Python of the baseline's side cannot be used.
        BaselineError: the baseline is of another tokenizer, other labels or another length limit.
    """
    then = baseline.about
    if options.baseline_python:
        then = {**then, "software": describe_worker(options.baseline_python)}
    changes = list_software_changes(then, now)
    if differences := list_encoder_changes(then, now):
        raise BaselineError(
            f"gate baseline {options.reference or options.baseline}: taken on another encoder ({'; '.join(differences)}); both "
            "sides have to answer the same tokens: give that encoder's baseline, or save a new one with --gate-accept"
        )
    return Comparison(tuple(cells), baseline, now, tuple(changes))


def compare(
    comparison: Comparison,
    built: Mapping[str, Built],
    terms: Terms,
    options: GateOptions,
    *,
    announce: Callable[[str], None],
    seed: int,
    clock: Clock,
) -> Outcome:
    """Verdicts on all cells, those of the baseline that are gone included; times what has to be timed, and counts its work.

    Args:
        built: this run's backends, by name. `seed`: of the order of pairs.
    """
    found = _settle(comparison, built, measure_identical=options.measure_identical)
    work = compare_work(comparison.cells, comparison.baseline, built, terms, announce)
    contested: dict[str, list[CellSpec]] = {}
    for cell in comparison.cells:
        if cell.id not in found:
            contested.setdefault(cell.backend.name, []).append(cell)
    timing = None
    if contested:
        try:
            with open_sides(options.baseline_python) as sides:
                contests = [
                    _make_contest(comparison.baseline, built[name], cells, terms, sides)
                    for name, cells in contested.items()
                ]
                timing = _time(contests, options, announce=announce, seed=seed, clock=clock)
                found |= judge_cells(by_backend(contests, timing.pairs), options.rule)
        except WorkerError as error:
            found |= {
                cell.id: CellVerdict(cell.id, name, Verdict.NOT_MEASURABLE, str(error))
                for name, cells in contested.items()
                for cell in cells
            }
    here = {cell.id: found[cell.id] for cell in comparison.cells}
    vanished = {
        cell: CellVerdict(cell, name, Verdict.VANISHED, "in the baseline, not in this run")
        for name, backend in comparison.baseline.backends.items()
        for cell in backend.cells
        if cell not in here
    }
    return Outcome(here | vanished, timing, work)


def _settle(comparison: Comparison, built: Mapping[str, Built], *, measure_identical: bool) -> dict[str, CellVerdict]:
    """Verdicts that need no timing: cells that are new, or the same bytes under the same software."""
    found = {}
    for cell in comparison.cells:
        name = cell.backend.name
        then, artifact = comparison.baseline.backends.get(name), built[name].artifact
        if artifact is None:
            reason = "runs a checkpoint's weights: no artifact to keep"
            found[cell.id] = CellVerdict(cell.id, name, Verdict.NEW, reason)
        elif then is None or cell.id not in then.cells:
            found[cell.id] = CellVerdict(cell.id, name, Verdict.NEW, "not in the baseline")
        elif not (artifact.sha256 != then.artifact.sha256 or comparison.software_changes or measure_identical):
            found[cell.id] = CellVerdict(cell.id, name, Verdict.IDENTICAL, "the baseline's bytes and software")
    return found


def _make_contest(
    baseline: GateBaseline, built: Built, cells: Sequence[CellSpec], terms: Terms, sides: tuple[OpenSide, OpenSide]
) -> Contest:
    name, (open_baseline, open_candidate) = built.spec.name, sides
    then = Built(built.spec, built.encoder, baseline.backends[name].artifact)
    return Contest(
        name,
        open_baseline(then, cells, terms),
        open_candidate(built, cells, terms),
        tuple(cell.id for cell in cells),
        control=cells[0].id,
    )


def _time(
    contests: Sequence[Contest], options: GateOptions, *, announce: Callable[[str], None], seed: int, clock: Clock
) -> Timing:
    rule, counts = options.rule, [len(contest.cells) for contest in contests]

    def still_open(pairs: Sequence[Pair]) -> set[str]:
        left = undecided(by_backend(contests, pairs), rule)
        announce(f"speed gate: round {pairs[-1].round + 1}, {len(left)} of {sum(counts)} cells undecided")
        return left

    return time_pairs(
        contests,
        still_open,
        budget_seconds=options.budget_seconds,
        milestones=sorted((rule.least_rounds, regression_rounds(counts, rule))),
        seed=seed,
        clock=clock,
    )


def by_backend(contests: Sequence[Contest], pairs: Sequence[Pair]) -> dict[str, TimedBackend]:
    """The rounds of each backend, as the judge takes them."""
    cells, controls = log_ratios(pairs)
    return {
        contest.backend: TimedBackend(
            {cell: cells.get(contest.backend, {}).get(cell, []) for cell in contest.cells},
            controls.get(contest.backend, []),
        )
        for contest in contests
    }
