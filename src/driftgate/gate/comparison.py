"""Compare a run's artifacts with the baseline's: what is refused, what needs no timing, what is timed, and the verdicts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count

from driftgate.errors import BaselineError, OptionError, WorkerError
from driftgate.gate.baseline import GateBaseline
from driftgate.gate.cores import hold_cores, stay_on
from driftgate.gate.decisions import Referee, Round
from driftgate.gate.pairs import Contest, Pair, Timing, controls_of, rounds_of, time_pairs
from driftgate.gate.remote_side import OpenSide, describe_worker, open_sides
from driftgate.gate.rule import GateOptions, SpeedRule, Verdict
from driftgate.gate.run_facts import Facts, list_changes
from driftgate.gate.samples import Batches, Sample, draw_samples, make_contest
from driftgate.gate.schedule import Clock
from driftgate.gate.verdicts import CellVerdict, TimedRun, judge_cells
from driftgate.gate.work.count import compare_work
from driftgate.gate.work.records import WorkChange
from driftgate.inputs.batches import make_batches
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.measure.workload import CellSpec
from driftgate.pipeline import Built
from driftgate.run.device import RunSettings


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
        timing: None where nothing was timed, or a worker failed. `samples`: what of each timed cell was.
        work: counted on both sides, by cell id; of cells whose artifact is another than the baseline's.
    """

    verdicts: Mapping[str, CellVerdict]
    timing: Timing | None
    samples: Mapping[str, Sample] = field(default_factory=dict)
    work: Mapping[str, WorkChange] = field(default_factory=dict)

    def has(self, verdict: Verdict) -> bool:
        """Whether any cell got this verdict."""
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
    if differences := list_changes(then, now, "encoder", ignored="name"):
        raise BaselineError(
            f"gate baseline {options.reference or options.baseline}: taken on another encoder ({'; '.join(differences)}); both "
            "sides have to answer the same tokens: give that encoder's baseline, or save a new one with --gate-accept"
        )
    # What can change the time of the same bytes.
    return Comparison(tuple(cells), baseline, now, tuple(list_changes(then, now, "software", "settings")))


def compare(
    comparison: Comparison,
    built: Mapping[str, Built],
    tokens: TokenizedTexts,
    settings: RunSettings,
    options: GateOptions,
    *,
    announce: Callable[[str], None],
    seed: int,
    clock: Clock,
) -> Outcome:
    """Verdicts on all cells, those of the baseline that are gone included; times what has to be timed, and counts its work.

    Args:
        built: this run's backends, by name. `tokens`: the rows of every cell. `seed`: of the order of pairs.
    """
    found = _settle(comparison, built, measure_identical=options.measure_identical)
    batches = {cell.id: list(make_batches(tokens, cell.plan)) for cell in comparison.cells}
    work = compare_work(comparison.cells, comparison.baseline, built, batches, settings, announce)
    contested: dict[str, list[CellSpec]] = {}
    for cell in comparison.cells:
        if cell.id not in found:
            contested.setdefault(cell.backend.name, []).append(cell)
    timing, samples = None, dict[str, Sample]()
    if contested:
        try:
            settings = hold_cores(settings)
            # Workers keep to cores by themselves.
            with (
                stay_on(() if options.baseline_python else settings.cores),
                open_sides(options.baseline_python) as sides,
            ):
                contests = []
                for name, cells in contested.items():
                    own = {cell.id: batches[cell.id] for cell in cells}
                    contest, drawn = _draw_contest(comparison.baseline, built[name], own, settings, sides, clock)
                    contests.append(contest)
                    samples |= drawn
                judge = make_judge(contests, options.rule, announce)
                timing = time_pairs(contests, judge, budget_seconds=options.budget_seconds, seed=seed, clock=clock)
            found |= judge_cells(as_judged(contests, timing.pairs), options.rule)
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
    return Outcome(here | vanished, timing, samples, work)


def _settle(comparison: Comparison, built: Mapping[str, Built], *, measure_identical: bool) -> dict[str, CellVerdict]:
    """Verdicts that need no timing: cells that are new, or the same bytes under the same software."""
    found = {}
    for cell in comparison.cells:
        name = cell.backend.name
        then, artifact = comparison.baseline.backends.get(name), built[name].artifact
        if artifact is None:
            reason = "it runs the weights of a checkpoint and has no artifact to keep"
            found[cell.id] = CellVerdict(cell.id, name, Verdict.NEW, reason)
        elif then is None or cell.id not in then.cells:
            found[cell.id] = CellVerdict(cell.id, name, Verdict.NEW, "not in the baseline")
        elif not (artifact.sha256 != then.artifact.sha256 or comparison.software_changes or measure_identical):
            found[cell.id] = CellVerdict(cell.id, name, Verdict.IDENTICAL, "the baseline's bytes and software")
    return found


def _draw_contest(
    baseline: GateBaseline,
    built: Built,
    batches: Batches,
    settings: RunSettings,
    sides: tuple[OpenSide, OpenSide],
    clock: Clock,
) -> tuple[Contest, dict[str, Sample]]:
    """Of one backend; with what of each cell is timed, which is the same on both sides."""
    then = Built(built.spec, built.encoder, baseline.backends[built.spec.name].artifact)
    open_baseline, open_candidate = (
        partial(open_side, side, settings) for open_side, side in zip(sides, (then, built), strict=True)
    )
    samples = draw_samples(batches, open_baseline, clock)
    return make_contest(built.spec.name, samples, open_baseline, open_candidate), samples


def make_judge(
    contests: Sequence[Contest], rule: SpeedRule, announce: Callable[[str], None]
) -> Callable[[Round], Mapping[str, float]]:
    """What `time_pairs` asks after every round; says how far the run has come."""
    cells = [cell for contest in contests for cell in contest.cells]
    referee = Referee(cells, rule)
    numbers = count(1)

    def judge(ratios: Round) -> Mapping[str, float]:
        referee.add(ratios)
        rounds_left = referee.rounds_left()
        announce(f"speed gate: round {next(numbers)}, {len(rounds_left)} of {len(cells)} cells undecided")
        return rounds_left

    return judge


def as_judged(contests: Sequence[Contest], pairs: Sequence[Pair]) -> TimedRun:
    """What was timed, as `judge_cells` takes it."""
    backends = {cell: contest.backend for contest in contests for cell in contest.cells}
    return TimedRun(backends, rounds_of(pairs), controls_of(pairs))
