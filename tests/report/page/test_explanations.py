"""The section of a report that says where drift comes from."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import report_documents as documents
from command_line import run_driftgate

from driftgate.explain.explanation import Effect, Explanation, ModuleFinding, ProductFinding, RowFinding, Together
from driftgate.explain.words import describe_explanation
from driftgate.report.page import drawing
from driftgate.report.page.explanation_sections import read_explanation, show_explanations
from driftgate.results.schemas.schema_check import require_schema

ENCODER = documents.passing()["encoder"]["sha256"]
HOSTILE = documents.HOSTILE[0]


def module(name: str, share: float, sampled: bool = True) -> ModuleFinding:
    error = 0.02 if sampled else None
    effect = Effect(share * 0.01, 3)
    return ModuleFinding(name, ("a.b",), error, 0.999, error, error, effect, effect, share, None, sampled)


FOUND = Explanation(
    encoder="emotions",
    encoder_sha256=ENCODER,
    backend="onnx-int8",
    artifact_sha256="a" * 64,
    corpus="comments",
    corpus_sha256="c" * 64,
    rows=1200,
    sampled_rows=120,
    drift=0.0081,
    largest=0.09,
    flips=31,
    decisions=4000,
    sampled=Effect(0.008, 5),
    float_products=Effect(1e-7, 0),
    matched=38,
    without_product=(),
    without_module=(),
    modules=(
        module("layer 10 attention", 0.6),
        module("layer 2 feed-forward", 0.3),
        module("embeddings", 0.1),
        module("head", 0.0, sampled=False),
    ),
    products=(
        ProductFinding("a.b", "n", "MatMulIntegerToFloat", "layer 10 attention", 0.01, None, None, 0.6, 384, 3, 41.0),
    ),
    worst_rows=(RowFinding("line 7", 0.09, "layer 10 attention", 0.5, (1, 4)),),
    together=(Together(("a.b",), 0.004, 0.5), Together(("a.b", HOSTILE), 0.002, 0.75)),
    seconds=40.0,
)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(documents.passing()), encoding="utf-8")
    return path


def write(path: Path, found: Explanation = FOUND) -> Path:
    path.write_text(json.dumps(describe_explanation(found)), encoding="utf-8")
    return path


def test_a_report_shows_what_was_explained_in_sentences_and_tables(results: Path, tmp_path: Path) -> None:
    page, summary = tmp_path / "out.html", tmp_path / "out.md"
    given = ["report", results, "--explanation", write(tmp_path / "explain.json"), "--out", page, "--markdown", summary]
    done = run_driftgate(*given)
    assert done.exit_code == 0, done.stderr
    html = page.read_text(encoding="utf-8")
    assert "Where the drift comes from" in html
    assert "onnx-int8 on 1,200 rows of comments: " in html
    assert html.count("layer 10 attention") >= 2  # in a sentence or the chart, and in the table
    assert "75%" in html
    assert HOSTILE not in html


def test_what_is_written_keeps_to_its_schema() -> None:
    require_schema(json.loads(json.dumps(describe_explanation(FOUND))), "explanation", "explain.json")


def test_modules_are_drawn_by_layer_and_kind_and_products_one_after_the_other(tmp_path: Path) -> None:
    pytest.importorskip("vl_convert", reason="charts take driftgate[report]")
    found = read_explanation(write(tmp_path / "explain.json"))
    figures = show_explanations([found], ENCODER, "run-1").figures
    assert [figure.anchor for figure in figures] == ["run-1-explanation-1-modules", "run-1-explanation-1-products"]
    drawn = drawing.draw(figures)
    assert len(drawn) == 2
    told = re.findall(r">([^<>]+)</text>", drawn["run-1-explanation-1-modules"])
    assert [text for text in told if text.startswith(("layer", "embeddings", "head"))] == [
        "embeddings",
        "layer 2",
        "layer 10",
        "head",
    ]
    waterfall = figures[1].table.rows
    assert [row[1] for row in waterfall] == ["0.008", "0.004"]


def test_without_products_together_there_is_no_second_chart(tmp_path: Path) -> None:
    found = read_explanation(write(tmp_path / "explain.json", replace(FOUND, together=())))
    assert len(show_explanations([found], ENCODER, "run-1").figures) == 1


def test_an_explanation_of_another_encoder_is_refused(results: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "explain.json", replace(FOUND, encoder="others", encoder_sha256="d" * 64))
    done = run_driftgate("report", results, "--explanation", other, "--out", tmp_path / "out.html")
    assert done.exit_code == 4
    assert "expected the encoder of a run of this report, found others, of another digest" in done.stderr
    assert not (tmp_path / "out.html").exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file or directory; `driftgate explain --out` writes it"),
        ("{", "expected a JSON object with a schema, as `driftgate explain --out` writes it"),
        ('{"schema": 7}', "schema 7, and this driftgate reads schema 1"),
        ("[]", "expected"),
        ('{"schema": 1, "summary": [], "modules": "x"}', "expected"),
    ],
)
def test_what_is_no_explanation_is_refused(content: str | None, said: str, results: Path, tmp_path: Path) -> None:
    path = tmp_path / "explain.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    done = run_driftgate("report", results, "--explanation", path, "--out", tmp_path / "out.html")
    assert done.exit_code == 4, done.output
    assert f"explanation {path}" in done.stderr
    assert said in done.stderr
