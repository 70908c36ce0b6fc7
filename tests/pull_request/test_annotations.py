"""Annotations of broken bounds, and the lines of a file of bounds that they stand on."""

from datetime import date
from pathlib import Path

import pytest

from driftgate.judge.bounds import Bound, MetricVerdict, Outcome
from driftgate.judge.confidence.levels import exact_limits
from driftgate.pull_request.annotations import MOST, annotate, find_line
from driftgate.pull_request.junit import list_properties

FILE = """\
# [fp32.a]
[fp32.b]
at_most = 1

  ["my backend".a] # where it stands
[fp32 . "a"]
at_most = 1
[int8]
a = {at_most = 1}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "accuracy/bounds.toml"
    path.parent.mkdir()
    path.write_text(FILE, encoding="utf-8")
    return path


def verdict(outcome: Outcome, file: Path | None, reason: str = "why", backend: str = "onnx-fp32") -> MetricVerdict:
    bound = Bound("fp32", "a", 1.0, at_most=True, reason=reason, set_on=date(2026, 1, 31), file=file)
    return MetricVerdict(backend, "a", "at 0.5", exact_limits(2.0), bound, outcome)


@pytest.mark.parametrize(
    ("key", "metric", "line"), [("fp32", "b", 2), ("my backend", "a", 5), ("fp32", "a", 6), ("int8", "a", 1)]
)
def test_the_line_of_a_bound_is_found_however_its_name_is_written(file: Path, key: str, metric: str, line: int) -> None:
    assert find_line(file, key, metric) == line


def test_a_file_that_is_gone_has_a_first_line(tmp_path: Path) -> None:
    assert find_line(tmp_path / "none.toml", "fp32", "a") == 1


def test_a_broken_bound_is_annotated_on_its_line_and_no_other_is(file: Path) -> None:
    given = [verdict(outcome, file) for outcome in (Outcome.PASS, Outcome.FAIL, Outcome.NOT_SHOWN)]
    (line,) = annotate(given, file.parents[1])
    head = "::error file=accuracy/bounds.toml,line=6,title=onnx-fp32%3A a is beyond its bound::"
    assert line == f"{head}{given[1]}"


def test_a_file_outside_of_the_repository_is_not_named(file: Path, tmp_path: Path) -> None:
    (line,) = annotate([verdict(Outcome.FAIL, file)], tmp_path / "repository")
    assert line.startswith("::error title=")
    (line,) = annotate([verdict(Outcome.FAIL, None)], tmp_path)
    assert line.startswith("::error title=")


def test_words_of_others_end_neither_the_field_nor_the_line_nor_begin_a_command(file: Path) -> None:
    hostile = "a,file=x::b%0A\n::set-output name=x::y\r\x1b[31m"
    (line,) = annotate([verdict(Outcome.FAIL, file, reason=hostile, backend=hostile)], file.parents[1])
    assert "\n" not in line
    assert "\r" not in line
    assert "\x1b" not in line
    assert line.count("::error ") == 1
    fields = line.removeprefix("::error ").split("::", 1)[0]
    assert fields.count(",") == 2
    assert "file=x" not in fields.split(",")


def test_no_more_are_printed_than_are_shown(file: Path) -> None:
    assert len(list(annotate([verdict(Outcome.FAIL, file)] * 30, file.parents[1]))) == MOST


def test_properties_are_numbers_and_the_verdict(file: Path) -> None:
    assert dict(list_properties(verdict(Outcome.FAIL, file))) == {
        "onnx-fp32 a at 0.5 value": "2.0",
        "onnx-fp32 a at 0.5 low": "2.0",
        "onnx-fp32 a at 0.5 high": "2.0",
        "onnx-fp32 a at 0.5 at most": "1.0",
        "onnx-fp32 a at 0.5 verdict": "fail",
    }
