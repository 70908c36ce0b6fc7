"""What of a cell is timed: all of its rows, or fewer where a call would be long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from driftgate.gate.pairs import Load
from driftgate.gate.samples import KEPT_CALL_NS, LONG_CALL_NS, Batches, draw_samples, keep_rows
from driftgate.inputs.batches import TokenBatch

MS = 1_000_000


def batch_of(lengths: list[int]) -> TokenBatch:
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)
    return TokenBatch(tuple(range(100, 100 + len(lengths))), mask * np.arange(1, len(lengths) + 1)[:, None], mask, mask)


@dataclass
class Side:
    """A call takes `row_ms` for every row it has."""

    row_ms: float
    now: int = 0
    rows: list[int] = field(default_factory=list)

    def clock(self) -> int:
        return self.now

    def open(self, batches: Batches) -> Load:
        @contextmanager
        def load() -> Iterator[dict[str, list[Callable[[], None]]]]:
            yield {cell: [self._call(len(batch.rows)) for batch in own] for cell, own in batches.items()}

        return load

    def _call(self, rows: int) -> Callable[[], None]:
        def call() -> None:
            self.now += round(rows * self.row_ms * MS)
            self.rows.append(rows)

        return call


def test_a_long_call_is_timed_on_as_many_rows_as_take_a_tenth_of_a_second() -> None:
    side = Side(row_ms=30)
    (sample,) = draw_samples({"b32": [batch_of([5, 80] * 16)]}, side.open, side.clock).values()
    assert side.rows == [1], "one row of each batch says how long it takes"
    assert (sample.rows, sample.of_rows) == (3, 32)
    assert 2 * sample.rows * 30 * MS > KEPT_CALL_NS
    assert sample.rows * 30 * MS < LONG_CALL_NS


def test_a_short_call_keeps_all_of_its_rows() -> None:
    side = Side(row_ms=6)
    batches = {"b32": [batch_of([80] * 32)], "b1": [batch_of([9])] * 10}
    samples = draw_samples(batches, side.open, side.clock)
    assert [sample.rows for sample in samples.values()] == [32, 10]
    assert samples["b32"].batches[0].input_ids.tolist() == batches["b32"][0].input_ids.tolist()
    assert samples["b1"].units.slices == (slice(0, 4), slice(4, 10))


def test_a_single_row_however_long_is_timed() -> None:
    side = Side(row_ms=900)
    (sample,) = draw_samples({"b2": [batch_of([80, 80])]}, side.open, side.clock).values()
    assert sample.rows == 1


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_kept_rows_are_the_longest_and_some_of_every_length_padded_as_they_were(count: int) -> None:
    whole = batch_of([3, 50, 7, 21, 4, 9])
    kept = keep_rows(whole, count)
    assert len(kept.rows) == count
    assert 101 in kept.rows, "the longest"
    assert kept.input_ids.shape == (count, 50)
    for place, row in enumerate(kept.rows):
        assert kept.input_ids[place].tolist() == whole.input_ids[row - 100].tolist()
    assert list(kept.rows) == sorted(kept.rows)
