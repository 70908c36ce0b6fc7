"""A summary fits where it goes, keeps what stands first, and says what it left out."""

import re
from pathlib import Path

import pytest
import report_documents as documents
from markdown_it import MarkdownIt

from driftgate.errors import ResultsError
from driftgate.pull_request.shape import COMMENT, STEP_SUMMARY, Place, marker_of, read_summary, says_the_same, shape
from driftgate.report.page.make_report import make_report
from driftgate.report.page.node import Node
from driftgate.report.page.runs import view_run
from driftgate.report.page.side_by_side import show_side_by_side
from driftgate.report.page.summary import render_markdown

LINK = "https://github.com/someone/model/actions/runs/1"


def summarize(*found: dict[str, object]) -> str:
    runs = [view_run(Node(one, "results"), "results.json") for one in found]
    return render_markdown(make_report(runs, show_side_by_side(runs)))


def test_a_summary_that_fits_is_left_as_it_is() -> None:
    summary = summarize(documents.failing())
    assert shape(summary, COMMENT) == summary
    assert shape(summary, STEP_SUMMARY) == summary


@pytest.mark.parametrize("place", [COMMENT, STEP_SUMMARY], ids=lambda place: place.unit)
@pytest.mark.parametrize("word", ["plain", "\N{LARGE GREEN CIRCLE}", "日本語"])
def test_a_long_summary_ends_with_whole_lines_and_says_so(place: Place, word: str) -> None:
    rows = "".join(f"| {number} | {word} |\n" for number in range(150_000))
    summary = f"<!-- driftgate: it -->\n\n# it\n\n## Failures\n\n| a | b |\n| --- | --- |\n{rows}"
    found = shape(summary, place, LINK)
    assert place.most - 200 < place.count(found) <= place.most
    assert "## Failures" in found
    assert f"holds at most {place.most:,} {place.unit}" in found
    assert found.endswith(f"[this run]({LINK}).\n")
    lines = set(summary.splitlines())
    table = [line for line in found.splitlines() if line.startswith("|")]
    assert set(table) <= lines


def test_neither_a_heading_nor_the_head_of_a_table_is_left_without_what_it_heads() -> None:
    head = "<!-- driftgate: it -->\n\n" + "x" * 65_000 + "\n"
    for end in ("## Backends\n\n", "## Backends\n\n| a | b |\n| --- | --- |\n"):
        found = shape(f"{head}{end}| {'y' * 600} | z |\n", COMMENT)
        assert "Backends" not in found
        assert "| a |" not in found


def test_failures_of_the_largest_run_are_in_its_comment() -> None:
    backends = {f"onnx-{number}": documents.backend(2e-2, "fail") for number in range(59)}
    found = shape(summarize(documents.document(backends, "fail", 1)), COMMENT, LINK)
    assert COMMENT.count(found) <= 65_536
    assert found.index("## Failures") < found.index("## Backends")


def test_names_of_others_are_text_in_a_comment() -> None:
    mention = documents.document({"@someone/team": documents.backend(2e-2, "fail")}, "fail", 1)
    found = shape(summarize(documents.hostile(), mention), COMMENT)
    tokens = MarkdownIt("commonmark").enable("table").parse(found)
    seen = {each.type for token in tokens for each in (token, *(token.children or ()))}
    assert "table_open" in seen
    assert seen.isdisjoint({"link_open", "html_inline", "image"})
    assert [token.content.strip() for token in tokens if token.type == "html_block"] == [marker_of(found)]
    assert not {"\x1b", "\N{RIGHT-TO-LEFT OVERRIDE}"} & set(found)


@pytest.mark.parametrize("name", ["@someone/team", "someone/model#12", "GH-12", "https://a.example", "www.a.example"])
def test_names_notify_nobody_and_lead_nowhere(name: str) -> None:
    found = shape(summarize(documents.document({name: documents.backend(2e-2, "fail")}, "fail", 1)), COMMENT)
    plain = re.sub(r"`[^`]*`", "", found).replace("\\", "")
    assert name not in plain
    assert name in plain.replace("&#8203;", "")


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "http://a.example", "https://a.example/) [x](y", "https://a b"]
)
def test_a_link_is_an_https_address(link: str) -> None:
    with pytest.raises(ResultsError, match="https address"):
        shape("<!-- driftgate: it -->\n", COMMENT, link)


def test_comments_of_two_runs_say_the_same_but_for_their_link() -> None:
    summary = summarize(documents.passing())
    one, other = (shape(summary, COMMENT, f"{LINK}{number}") for number in (1, 2))
    assert one != other
    assert says_the_same(one, other.replace("\n", "\r\n"))
    assert not says_the_same(one, shape(summarize(documents.failing()), COMMENT, LINK))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file"),
        (b"# a report of something else\n", "expected a first line such as <!-- driftgate"),
        (b"\xff\xfe", "expected text in UTF-8, found byte 0"),
        (b"<!-- driftgate: a -->\n" + b"x" * 16_000_000, "expected a report of at most 16,000,000 bytes"),
    ],
    ids=["missing", "another", "binary", "huge"],
)
def test_a_file_that_is_no_summary_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "report.md"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ResultsError, match=words):
        read_summary(path)


def test_versions_to_install_are_those_that_a_registry_has() -> None:
    assert "torch==2.13.0 " in summarize(documents.passing())
