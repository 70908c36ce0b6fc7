"""How often the pass of a cell is timed."""

import pytest

from driftgate.plugin.speed.cells import CELL_SECONDS, MAX_ROUNDS, wants_another_round


@pytest.mark.parametrize(
    ("seconds", "precision", "another"),
    [
        ([60.0], 0.1, True),
        ([0.1, 0.1001], 0.1, False),
        ([0.1, 0.11], 0.1, True),
        ([0.1, 0.11], 5.0, False),
        ([0.1, 0.11, 0.1, 0.11] * 4, 0.1, False),
        ([CELL_SECONDS / 2, CELL_SECONDS], 0.1, False),
        ([1e-4, 1.0], 0.1, True),
        ([1e-4, 1e-3] * (MAX_ROUNDS // 2), 0.1, False),
        ([1e-4, 1e-3] * (MAX_ROUNDS // 2 - 1), 0.0, True),
    ],
)
def test_a_cell_is_timed_until_its_interval_is_narrow_or_its_time_is_used_up(
    seconds: list[float], precision: float, another: bool
) -> None:
    assert wants_another_round(seconds, precision) == another
