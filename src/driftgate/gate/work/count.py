"""Count the work of artifacts on the batches of their cells: in the nodes of the session that runs them, not in the file's.

Both sides are counted in this process, under its ONNX Runtime.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from driftgate.errors import ArtifactError, DriftgateError
from driftgate.gate.baseline import GateBaseline
from driftgate.gate.samples import Batches
from driftgate.gate.work.kernels import Kernel, read_runs
from driftgate.gate.work.operators import cost_of
from driftgate.gate.work.records import Work, WorkChange, compare_sides
from driftgate.inputs.batches import TokenBatch
from driftgate.measure.workload import CellSpec
from driftgate.onnx_graph.graph_walk import attributes, walk
from driftgate.onnx_graph.onnx_file import read_model
from driftgate.pipeline import Built
from driftgate.run.device import RunSettings
from driftgate.run.onnx_backend import OnnxBackend, open_session

Shape = tuple[int, int]
"""Rows and tokens."""
_FEW_ROWS = 3
"""Batches of so many rows are always run."""


def count_work(built: Built, cells: Mapping[str, Sequence[TokenBatch]], settings: RunSettings) -> dict[str, Work]:
    """The work of each cell, by its id.

    One batch of each shape is counted for all batches of that shape: nodes see shapes, and what is in them changes no work but
    that of nodes whose output is as long as its contents say (NonZero), which an encoder's graph does not need. Large batches
    would cost as much as all of the rest: see `_count_by_rows`.

    Args:
        cells: the batches of each cell, by its id.

    Raises:
        ArtifactError: the artifact cannot be loaded or run, or what its nodes did cannot be read.
        SequenceTooLongError: a batch is wider than the encoder has positions. DeviceError: the device was not given.
    """
    batches = {_shape(batch): batch for own in cells.values() for batch in own}
    work = _count_by_rows(built, batches, settings) or _count_shapes(built, batches, settings)
    return {cell: _add_up([work[_shape(batch)] for batch in own]) for cell, own in cells.items()}


def _count_by_rows(
    built: Built, batches: Mapping[Shape, TokenBatch], settings: RunSettings
) -> dict[Shape, Work] | None:
    """Count batches of many rows by what one row costs and what another one adds, at the same width.

    The smallest of them is run whole besides, and has to come out to the last byte.

    Returns:
        None where it does not, or where there is nothing to be saved: every shape has to be run.
    """
    large = sorted((shape for shape in batches if shape[0] > _FEW_ROWS), key=math.prod)
    if len(large) < 2:  # noqa: PLR2004 - two points make a line
        return None
    whole = {shape: batch for shape, batch in batches.items() if shape not in large[1:]}
    parts = {(rows, shape[1]): batches[shape].take(range(rows)) for shape in large for rows in (1, 2)}
    try:
        work = _count_shapes(built, {**parts, **whole}, settings)
    except ArtifactError:
        # A graph may take one number of rows only. Whatever else is wrong, running all shapes raises it too.
        return None
    extended = {(rows, width): _extend(work[1, width], work[2, width], rows) for rows, width in large}
    found = {shape: extra for shape, extra in extended.items() if extra is not None}
    if len(found) < len(large) or found[large[0]] != work[large[0]]:
        return None
    return {**work, **found}


def _extend(one: Work, two: Work, rows: int) -> Work | None:
    """The work of so many rows, if each costs as much as the second; None where other nodes ran for two rows than for one."""
    if (one.nodes, one.uncounted) != (two.nodes, two.uncounted):
        return None
    return replace(
        one,
        multiply_adds=one.multiply_adds + (rows - 1) * (two.multiply_adds - one.multiply_adds),
        bytes_moved=one.bytes_moved + (rows - 1) * (two.bytes_moved - one.bytes_moved),
    )


def _shape(batch: TokenBatch) -> Shape:
    rows, tokens = batch.input_ids.shape
    return rows, tokens


def _count_shapes(built: Built, batches: Mapping[Shape, TokenBatch], settings: RunSettings) -> dict[Shape, Work]:
    runs = _run(built, list(batches.values()), settings)
    return {shape: _count_run(run) for shape, run in zip(batches, runs, strict=True)}


def _run(built: Built, batches: Sequence[TokenBatch], settings: RunSettings) -> list[list[Kernel]]:
    """The kernels of a run of each batch, as ONNX Runtime's profiler tells them."""
    artifact = built.artifact
    if artifact is None:
        raise ArtifactError(f"backend {built.spec.name}: expected an artifact to count, found none")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # a session that failed has its file open still
        profile = Path(folder) / "work"
        session = open_session(artifact.model, settings, f"backend {built.spec.name}", profile=profile)
        backend = OnnxBackend(built.spec, built.encoder, artifact.model, session, settings, arithmetic="")
        for batch in batches:
            backend.prepare(batch)()
        told = Path(session.end_profiling()).read_bytes()
    equations = _read_equations(artifact.model) if b'"Einsum"' in told else {}
    try:
        runs = read_runs(told.decode(), equations)
    except (KeyError, ValueError) as error:
        raise ArtifactError(f"{artifact.model}: ONNX Runtime's profile of it cannot be read ({error!r})") from error
    if len(runs) != len(batches):  # the profiler stops after a million events
        raise ArtifactError(f"{artifact.model}: expected a profile of {len(batches)} runs, found {len(runs)}")
    return runs


def _read_equations(model: Path) -> dict[str, str]:
    """Of Einsum nodes, by the node's name."""
    nodes = [site.node for site in walk(read_model(model).graph) if site.node.op_type == "Einsum"]
    return {node.name: attributes(node)["equation"].decode() for node in nodes}


def _count_run(kernels: Sequence[Kernel]) -> Work:
    costs = [(kernel.operator, cost_of(kernel)) for kernel in kernels]
    counted = [cost for _, cost in costs if cost is not None]
    return Work(
        sum(cost.multiply_adds for cost in counted),
        sum(cost.bytes_moved for cost in counted),
        Counter(operator for operator, _ in costs),
        Counter(operator for operator, cost in costs if cost is None),
    )


def _add_up(parts: Sequence[Work]) -> Work:
    nodes: Counter[str] = Counter()
    uncounted: Counter[str] = Counter()
    for part in parts:
        nodes |= Counter(part.nodes)  # the larger number of each operator
        uncounted |= Counter(part.uncounted)
    return Work(
        sum(part.multiply_adds for part in parts), sum(part.bytes_moved for part in parts), dict(nodes), dict(uncounted)
    )


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
    (then, why_then), (now, why_now) = (_try_to_count(side, batches, settings) for side in (baseline, candidate))
    reason = "; ".join(f"{side}: {why}" for side, why in (("baseline", why_then), ("now", why_now)) if why)
    if reason:
        return {cell: WorkChange(then.get(cell), now.get(cell), reason) for cell in batches}
    return {cell: compare_sides(then[cell], now[cell]) for cell in batches}


def _try_to_count(built: Built, batches: Batches, settings: RunSettings) -> tuple[dict[str, Work], str]:
    """The work by cell, and why it cannot be counted, "" where it can."""
    try:
        return count_work(built, batches, settings), ""
    except DriftgateError as error:
        return {}, str(error)
