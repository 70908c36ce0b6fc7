"""Memory growth: what is a leak, and what is not."""

import pytest

from driftgate.judge.growth import memory_growth

MB = 1_000_000


def test_memory_that_grows_by_a_few_hundred_kilobytes_a_cycle_is_a_leak() -> None:
    growth = memory_growth([500 * MB + cycle * 300_000 for cycle in range(30)], runs_per_cycle=50)
    assert growth.bytes_per_thousand_runs == pytest.approx(6 * MB)
    assert growth.total_bytes == 29 * 300_000


def test_an_allocator_that_grows_once_at_the_start_is_no_leak() -> None:
    assert memory_growth([500 * MB] * 3 + [520 * MB] * 27, runs_per_cycle=50).bytes_per_thousand_runs == 0


@pytest.mark.parametrize("resident", [[MB] * 7, [MB] * 8 + [0]], ids=["too-few-cycles", "not-told"])
def test_growth_of_too_few_or_unknown_readings_is_refused(resident: list[int]) -> None:
    with pytest.raises(ValueError, match="at least 8 cycles"):
        memory_growth(resident, runs_per_cycle=50)
