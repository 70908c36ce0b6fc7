"""Where the time of a run goes."""

import pytest

from driftgate.measure.phases import OTHER, Phases, RunTime


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_second_counts_for_the_innermost_phase_alone(clock: Clock) -> None:
    phases = Phases(clock)
    clock.now += 1
    with phases.during("properties"):
        clock.now += 2
        with phases.during("build"):
            clock.now += 4
        clock.now += 8
    clock.now += 16
    taken = phases.taken()
    assert taken.phases == {OTHER: 17, "properties": 10, "build": 4}
    assert sum(taken.phases.values()) == taken.seconds == 31


def test_a_phase_that_fails_is_counted_and_left(clock: Clock) -> None:
    phases = Phases(clock)

    def fail() -> None:
        with phases.during("build"):
            clock.now += 3
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    clock.now += 5
    assert phases.taken().phases == {OTHER: 5, "build": 3}


def test_the_ratio_is_of_all_time_to_the_inference_that_is_needed(clock: Clock) -> None:
    phases = Phases(clock)
    assert phases.taken().ratio is None
    with phases.during("reference", needed=True):
        clock.now += 6
    with phases.during("ratios"):
        clock.now += 9
        phases.count_inference(4)
    clock.now += 5
    taken = phases.taken()
    assert (taken.inference_seconds, taken.ratio) == (10, 2)


def test_the_processes_of_a_run_are_added_up() -> None:
    one, other = RunTime(3, 1, {"build": 3}), RunTime(5, 2, {"build": 1, "reference": 4})
    assert one + other == RunTime(8, 3, {"build": 4, "reference": 4})
