"""How often the pass of a cell is timed."""

import pytest

from driftgate.plugin.speed.cells import CELL_SECONDS, MAX_ROUNDS, choose_rounds


@pytest.mark.parametrize(
    ("seconds", "rounds"),
    [(1e-4, MAX_ROUNDS), (0.1, 10), (0.3, 3), (0.9, 3), (CELL_SECONDS, 2), (60.0, 2)],
)
def test_long_passes_are_timed_less_often_and_none_only_once(seconds: float, rounds: int) -> None:
    assert choose_rounds(seconds) == rounds
