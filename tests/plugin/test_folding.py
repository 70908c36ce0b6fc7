"""A run that fails says so in few lines, with the likely cause; -v prints everything."""

import json
import re
from collections.abc import Callable

import pytest
from judged_project import Project, Run

CONFTEST = """
from driftgate.arrays import Logits
from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.run.torch_backend import open_reference


class Wrong:
    def __init__(self, spec, good, change):
        self.spec, self.good, self.change = spec, good, change
        self.in_force = good.in_force

    def prepare(self, batch):
        run = self.good.prepare(batch)
        return lambda: Logits(self.change(run()))


def wrong(name, change):
    spec = BackendSpec(name, Precision.FP32, Runtime.TORCH)
    def open_with(encoder, artifact, settings):
        return Wrong(spec, open_reference(encoder, settings), change)
    return BackendSpec(name, Precision.FP32, Runtime.TORCH, open_with=open_with)


def pytest_driftgate_backends(config):
    return [wrong("exchanged", lambda logits: logits[:, [1, 0, 2, 3]]), wrong("scaled", lambda logits: logits * 1.05)]
"""
NARROW = ("--backends=exchanged,scaled", "-m", "not slow", "-k", "drift or flips or references or ranking or depend")


@pytest.fixture(scope="module")
def failed(make_project: Callable[..., Project]) -> Run:
    return make_project(conftest=CONFTEST).pytest(*NARROW)


def test_a_failing_run_prints_at_most_25_lines_after_its_progress(failed: Run) -> None:
    assert failed.code == 1
    lines = failed.output.splitlines()
    begin = next(number for number, line in enumerate(lines) if re.match(r"=+ (FAILURES|driftgate) =+", line))
    assert len(lines) - begin <= 25, "\n".join(lines[begin:])


def test_each_backend_has_its_verdict_and_its_cause_before_the_table(failed: Run) -> None:
    output = " ".join(failed.output.split())
    exchanged, scaled, table = (
        output.index(words) for words in ("FAIL exchanged: ", "FAIL scaled: ", "verdict backend")
    )
    assert exchanged < scaled < table
    assert "The labels 'joy' and 'anger' are exchanged." in output
    assert "All logits are multiplied by 1.05." in output


def test_the_diagnosis_is_in_the_results(failed: Run) -> None:
    found = json.loads((failed.folder / ".driftgate/results.json").read_text(encoding="utf-8"))["backends"]
    assert found["exchanged"]["diagnosis"]["cause"] == "labels-exchanged"
    assert found["exchanged"]["diagnosis"]["certain"] is True
    assert found["scaled"]["diagnosis"]["cause"] == "scaled"


def test_folded_failures_are_counted_all_the_same(failed: Run) -> None:
    counted = re.search(r"(\d+) failed", failed.output.splitlines()[-1])
    folded = re.search(r"(\d+) failures in the verdicts above", failed.output)
    assert counted
    assert folded
    assert counted[1] == folded[1]


def test_no_wrapper_is_shown(failed: Run) -> None:
    assert "def " not in failed.output
    assert "__tracebackhide__" not in failed.output
