"""How windows are dealt to workers, and put together again."""

import json
import random
from collections.abc import Iterator

import numpy as np
import pytest
from letter_counter import DOUBLE, open_double

from driftgate.inputs.batches import BudgetPlan
from driftgate.predict.answerer import answer_rows, answer_share
from driftgate.predict.reading.rows import Row, Window
from driftgate.predict.workers.window_shares import PartialAnswer, deal
from driftgate.run.device import RunSettings


def windows(count: int) -> Iterator[Window]:
    return (Window((Row(number, "a text"),), (), number) for number in range(count))


@pytest.mark.parametrize("workers", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 20])
def test_every_share_of_every_window_is_dealt_once_and_in_order(count: int, workers: int) -> None:
    dealt = [(share.place, share.window.position, share.number, share.of) for share in deal(windows(count), workers)]
    assert [(place, number) for place, _, number, _ in dealt] == sorted(
        {(place, number) for place, _, number, _ in dealt}
    )
    for place in range(count):
        mine = [(position, number, of) for found, position, number, of in dealt if found == place]
        assert mine == [(place, number, len(mine)) for number in range(len(mine))]
    assert {place for place, *_ in dealt} == set(range(count))


@pytest.mark.parametrize(
    ("count", "workers", "of"),
    [(5, 2, 2), (3, 2, 2), (2, 2, 2), (1, 2, 2), (1, 7, 7), (2, 7, 4), (20, 3, 3), (20, 7, 4), (5, 1, 1)],
)
def test_the_last_windows_are_for_all_workers_and_the_others_are_whole(count: int, workers: int, of: int) -> None:
    dealt = list(deal(windows(count), workers))
    last = min(count, workers)
    assert [share.of for share in dealt] == [1] * (count - last) + [of] * (last * of)


@pytest.mark.parametrize("workers", [2, 3, 4, 8])
def test_no_worker_waits_long_for_the_others_at_the_end_of_a_file_of_windows_of_any_sizes(workers: int) -> None:
    draw = random.Random(workers)  # noqa: S311
    for count in range(1, 12):
        costs = [1.0] * (count - 1) + [draw.uniform(0.05, 1)]  # only the last window of a file has fewer rows
        free_at = [0.0] * workers
        for share in deal(windows(count), workers):
            free_at[free_at.index(min(free_at))] += costs[share.place] / share.of
        assert max(free_at) - min(free_at) <= 1 / min(workers, 4)


@pytest.mark.parametrize("shares", [1, 2, 3, 64])
def test_shares_put_together_have_the_bits_of_the_whole_window(shares: int) -> None:
    draw = random.Random(0)  # noqa: S311
    rows = tuple(Row(7 + 2 * at, "word " * draw.randint(1, 12) + str(at)) for at in range(100))
    answerer, plan, labels = open_double(DOUBLE, "double", RunSettings(1)), BudgetPlan(256), len(DOUBLE.labels)
    whole = answer_rows(rows, answerer, plan, labels)
    partial = PartialAnswer(Window(rows, (), 9), shares, labels)
    order = draw.sample(range(shares), shares)
    for at, number in enumerate(order):
        share = answer_share(rows, answerer, plan, labels, number, shares)
        said = json.loads(json.dumps({"rows": share.rows, "tokens": share.tokens, "truncated": share.truncated}))
        found = partial.add(said, np.ascontiguousarray(share.logits, dtype="<f4").tobytes())
        assert (found is None) == (at < shares - 1)
    assert found is not None
    np.testing.assert_array_equal(found.logits, whole.logits)
    assert (found.numbers, found.ids, found.tokens, found.truncated, found.position) == (
        whole.numbers,
        whole.ids,
        whole.tokens,
        whole.truncated,
        9,
    )
