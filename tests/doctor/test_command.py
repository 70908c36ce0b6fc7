"""The doctor's command: what it prints, where, and how it ends."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import run_driftgate

from driftgate.doctor.collect import examine
from driftgate.doctor.facts import Asked, Broken, Facts, Software
from driftgate.doctor.render import render_text
from driftgate.results.console import Console

HEALTHY = Software({"torch": "2.13.0"}, {"onnxruntime": "1.31"}, {}, (), "g++")
BROKEN = Software({"torch": "1.0"}, {"onnxruntime": "1.31"}, {}, (Broken("driftgate", "torch>=2.8", "1.0"),), "g++")


def run(*arguments: object) -> Any:
    return run_driftgate("doctor", *arguments, columns=120)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`found(software)`: the command finds this, and nothing else."""

    def use(software: Software) -> None:
        monkeypatch.setattr(
            "driftgate.doctor.collect.collect_facts", lambda asked, **options: Facts(asked, software=software)
        )

    return use


def test_a_problem_ends_in_exit_code_1_and_says_what_to_do(found: Any) -> None:
    found(BROKEN)
    result = run()
    assert result.exit_code == 1, result.output
    assert "problem  unmet-requirement  software" in result.stdout
    assert "driftgate requires torch>=2.8, found 1.0" in result.stdout
    assert 'pip install "torch>=2.8"' in result.stdout
    assert result.stdout.endswith("1 problem, no warnings, no notes\n")


def test_without_a_problem_the_exit_code_is_0(found: Any) -> None:
    found(HEALTHY)
    result = run()
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("no problems, no warnings, no notes\n")


def test_json_holds_findings_and_facts_and_nothing_else_is_on_stdout(found: Any) -> None:
    found(BROKEN)
    result = run("--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["schema"] == 1
    assert report["counts"] == {"problem": 1, "warning": 0, "note": 0}
    (finding,) = report["findings"]
    assert set(finding) == {"id", "severity", "subject", "found", "matters", "advice"}
    assert (finding["id"], finding["severity"]) == ("unmet-requirement", "problem")
    assert report["facts"]["software"]["versions"] == {"torch": "1.0"}


def test_real_facts_are_json_too(tiny_encoder: Path, warm_cache: Path) -> None:
    result = run(tiny_encoder, "--backend", "onnx-int8-dynamic", "--json")
    assert result.exit_code in (0, 1), result.output
    report = json.loads(result.stdout)
    (graph,) = report["facts"]["graphs"]
    assert graph["content"]["precision"] == "int8-dynamic"
    assert report["facts"]["unread"] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no/such/model/anywhere",), "no such folder"),
        (("--device", "tpu"), "expected cpu, cuda or cuda:N"),
        (("--backend", "onnx-int4"), "unknown backend"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 4, result.output
    assert result.stdout == ""
    assert words in result.stderr


def test_help_shows_examples() -> None:
    assert "driftgate doctor model_quantized.onnx" in run("--help").stdout


@pytest.mark.parametrize("width", [40, 80, 200])
def test_reports_fit_the_terminal(width: int) -> None:
    console = Console(width=width, file=io.StringIO())
    facts = Facts(Asked(), software=BROKEN)
    with console.capture() as capture:
        render_text(facts, examine(facts), console)
    assert all(len(line) <= width for line in capture.get().splitlines())
    assert "unmet-requirement" in capture.get()
