"""Where the time of a run went, in words."""

import pytest

from driftgate.measure.phases import RunTime
from driftgate.report.run_time import describe_time, say_seconds

TAKEN = RunTime(
    200, 100, {"pytest and judging": 5, "build": 8, "reference": 20, "onnx-int8": 30, "properties": 77, "cells b1": 60}
)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (48.2, "48 s"), (59.7, "1 min 00 s"), (185, "3 min 05 s")]
)
def test_seconds_are_said_as_people_do(seconds: float, said: str) -> None:
    assert say_seconds(seconds) == said


def test_the_largest_phases_are_named_and_the_others_counted() -> None:
    (line,) = describe_time(TAKEN, 300, brief=True)
    assert line == (
        "time: 3 min 20 s, 2.0 times the 1 min 40 s of inference that its verdicts need: properties 1 min 17 s, "
        "cells b1 1 min 00 s, onnx-int8 30 s, reference 20 s, 2 more with -v"
    )


@pytest.mark.parametrize("width", [80, 100, 140])
def test_all_phases_are_named_in_their_order_where_they_are_asked_for(width: int) -> None:
    lines = describe_time(TAKEN, width, brief=False)
    assert all(len(line) <= width for line in lines)
    said = " ".join(line.strip() for line in lines)
    places = [said.index(f"{name} ") for name in TAKEN.phases]
    assert places == sorted(places)
    assert "more" not in said


def test_without_inference_there_is_no_ratio() -> None:
    (line,) = describe_time(RunTime(3, 0, {"build": 3}), 100, brief=True)
    assert line == "time: 3.0 s: build 3.0 s"


def test_names_from_outside_are_shown_escaped() -> None:
    (line,) = describe_time(RunTime(3, 0, {"mine\x1b[2J": 3}), 100, brief=True)
    assert "\x1b" not in line
