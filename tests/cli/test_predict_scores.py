"""Regressions and rerankers through `driftgate build` and `driftgate predict`: the score is the reference's logit."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import run_driftgate

REFUSED = 4
TEXTS = ("a dog runs", "it rains, and the sun shines", "é")
PAIRS = (("a dog runs", "an animal moves"), ("it, rains", "the sun shines"))


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory, make_tiny_encoder: Callable[..., Path]) -> Path:
    """Saved as a cross-encoder, with segments, whose scores lie far outside of 0 to 1."""
    folder = make_tiny_encoder(
        tmp_path_factory.mktemp("scorers") / "scorer", "bert", labels=("LABEL_0",), problem_type=None
    )
    content = {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def _cache(warm_cache: Path) -> None:
    """Artifacts are built once."""


def logits_of(folder: Path, first: list[str], second: list[str] | None = None) -> list[float]:
    """What transformers gives each alone."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    found = []
    with torch.no_grad():
        for row, text in enumerate(first):
            tokens = tokenizer(text, second[row] if second else None, return_tensors="pt", truncation=True)
            found.append(float(model(**tokens).logits[0, 0]))
    return found


def records(result: Any) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def write_pairs(path: Path) -> Path:
    rows = [{"query": query, "passage": passage, "id": f"p{row}"} for row, (query, passage) in enumerate(PAIRS)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return path


def test_a_score_is_the_logit_and_no_probability(scorer: Path) -> None:
    found = records(run_driftgate("predict", scorer, "--backend", "torch", "--json", *TEXTS))
    assert [set(record) for record in found] == [{"text", "score"}] * len(TEXTS)
    assert [record["score"] for record in found] == pytest.approx(logits_of(scorer, list(TEXTS)), abs=1e-5)


def test_backends_are_shown_side_by_side(scorer: Path) -> None:
    found = records(run_driftgate("predict", scorer, "--compare", "torch,onnx-fp32", "--json", *TEXTS))
    for record in found:
        difference = record["scores"]["onnx-fp32"] - record["scores"]["torch"]
        assert record["largest_difference"] == {"backend": "onnx-fp32", "value": difference}
        assert abs(difference) < 1e-4
    table = run_driftgate("predict", scorer, "--compare", "torch,onnx-fp32", *TEXTS).stdout
    assert "onnx-fp32 - torch" in table
    assert f"{found[0]['scores']['torch']:.6f}" in table
    assert "probability" not in table


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_file_of_pairs_gets_a_column_of_scores(suffix: str, scorer: Path, tmp_path: Path) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    target = tmp_path / f"out.{suffix}"
    columns = ("--text-column", "query", "--pair-column", "passage", "--id-column", "id")
    result = run_driftgate(
        "predict", scorer, "--input", write_pairs(tmp_path / "in.jsonl"), *columns, "--output", target
    )
    assert result.exit_code == 0, result.output
    if suffix == "csv":
        rows: list[Any] = list(csv.DictReader(target.read_text(encoding="utf-8").splitlines()))
    elif suffix == "jsonl":
        rows = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    else:
        rows = pytest.importorskip("pyarrow.parquet").read_table(target).to_pylist()
    assert [list(row) for row in rows] == [["row", "id", "score"]] * len(PAIRS)
    assert [row["id"] for row in rows] == ["p0", "p1"]
    expected = logits_of(scorer, [query for query, _ in PAIRS], [passage for _, passage in PAIRS])
    assert [float(row["score"]) for row in rows] == pytest.approx(expected, abs=1e-4)


def test_a_folder_that_was_built_still_gives_scores(scorer: Path, tmp_path: Path) -> None:
    built = tmp_path / "built"
    assert run_driftgate("build", scorer, "--backends", "onnx-fp32", "--out", built).exit_code == 0
    found = records(run_driftgate("predict", built, "--json", *TEXTS))
    assert [record["score"] for record in found] == pytest.approx(logits_of(scorer, list(TEXTS)), abs=1e-4)


@pytest.mark.parametrize("option", [("--top", "1"), ("--logits",), ("--thresholds", "0.5")])
def test_what_chooses_among_labels_is_refused(option: tuple[str, ...], scorer: Path, tmp_path: Path) -> None:
    files = ("--input", write_pairs(tmp_path / "in.jsonl"), "--text-column", "query", "--output", tmp_path / "o.csv")
    for arguments in (TEXTS, files):
        result = run_driftgate("predict", scorer, *option, *arguments)
        assert (result.exit_code, result.stdout) == (REFUSED, ""), result.output
        assert f"{option[0]}: " in result.stderr
        assert "one score" in result.stderr
    assert not (tmp_path / "o.csv").exists()


@pytest.mark.parametrize("command", ["publish", "bounds", "explain"])
def test_a_regression_is_refused_by_commands_that_judge(command: str, scorer: Path, tmp_path: Path) -> None:
    copy = tmp_path / "regression"
    copy.mkdir()
    for path in scorer.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    config = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    (copy / "config.json").write_text(json.dumps({**config, "problem_type": "regression"}), encoding="utf-8")
    corpus = write_pairs(tmp_path / "in.jsonl")
    name = "--backend" if command == "explain" else "--backends"
    columns = ("--corpus", corpus, "--text-column", "query")
    result = run_driftgate(command, copy, name, "onnx-fp32", *columns, "--out", tmp_path / "out")
    assert result.exit_code != 0
    assert "found one whose logit is a score, which this command cannot judge" in result.stderr, result.stderr
