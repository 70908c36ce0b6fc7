"""A log says how far a run is, on lines of its own; a terminal beside what is being done."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from judged_project import Project, Run
from nested_pytest import run_pytest

from driftgate.measure.forecast import TimedTest
from driftgate.plugin import fixtures
from driftgate.plugin.progress import live_hooks
from driftgate.plugin.progress.live_hooks import LIVE, Live, progress

LINE = re.compile(r"driftgate: \d+% done(, about \d[\w. ]* left)?; last: \w+(\[.*\])?$")


@pytest.fixture(scope="module")
def chatty(make_project: Callable[..., Project]) -> Run:
    """A run that says how far it is after every test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_hooks, "SECONDS_APART", 0.0)
        patch.setattr(live_hooks, "_SURE_SECONDS", 0.0)
        return make_project().pytest("--backends=onnx-fp32")


def test_a_log_says_how_far_the_run_is_and_never_among_the_dots(chatty: Run) -> None:
    assert chatty.code == 0, chatty.output
    said = [line for line in chatty.output.splitlines() if "% done" in line]
    assert len(said) > 10
    assert all(LINE.match(line) for line in said), said
    assert "100% done, about 0.0 s left" in said[-1]
    shares = [int(line.partition(": ")[2].partition("%")[0]) for line in said]
    assert shares[0] < 50 < shares[-1]


def test_the_dots_go_on_after_the_line(chatty: Run) -> None:
    """pytest says again which file they are of."""
    lines = chatty.output.splitlines()
    after = {lines[number + 2] for number, line in enumerate(lines[:-2]) if "% done" in line}  # behind an empty line
    assert any(re.match(r"accuracy/test_\w+\.py [.s]", line) for line in after), after


def test_what_is_being_done_is_said_on_lines_of_its_own(chatty: Run) -> None:
    said = [line for line in chatty.output.splitlines() if "driftgate: reference: " in line]
    assert said
    assert all(line.startswith("driftgate: ") for line in said), said


def test_a_short_run_says_nothing(make_project: Callable[..., Project]) -> None:
    assert "% done" not in make_project().pytest("--backends=onnx-fp32", "-k", "drift_stays").output


def test_other_projects_runs_say_nothing(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_hooks, "SECONDS_APART", 0.0)
    (tmp_path / "test_other.py").write_text("def test_one():\n    pass\n", encoding="utf-8")
    code, output = run_pytest(tmp_path, ["test_other.py"], shared_cache)
    assert code == 0, output
    assert "% done" not in output


class Cache:
    def __init__(self) -> None:
        self.kept: dict[str, Any] = {}

    def get(self, key: str, default: Any) -> Any:
        return self.kept.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.kept[key] = value


TESTS = [TimedTest("a::one", "one"), TimedTest("a::two", "two")]


def make_live(cache: Cache | None) -> Live:
    return Live(SimpleNamespace(cache=cache), TESTS)  # type: ignore[arg-type]


def test_the_next_run_knows_how_long_the_tests_of_this_one_took() -> None:
    cache = Cache()
    first = make_live(cache)
    first.forecast.add("a::one", 3)
    assert first.describe() == "50% done", "one test of a few seconds tells nothing of the others"
    first.forecast.add("a::two", 9)
    first.keep()
    second = make_live(cache)
    second.forecast.add("a::one", 6)
    assert second.describe() == "25% done, about 18 s left"


def test_without_a_cache_nothing_is_kept() -> None:
    live = make_live(None)
    live.forecast.add("a::one", 3)
    live.keep()
    assert make_live(None).forecast.past == {}


def test_a_terminal_shows_it_beside_what_is_being_done() -> None:
    live = make_live(None)
    config: Any = SimpleNamespace(stash=pytest.Stash())
    assert progress(config) == ""
    config.stash[LIVE] = live
    assert progress(config) == ""
    live.forecast.add("a::one", 40)
    assert progress(config) == " (50% done, about 40 s left)"


def test_a_fixture_of_the_same_name_is_somebody_elses() -> None:
    theirs = SimpleNamespace(func=test_without_a_cache_nothing_is_kept)
    ours = SimpleNamespace(func=fixtures.driftgate._get_wrapped_function())  # type: ignore[attr-defined]
    found = [
        live_hooks._is_ours(SimpleNamespace(_fixtureinfo=SimpleNamespace(name2fixturedefs=names)))  # type: ignore[arg-type]
        for names in ({"driftgate": [ours]}, {"driftgate": [theirs]}, {})
    ]
    assert found == [True, False, False]
