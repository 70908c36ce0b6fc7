"""Words from outside are shown, never obeyed: by a terminal, a CI log, a page of Markdown."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from cards import make_card
from command_line import run_driftgate
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from nested_pytest import run_pytest
from tiny_encoders import SENTENCES, make_encoder

from driftgate.edges.escape import for_markdown, for_terminal
from driftgate.errors import CorpusError, DriftgateError
from driftgate.publish.card import render_card
from driftgate.results.markdown import Markdown, code, table

REPOSITORY = Path(__file__).parents[2]
HOSTILE = {
    "line end": ("joy\n::error::no", r"joy\n::error::no"),
    "carriage return": ("joy\rno", r"joy\rno"),
    "ANSI escape": ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
    "C1 control": ("red\x9b31m", r"red\x9b31m"),
    "bidirectional override": ("a\u202ecod.exe", r"a\u202ecod.exe"),
    "line separator": ("a\u2028b", r"a\u2028b"),
    "lone surrogate": ("a\udce9", r"a\udce9"),
    "GitHub command": ("::set-env name=A::1", r"\x3a:set-env name=A::1"),
    "GitHub command behind a space": ("a ::error::b", r"a \x3a:error::b"),
    "older GitHub command": ("a##[error]b", r"a\x23#[error]b"),
    "Azure command": ("##vso[task.complete]", r"\x23#vso[task.complete]"),
}
HARMLESS = (
    "admiration",
    "std::vector",
    "hub:go_emotions@main::test",
    "日本\u3000語",
    "👩\u200d🚀",
    "क्\u200dष",
    "C# [x]",
)
CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
COMMAND = re.compile(r"^\s*::|##\w*\[", re.MULTILINE)

LABELS = ("joy\n::error::no", "\x1b[31mred\x1b[0m", "::set-env name=A::\u202e1", "[bold]<script>no</script>|`[/bold]")
SHOWN_LABELS = (r"joy\n::error::no", r"\x1b[31mred\x1b[0m", r"\x3a:set-env name=A::\u202e1", LABELS[3])
FOLDER = "enc\n::error::no \x1b[31m<script>"
SHOWN_FOLDER = r"enc\n::error::no \x1b[31m<script>"


def assert_harmless(shown: str) -> None:
    """Nothing that a terminal or a CI service obeys."""
    assert not CONTROLS.search(shown), repr(shown)
    assert not COMMAND.search(shown), shown


# The functions


@pytest.mark.parametrize(("text", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_what_a_terminal_or_a_log_would_obey_is_shown_escaped(text: str, shown: str) -> None:
    assert for_terminal(text) == shown


@pytest.mark.parametrize("text", HARMLESS)
def test_what_can_be_seen_stays_as_it_is(text: str) -> None:
    assert for_terminal(text) == text


@given(st.text() | st.lists(st.sampled_from([*LABELS, FOLDER, ":", "#", "[", " ", "\n"])).map("".join))
def test_no_text_is_obeyed_and_escaping_again_changes_nothing(text: str) -> None:
    shown = for_terminal(text)
    assert_harmless(shown)
    assert "\n" not in shown
    assert for_terminal(shown) == shown


@given(st.text(st.sampled_from("a _*`<>&[](){}!|~$#\\-+.=:/\n\x1b0")) | st.text())
def test_any_text_is_plain_text_in_markdown(text: str) -> None:
    """By a reader of Markdown: one paragraph and one cell, whose words are the text, and nothing else."""
    reader = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    paragraph = reader.parseInline(f"x {for_markdown(text)} x")[0].children or []
    assert {token.type for token in paragraph} <= {"text", "text_special"}
    cells = [token for token in reader.parse(f"|a|\n|-|\n|x {for_markdown(text)} x|") if token.type == "inline"]
    assert len(cells) == 2
    assert "".join(token.content for token in paragraph) == "".join(token.content for token in cells[1].children or [])


@pytest.mark.parametrize("text", [text for text, _ in HOSTILE.values()], ids=HOSTILE)
def test_an_error_shows_what_it_quotes_escaped(text: str) -> None:
    error = CorpusError(f"label {text}", "its last words:")
    assert str(error) == f"label {for_terminal(text)}\nits last words:"
    assert_harmless(str(error))


def test_an_error_survives_a_process_boundary() -> None:
    import pickle

    error = DriftgateError("a\x1b", "b")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "a\\x1b\nb"


# What shows them


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("hostile") / FOLDER, labels=LABELS)


@pytest.fixture(scope="module")
def corpus(encoder: Path) -> Path:
    path = encoder.parent / "texts\x1b[31m\n::error::.jsonl"
    rows = ({"text": text, "labels": [label]} for text, label in zip(SENTENCES, LABELS, strict=False))
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_predict_shows_labels_and_texts_escaped(encoder: Path) -> None:
    result = run_driftgate("predict", encoder, "--backend", "torch", "thanks\n::error::\x1b[31m [bold]a[/bold]")
    assert result.exit_code == 0, result.output
    assert_harmless(result.output)
    assert all(label in result.stdout for label in SHOWN_LABELS)
    assert r"thanks\n::error::\x1b[31m [bold]a[/bold]" in result.stdout


def test_predict_compares_labels_escaped(encoder: Path, warm_cache: Path) -> None:
    result = run_driftgate("predict", encoder, "--compare", "torch,onnx-fp32", "thanks")
    assert result.exit_code == 0, result.output
    assert_harmless(result.output)
    assert all(label in result.stdout for label in SHOWN_LABELS)


def test_a_refusal_shows_names_and_labels_escaped(encoder: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows\n::error::.jsonl"
    rows.write_text(json.dumps({"text": "thanks", "labels": ["\x1b[31m\n::error::"]}), encoding="utf-8")
    result = run_driftgate("publish", encoder, "--backends", "onnx-fp32", "--out", tmp_path / "out", "--corpus", rows)
    assert result.exit_code == 4
    assert_harmless(result.output)
    assert r"rows\n::error::.jsonl, line 1: label '\x1b[31m\n::error::' is not one of" in result.stderr
    assert SHOWN_LABELS[0] in result.stderr


def test_build_shows_names_escaped_and_so_does_its_card(
    encoder: Path, corpus: Path, warm_cache: Path, tmp_path: Path
) -> None:
    (encoder / "README.md").write_text('---\nlicense: "mit\\n\\n# <script>no</script>"\n---\n', encoding="utf-8")
    out = tmp_path / "out\x1b[31m"
    result = run_driftgate(
        "publish", encoder, "--backends", "onnx-fp32", "--out", out, "--corpus", corpus, "--not-shown", "warn"
    )
    assert result.exit_code == 0, result.output
    assert_harmless(result.output)
    assert f"judged on encoder {SHOWN_FOLDER}, corpus texts" in result.stderr
    page = (out / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2]
    assert "<script" not in page
    assert "\n# <" not in page
    assert_harmless(page)


def test_every_name_of_a_card_is_plain_text() -> None:
    words = "a\n# b | `c` <script>d</script> \x1b[31m _e_ [f](g)"
    card = make_card(encoder={"name": words, "model_type": words}, carried={"license": words})
    card = replace(card, corpus=replace(card.corpus, name=words), speed=replace(card.speed, corpus=words))
    page = render_card(card).split("---\n", 2)[2]
    found = MarkdownIt("commonmark").enable("table").render(page)
    assert "<script" not in found
    assert found.count("<h1>") == 1
    assert "<em>" not in found
    assert 'href="g"' not in found
    assert found.count("d&lt;/script&gt;") >= 5
    assert_harmless(page)


def test_a_failed_test_and_the_summary_show_labels_and_names_escaped(
    encoder: Path, corpus: Path, shared_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "accuracy").mkdir()
    for name in ("test_drift.py", "bounds.toml"):
        shutil.copy2(REPOSITORY / "accuracy" / name, tmp_path / "accuracy")
    (tmp_path / "tight.toml").write_text(
        "".join(
            f'[fp32.{metric}]\nat_most = 0\nreason = "a test\\n::error::"\nset_on = 2026-01-31\n'
            for metric in ("max_abs_logit_drift", "mean_of_largest_probability_drift_in_worst_slice")
        ),
        encoding="utf-8",
    )
    given = [f"--encoder={encoder}", f"--corpus={corpus}", "--bounds=tight.toml", "--backends=onnx-fp32", "-v"]
    code, output = run_pytest(tmp_path, ["accuracy/test_drift.py", *given, "--junitxml=junit.xml"], shared_cache)
    assert code == 1
    assert "1 failed" in output
    assert_harmless(output)
    assert "rows with the largest drift" in output
    assert SHOWN_FOLDER in output
    assert all(label in output for label in SHOWN_LABELS[:2])
    report = ET.parse(tmp_path / "junit.xml")  # noqa: S314 - our own
    for text in (text for element in report.iter() for text in (*element.attrib.values(), *element.itertext())):
        assert_harmless(text)


def test_what_is_put_into_markdown_is_escaped_unless_it_is_markdown() -> None:
    assert Markdown("- {}, {}").format("<b>|", code("a|b")) == r"- &lt;b&gt;\|, a\|b"
    assert Markdown("- {}").format(code("model_fp16.onnx")) == "- `model_fp16.onnx`"
    assert table(("name",), [("a|b",), (Markdown("**c**"),)]).splitlines()[2:] == [r"| a\|b |", "| **c** |"]
