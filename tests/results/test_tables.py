"""Every table fits its terminal whole: what is too wide is folded or goes on in a table below, and nothing is cut."""

import re
from collections.abc import Callable

import pytest
from sample_tables import TABLES

from driftgate.results.tables import make_table, render

WIDTHS = pytest.mark.parametrize("width", [80, 100, 140])


@WIDTHS
@pytest.mark.parametrize("table", [pytest.param(make, id=name) for name, make in TABLES.items()])
def test_every_table_fits_and_shows_every_figure(table: Callable[[int], str], width: int) -> None:
    text = table(width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    figures = re.findall(r"\d+\.\d+", table(1000))
    assert figures
    assert sorted(re.findall(r"\d+\.\d+", text)) == sorted(figures)


@WIDTHS
@pytest.mark.parametrize("name", ["gate", "tune", "verify"])
def test_tables_with_verdicts_begin_with_them(name: str, width: int) -> None:
    lines = TABLES[name](width).splitlines()
    header = next(lines[at - 1] for at, line in enumerate(lines) if "───" in line)
    assert header.split()[0] == "verdict"


@WIDTHS
def test_numbers_without_room_follow_in_a_table_with_the_same_names(width: int) -> None:
    table = make_table("metric", [f"backend-{number:02}" for number in range(20)])
    table.add_row("drift", *(f"0.{number:04}" for number in range(20)))
    text = render(table, width)
    assert max(map(len, text.splitlines())) <= width
    assert len(re.findall("drift", text)) == len(re.findall("metric", text)) > 1
    assert re.findall(r"0\.\d{4}", text) == [f"0.{number:04}" for number in range(20)]


def test_a_terminal_narrower_than_80_columns_gets_80() -> None:
    table = make_table("backend", ["drift"], title="a title " * 20)
    table.add_row("x" * 200, "0.1234")
    text = render(table, 30)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("x") == 200
    assert "0.1234" in text


def test_a_name_to_copy_stays_whole_where_numbers_can_go_below() -> None:
    name = "mean_of_largest_probability_drift_in_worst_slice"
    table = make_table("bound", [f"fault {number}" for number in range(12)])
    table.add_row(name, *["caught"] * 12)
    text = render(table, 100)
    assert max(map(len, text.splitlines())) <= 100
    assert text.count(name) == text.count("bound") > 1
    assert text.count("caught") == 12
