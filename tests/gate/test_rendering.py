"""The speed gate's table on the terminal: the verdict first, and nothing that is empty or does not fit."""

from pathlib import Path

import pytest

from driftgate.gate.rendering import CellTimes, GateReport, render_gate
from driftgate.gate.rule import GateOptions, SpeedRule, Verdict
from driftgate.gate.verdicts import CellVerdict


def report_of(*verdicts: CellVerdict, times: dict[str, CellTimes] | None = None) -> GateReport:
    options = GateOptions(True, False, Path(), "", "", SpeedRule(), 60.0, True, False, ())
    return GateReport(options, verdicts, times or {}, {}, 1.0, 0, (), {}, {})


SLOWER = CellVerdict("onnx-fp32-b1", "onnx-fp32", Verdict.REGRESSION, "slower in 30 of 30 rounds", 0.12, 0.08, 0.2, 30)
TIMES = {"onnx-fp32-b1": CellTimes(10.0, 11.2, 900)}


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_table_fits_the_terminal_and_begins_with_the_verdict(width: int) -> None:
    lines = render_gate(report_of(SLOWER, times=TIMES), width).splitlines()
    assert max(map(len, lines)) <= width
    (row,) = [line for line in lines if "REGRESSION" in line]
    assert row.split()[0] == "REGRESSION"


def test_times_are_shown_where_there_is_room() -> None:
    assert "baseline ms" in render_gate(report_of(SLOWER, times=TIMES), 140)
    assert "baseline ms" not in render_gate(report_of(SLOWER, times=TIMES), 100)


def test_columns_without_a_value_are_left_out() -> None:
    untimed = CellVerdict("onnx-fp32-b1", "onnx-fp32", Verdict.IDENTICAL, "the baseline's bytes and software")
    text = render_gate(report_of(untimed), 140)
    assert "slowdown   " not in text
    assert "the baseline's bytes and software" in text
