"""What of a cell's rows is timed: all of them, or fewer of each batch whose call would take long.

A round has to be short, so that there can be many: their number is what a verdict needs, and a call of a second gives no more of
it than one of a tenth. A batch keeps its padded width, and its longest row.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from driftgate.gate.pairs import Contest, Load
from driftgate.gate.schedule import Clock, Units, cut_units, time_calls
from driftgate.inputs.batches import TokenBatch

LONG_CALL_NS = 200_000_000
"""Calls that take longer are timed on fewer rows, ..."""
KEPT_CALL_NS = 100_000_000
"""... about as many as take so long."""

Batches = Mapping[str, Sequence[TokenBatch]]
"""Of each cell, by cell id."""


OpenLoad = Callable[[Batches], Load]
"""Gives the function that loads one side with the given batches."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """What is timed of one cell.

    Args:
        of_rows: rows the whole cell has.
    """

    batches: tuple[TokenBatch, ...]
    units: Units
    of_rows: int

    @property
    def rows(self) -> int:
        """How many rows are timed."""
        return sum(len(batch.rows) for batch in self.batches)


def draw_samples(batches: Batches, open_side: OpenLoad, clock: Clock) -> dict[str, Sample]:
    """Time one row of every batch on one side, and keep of each what is not too long."""
    single = {cell: [keep_rows(batch, 1) for batch in of_cell] for cell, of_cell in batches.items()}
    with open_side(single)() as calls:
        rows_ns = {cell: [time_calls([call], clock) for call in calls[cell]] for cell in batches}
    return {cell: _draw_sample(of_cell, rows_ns[cell]) for cell, of_cell in batches.items()}


def make_contest(
    backend: str, samples: Mapping[str, Sample], open_baseline: OpenLoad, open_candidate: OpenLoad
) -> Contest:
    """Both sides on what is timed of each cell; the control is on the first one."""
    batches = {cell: sample.batches for cell, sample in samples.items()}
    units = {cell: sample.units for cell, sample in samples.items()}
    return Contest(backend, open_baseline(batches), open_candidate(batches), units, control=next(iter(units)))


def _draw_sample(batches: Sequence[TokenBatch], rows_ns: Sequence[float]) -> Sample:
    kept = [keep_rows(batch, _count_rows(len(batch.rows), took)) for batch, took in zip(batches, rows_ns, strict=True)]
    calls_ns = [took * len(batch.rows) for batch, took in zip(kept, rows_ns, strict=True)]
    return Sample(tuple(kept), cut_units(calls_ns), sum(len(batch.rows) for batch in batches))


def _count_rows(rows: int, row_ns: float) -> int:
    """How many of so many rows are timed, where one alone takes so long."""
    if rows * row_ns <= LONG_CALL_NS:
        return rows
    return min(rows, max(1, round(KEPT_CALL_NS / row_ns)))


def keep_rows(batch: TokenBatch, count: int) -> TokenBatch:
    """So many rows, the longest first and evenly spread over lengths, padded as they were."""
    falling = np.argsort(-batch.attention_mask.sum(axis=1), kind="stable")
    return batch.take(np.sort(falling[(np.arange(count) * len(falling)) // count]).tolist())
