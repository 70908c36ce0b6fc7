"""What a report says, as text: verdict sentences, tables, escapes, sizes, and what it refuses."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import report_documents as documents

from driftgate.errors import ResultsError
from driftgate.report.page import drawing, html
from driftgate.report.page.answers import answer
from driftgate.report.page.html import MAX_BYTES, render_html
from driftgate.report.page.make_report import make_report
from driftgate.report.page.node import Node
from driftgate.report.page.runs import Run, find_results, read_run, view_run
from driftgate.report.page.summary import render_markdown
from driftgate.report.page.write import write_run_report
from driftgate.results.history import HistoryEntry, describe_entry

Document = dict[str, Any]


def run_of(document: Document) -> Run:
    return view_run(Node(json.loads(json.dumps(document)), "results x"), "results.json")


def document_entry(document: Document, day: int) -> HistoryEntry:
    described = describe_entry(json.loads(json.dumps(document)), datetime(2026, 3, day, tzinfo=UTC), "c0ffee")
    return HistoryEntry(
        **{
            name: value
            for name, value in {**described, "date": datetime.fromisoformat(described["date"])}.items()
            if name != "schema"
        }
    )


def page_of(document: Document) -> str:
    return render_html(make_report([run_of(document)]))


class Words(HTMLParser):
    """The elements of a page and what is written between them."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def parse(page: str) -> Words:
    found = Words()
    found.feed(page)
    return found


