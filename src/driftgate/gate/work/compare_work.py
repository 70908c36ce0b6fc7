"""The work of a run's artifacts beside the baseline's, both counted in this process, under its ONNX Runtime."""

from collections.abc import Callable, Mapping, Sequence

from driftgate.errors import DriftgateError
from driftgate.gate.baseline import GateBaseline
from driftgate.gate.samples import Batches
from driftgate.gate.work.count import count_work
from driftgate.gate.work.records import Work, WorkChange, compare_sides
from driftgate.measure.workload import CellSpec
from driftgate.pipeline import Built
from driftgate.run.device import RunSettings


def compare_work(
    cells: Sequence[CellSpec],
    baseline: GateBaseline,
    built: Mapping[str, Built],
    batches: Batches,
    settings: RunSettings,
    announce: Callable[[str], None],
) -> dict[str, WorkChange]:
    """By cell id: of the cells on both sides whose artifacts differ. Under one ONNX Runtime, equal bytes are equal work.

    All rows of a cell are counted, however few of them are timed.
    """
    found: dict[str, WorkChange] = {}
    for name, candidate in built.items():
        then = baseline.backends.get(name)
        if then is None or candidate.artifact is None or candidate.artifact.sha256 == then.artifact.sha256:
            continue
        own = [cell.id for cell in cells if cell.backend.name == name and cell.id in then.cells]
        if own:
            announce(f"speed gate: counting the work of {name}")
            baseline_side = Built(candidate.spec, candidate.encoder, then.artifact)
            found |= _compare(baseline_side, candidate, {cell: batches[cell] for cell in own}, settings)
    return found


def _compare(baseline: Built, candidate: Built, batches: Batches, settings: RunSettings) -> dict[str, WorkChange]:
    then, now = (_try_to_count(side, batches, settings) for side in (baseline, candidate))
    reasons = [f"{side}: {found}" for side, found in (("baseline", then), ("now", now)) if isinstance(found, str)]
    if isinstance(then, str) or isinstance(now, str):
        return {
            cell: WorkChange(
                None if isinstance(then, str) else then[cell],
                None if isinstance(now, str) else now[cell],
                "; ".join(reasons),
            )
            for cell in batches
        }
    return {cell: compare_sides(then[cell], now[cell]) for cell in batches}


def _try_to_count(built: Built, batches: Batches, settings: RunSettings) -> dict[str, Work] | str:
    """The work by cell, or why it cannot be counted."""
    try:
        return count_work(built, batches, settings)
    except DriftgateError as error:
        return str(error)
