"""What a run leaves for the CI service that it runs in."""

from collections.abc import Callable
from xml.etree import ElementTree as ET

import pytest
from judged_project import Project

TIGHT = '[fp32.mean_of_largest_probability_drift]\nat_most = 1e-30\nreason = "none"\nset_on = 2026-01-31\n'
CHOSEN = ("--backends=onnx-fp32", "--bounds=tight.toml", "-k", "drift_stays_within")


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    made = make_project()
    (made.folder / "tight.toml").write_text(f"\n{TIGHT}", encoding="utf-8")
    return made


def test_a_broken_bound_is_annotated_in_github_actions_only(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    run = project.pytest(*CHOSEN)
    assert run.code == 1, run.output
    (line,) = [line for line in run.output.splitlines() if line.startswith("::error ")]
    assert line.startswith("::error file=tight.toml,line=2,title=onnx-fp32%3A mean_of_largest_probability_drift is")
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert "::error" not in project.pytest(*CHOSEN).output


def test_junit_has_the_numbers_behind_every_verdict(project: Project) -> None:
    project.pytest(*CHOSEN, "--junit-xml=junit.xml", "-o", "junit_family=xunit2")
    found = {
        each.get("name"): each.get("value")
        for each in ET.parse(project.folder / "junit.xml").iter("property")  # noqa: S314 - ours
    }
    of = "onnx-fp32 mean_of_largest_probability_drift"
    assert 0 < float(found[f"{of} value"] or "") < 1e-3
    assert (found[f"{of} at most"], found[f"{of} verdict"]) == ("1e-30", "fail")
