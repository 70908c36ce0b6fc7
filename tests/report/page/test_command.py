"""`driftgate report`, and the report of a run of the suites."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
import report_documents as documents
from command_line import run_driftgate

from driftgate.report.page import html
from driftgate.results.history import append_entry, describe_entry


@pytest.fixture(autouse=True)
def tables_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts have tests of their own."""
    monkeypatch.setattr(html, "can_draw", lambda: False)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(documents.passing()), encoding="utf-8")
    return path


def test_a_page_and_a_summary_are_made_of_any_results(results: Path, tmp_path: Path) -> None:
    page, summary = tmp_path / "out.html", tmp_path / "out.md"
    done = run_driftgate("report", results.parent, "--out", page, "--markdown", summary)
    assert done.exit_code == 0, done.stderr
    assert done.stderr.splitlines() == [f"wrote {page}", f"wrote {summary}"]
    assert "Is it the same model?" in page.read_text(encoding="utf-8")
    assert summary.read_text(encoding="utf-8").startswith("<!-- driftgate: emotions -->")


def test_files_that_exist_are_kept_unless_they_are_to_be_replaced(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "out.html"
    page.write_text("mine", encoding="utf-8")
    refused = run_driftgate("report", results, "--out", page)
    assert refused.exit_code == 4
    assert "there already" in refused.stderr
    assert page.read_text(encoding="utf-8") == "mine"
    assert run_driftgate("report", results, "--out", page, "--overwrite").exit_code == 0
    assert page.read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["absent.json"], "absent.json: no such file", id="no-such-file"),
        pytest.param(["{results}", "--out", "{results}/x/report.html"], "expected a folder", id="no-folder"),
        pytest.param(
            ["{results}", "--out", "a.html", "--markdown", "a.html"], "expected different files", id="one-file"
        ),
    ],
)
def test_what_cannot_be_done_is_refused(results: Path, arguments: list[str], said: str) -> None:
    done = run_driftgate("report", *(argument.format(results=results) for argument in arguments))
    assert done.exit_code == 4
    assert said in done.stderr


def test_runs_of_other_encoders_stand_side_by_side_and_it_is_said(results: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps(documents.failing() | {"encoder": {"name": "b", "sha256": "b" * 64}}), encoding="utf-8")
    done = run_driftgate("report", results, other, "--out", tmp_path / "both.html", "--markdown", tmp_path / "both.md")
    assert done.exit_code == 0, done.stderr
    assert "2 different encoders" in (tmp_path / "both.html").read_text(encoding="utf-8")
    assert "## Runs side by side" in (tmp_path / "both.md").read_text(encoding="utf-8")


def test_a_comparison_says_what_changed_and_new_verdicts_come_first(results: Path, tmp_path: Path) -> None:
    after = tmp_path / "after.json"
    changed = documents.passing()
    changed["backends"]["onnx-int8"] = documents.backend(2e-2, "fail")
    changed["environment"]["versions"]["onnxruntime"] = "1.32.0"
    after.write_text(json.dumps(changed), encoding="utf-8")
    summary = tmp_path / "changes.md"
    done = run_driftgate(
        "report", "--compare", results, after, "--out", tmp_path / "changes.html", "--markdown", summary
    )
    assert done.exit_code == 0, done.stderr
    text = summary.read_text(encoding="utf-8")
    assert "| onnx-int8 | mean_of_largest_probability_drift | ✅ **PASS** | ❌ **FAIL** | 0.0004 | 0.02 |" in text
    assert "| onnxruntime | 1.31.1 | 1.32.0 |" in text


def test_a_comparison_of_different_encoders_is_refused_by_name(results: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(
        json.dumps(documents.passing() | {"encoder": {"name": "another", "sha256": "f"}}), encoding="utf-8"
    )
    done = run_driftgate("report", "--compare", results, other, "--out", tmp_path / "x.html")
    assert done.exit_code == 4
    assert "another" in done.stderr
    assert "side by side" in done.stderr


def test_results_or_a_comparison_have_to_be_given(results: Path) -> None:
    assert run_driftgate("report").exit_code == 4
    assert run_driftgate("report", results, "--compare", results, results).exit_code == 4


def test_accepted_runs_are_shown_where_their_file_is_given(results: Path, tmp_path: Path) -> None:
    document = json.loads(results.read_text(encoding="utf-8"))
    history, page = tmp_path / "history.jsonl", tmp_path / "out.html"
    for day, commit in ((1, "c0ffee1234"), (2, "<b>|hostile")):
        document["environment"]["versions"]["torch"] = f"2.{day}"
        append_entry(history, describe_entry(document, datetime(2026, 3, day, tzinfo=UTC), commit))
    other = {**document, "encoder": {**document["encoder"], "sha256": "of another encoder"}}
    append_entry(history, describe_entry(other, datetime(2026, 3, 9, tzinfo=UTC), "feedbee"))
    done = run_driftgate("report", results, "--out", page, "--history", history)
    assert done.exit_code == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert "Accepted runs, oldest first" in text
    assert "1: 2026-03-01" in text
    assert "torch 2.1 to 2.2" in text
    assert "c0ffee1" in text
    assert "&lt;b&gt;|hos" in text
    assert "2026-03-09" not in text


def test_a_history_that_cannot_be_read_is_refused_by_its_line(results: Path, tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").write_text("[]\n", encoding="utf-8")
    done = run_driftgate("report", results, "--out", tmp_path / "out.html", "--history", tmp_path / "history.jsonl")
    assert done.exit_code == 4
    assert "line 1: expected an accepted run" in done.stderr
    assert not (tmp_path / "out.html").exists()