@pytest.fixture
def tables_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As without the extra, which is fast."""
    monkeypatch.setattr(html, "can_draw", lambda: False)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(documents.passing, ["PASS", "NOT JUDGED", "NO BASELINE"], id="passing"),
        pytest.param(documents.failing, ["FAIL", "FAIL", "CHANGED"], id="failing"),
        pytest.param(documents.not_shown, ["NOT SHOWN", "NOT MEASURABLE", "UNCHANGED"], id="not-shown"),
    ],
)
def test_each_question_has_its_verdict(make: Callable[[], Document], words: list[str]) -> None:
    assert [one.badge.word for one in answer(run_of(make()))] == words


def test_a_failure_names_the_furthest_bound_and_the_likely_cause() -> None:
    same, fast, since = answer(run_of(documents.failing()))
    assert (
        "onnx-scaled breaks 2 bounds; the furthest is mean_of_largest_probability_drift, which is 0.02" in same.sentence
    )
    assert same.sentence.endswith("Perhaps the weights of some layer.")
    assert "onnx-scaled-b1 takes 31.0% more time" in fast.sentence
    assert "onnxruntime: 1.30.0, now 1.31.1" in since.sentence


def test_a_slower_artifact_is_still_the_same_model() -> None:
    document = documents.failing()
    slow = document["backends"]["onnx-scaled"]
    slow["verdicts"], slow["diagnosis"] = documents.passing()["backends"]["onnx-fp32"]["verdicts"], {}
    slow["failed_checks"] = 1
    assert [one.badge.word for one in answer(run_of(document))][:2] == ["PASS", "FAIL"]


@pytest.mark.parametrize("exit_code", [1, 2])
def test_a_run_that_did_not_end_well_does_not_read_as_a_pass(exit_code: int) -> None:
    document = documents.passing() | {"exit_code": exit_code, "verdict": "fail" if exit_code == 1 else "not-shown"}
    assert answer(run_of(document))[0].badge.word in ("FAIL", "NOT SHOWN")


def test_nothing_judged_is_no_pass() -> None:
    document = documents.passing()
    for entry in document["backends"].values():
        entry |= {"verdicts": [], "checks": 0, "verdict": None}
    assert answer(run_of(document))[0].badge.word == "NOT JUDGED"


def test_a_chart_that_ends_the_process_that_draws_is_left_out_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "for_page", lambda text: text)  # vl-convert aborts at an escape character
    document = documents.passing()
    document["backends"]["onnx-fp32"]["verdicts"][0]["metric"] = "\x1b[31m"
    page = page_of(document)
    assert "1 charts could not be drawn; their tables are there." in page
    assert 'id="run-1-bounds-1-title"' in page
    assert 'id="run-1-bounds-0-title"' not in page


@pytest.fixture(scope="module")
def failing_page() -> str:
    return page_of(documents.failing())


def test_every_chart_has_its_numbers_in_a_table_and_a_name_for_those_who_do_not_see_it(failing_page: str) -> None:
    found = parse(failing_page)
    charts = [attributes for tag, attributes in found.elements if tag == "svg" and attributes.get("role") == "img"]
    assert len(charts) >= 9
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(name in ids for attributes in charts for name in str(attributes["aria-labelledby"]).split())
    assert sum(tag == "table" for tag, _ in found.elements) > len(charts)


def test_the_page_loads_nothing_and_runs_nothing(failing_page: str) -> None:
    assert {tag for tag, _ in parse(failing_page).elements}.isdisjoint(
        {"script", "link", "iframe", "object", "embed", "img", "image"}
    )
    addresses = [
        value
        for _, attributes in parse(failing_page).elements
        for name, value in attributes.items()
        if name in ("href", "src")
    ]
    assert all(str(address).startswith("#") for address in addresses)
    assert "url(http" not in failing_page


@pytest.fixture(scope="module")
def hostile_page() -> Words:
    return parse(page_of(documents.hostile()))


@pytest.mark.parametrize("name", documents.HOSTILE)
def test_hostile_names_stay_text(hostile_page: Words, name: str) -> None:
    found = hostile_page
    assert len([attributes for tag, attributes in found.elements if attributes.get("role") == "img"]) >= 12
    assert {tag for tag, _ in found.elements}.isdisjoint({"script"})
    assert not [attributes for _, attributes in found.elements if any(key.startswith("on") for key in attributes)]
    shown = name.replace("\x1b", "\\x1b").replace("\N{RIGHT-TO-LEFT OVERRIDE}", "\\u202e")
    assert shown in found.words


def test_hostile_names_are_no_markdown() -> None:
    text = render_markdown(make_report([run_of(documents.hostile())]))
    first, _, rest = text.partition("\n")
    assert first == "<!-- driftgate: &lt;script&gt;document.title='owned'&lt;/script&gt; -->"
    assert not re.search(r"<(?!!--)", rest)
    assert not re.search(r"(?<!\\)\]\(", rest)
    assert "\x1b" not in rest


def test_the_summary_has_failures_first() -> None:
    text = render_markdown(make_report([run_of(documents.failing())]))
    assert text.startswith("<!-- driftgate: emotions -->\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE)[0] == "Failures"
    assert "| ❌ **FAIL** | onnx-scaled | mean_of_largest" in text.replace("\\", "")
    assert render_markdown(make_report([run_of(documents.passing())])).count("Failures") == 0


@pytest.mark.usefixtures("tables_only")
def test_without_the_extra_the_page_has_tables_and_says_so() -> None:
    page = page_of(documents.failing())
    assert "pip install &#34;driftgate[report]&#34;" in page
    assert 'role="img"' not in page
    assert "<table>" in page


def test_two_hundred_labels_are_listed_and_those_that_drift_most_are_drawn() -> None:
    page = page_of(documents.of_labels(200))
    assert len(page.encode()) < MAX_BYTES / 2
    assert "The chart has the 40 labels of 200 that drift most." in page
    assert page.count('<th scope="row"><bdi>label ') >= 200


@pytest.mark.usefixtures("tables_only")
def test_texts_are_on_the_page_only_where_they_are_given() -> None:
    run = run_of(documents.passing())
    assert "a secret" not in render_html(make_report([run]))
    shown = make_report([run], texts={3: "a <b>secret</b>"})
    assert "a &lt;b&gt;secret&lt;/b&gt;" in render_html(shown)
    assert "secret" not in render_markdown(shown)


def test_a_page_that_would_be_too_large_leaves_charts_out_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MAX_BYTES", 120_000)
    page = page_of(documents.failing())
    assert len(page.encode()) <= 120_000
    assert re.search(r"\d+ charts are left out, so that the page stays below 120,000 bytes", page)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"schema": 99}, "schema 99", id="another-schema"),
        pytest.param({"backends": []}, "expected an object at backends", id="no-object"),
        pytest.param({"exit_code": "0"}, "expected a number at exit_code, found '0'", id="no-number"),
        pytest.param({"backends": {"a": {"verdicts": [{"value": True}]}}}, "finite number", id="a-flag-for-a-number"),
        pytest.param({"encoder": {"name": 7}}, "expected a string at encoder.name, found 7", id="no-string"),
        pytest.param({"backends": {str(n): {} for n in range(99)}}, "at most 60 backends, found 99", id="too-many"),
    ],
)
def test_results_that_are_not_what_they_should_be_are_refused_by_name(
    tmp_path: Path, change: Document, said: str
) -> None:
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(documents.passing() | change), encoding="utf-8")
    with pytest.raises(ResultsError, match=re.escape(said)) as refused:
        make_report([read_run(path)])
    assert "theirs.json" in str(refused.value)


def test_results_that_were_cut_short_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text(json.dumps(documents.passing())[:-20], encoding="utf-8")
    with pytest.raises(ResultsError, match=r"cut\.json: expected a JSON object"):
        read_run(path)


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "nan.json"
    document = documents.passing()
    document["backends"]["onnx-fp32"]["verdicts"][0]["value"] = float("nan")
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ResultsError, match="finite number"):
        read_run(path)


def test_a_report_that_cannot_be_written_is_said_and_raises_nothing(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    assert write_run_report(results, {}).startswith("report not written: ResultsError")
    results.write_text(json.dumps(documents.passing()), encoding="utf-8")
    (tmp_path / "report.html").mkdir()
    assert write_run_report(results, {}).startswith("report not written: ")
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_more_results_than_a_page_can_show_are_refused() -> None:
    with pytest.raises(ResultsError, match="expected 1 to 40 results of runs, found 41"):
        find_results([Path("x")] * 41)


def test_accepted_runs_are_drawn_with_their_numbers_beside_them() -> None:
    document = documents.passing()
    entries = []
    for day in (1, 2, 3):
        document["environment"]["versions"]["torch"] = f"2.{day}"
        entries.append(document_entry(document, day))
    page = render_html(make_report([run_of(document)], history=entries))
    assert '<title id="run-1-history-chart-title' in page
    assert "torch 2.2 to 2.3" in page[page.index("run-1-history-chart") :]
