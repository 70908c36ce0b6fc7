"""`driftgate.Scorer` gives batches of columns the scores that `driftgate predict` writes."""

import csv
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_driftgate

import driftgate
from driftgate.errors import ArtifactError, CorpusError, OptionError
from driftgate.scorer import _load

TEXTS = ["I love this.", "no", "What a sad and disappointing day it was!", "=1+1 \U0001f600", "naïve café"]

pytestmark = pytest.mark.usefixtures("warm_cache")


def score(scorer: driftgate.Scorer, texts: Any) -> dict[str, Any]:
    answered: dict[str, Any] = scorer({"text": texts, "key": list(range(len(texts)))})
    return answered


@pytest.fixture
def built(tiny_encoder: Path, tmp_path: Path) -> Path:
    """What `driftgate build` writes: a model with golden vectors."""
    folder = tmp_path / "built"
    done = run_driftgate("build", tiny_encoder, "--backends", "onnx-fp32", "--out", folder)
    assert done.exit_code == 0, done.output
    return folder


@pytest.mark.parametrize("backend", ["onnx-fp32", "onnx-int8", "torch"])
def test_the_scores_are_those_that_predict_writes(tiny_encoder: Path, tmp_path: Path, backend: str) -> None:
    source, target = tmp_path / "texts.txt", tmp_path / "scores.csv"
    source.write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    done = run_driftgate(
        "predict", tiny_encoder, "--backend", backend, "--input", source, "--output", target, "--threads", 1
    )
    assert done.exit_code == 0, done.output
    with target.open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    answered = score(driftgate.Scorer(str(tiny_encoder), backend), np.array(TEXTS, dtype=object))
    assert answered["key"] == [0, 1, 2, 3, 4]
    for name in written[0].keys() - {"row", "labels"}:
        assert answered[name].dtype == np.float32
        assert answered[name].tolist() == [np.float32(row[name]) for row in written]
    assert answered["labels"].tolist() == [row["labels"] for row in written]


def test_a_pickled_scorer_holds_no_model_and_scores_the_same(tiny_encoder: Path) -> None:
    scorer = driftgate.Scorer(str(tiny_encoder), logits=True)
    first = score(scorer, TEXTS)
    sent = pickle.dumps(scorer)
    assert len(sent) < 2000
    _load.cache_clear()
    second = score(pickle.loads(sent), TEXTS)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert any(name.startswith("logit:") for name in first)


def test_rows_that_cannot_be_scored_are_an_error_or_marked(tiny_encoder: Path) -> None:
    texts = ["fine", "", None, 3, float("nan"), "fine"]
    with pytest.raises(CorpusError, match=r"rows 1, 2, 3, 4 of the batch.*empty text"):
        score(driftgate.Scorer(str(tiny_encoder)), texts)
    answered = score(driftgate.Scorer(str(tiny_encoder), reject=True), texts)
    assert answered["rejected"].tolist() == ["", "empty text", "no text", "not a string", "no text", ""]
    scores = [values for values in answered.values() if isinstance(values, np.ndarray) and values.dtype == np.float32]
    assert scores
    assert all(np.isnan(values).tolist() == [False, True, True, True, True, False] for values in scores)
    assert all(values[0] == values[5] for values in scores)


@pytest.mark.parametrize("texts", [[], [""]])
def test_a_batch_without_texts_has_all_columns(tiny_encoder: Path, texts: list[str]) -> None:
    scorer = driftgate.Scorer(str(tiny_encoder), reject=True)
    assert score(scorer, texts).keys() == score(scorer, TEXTS).keys()
    assert all(len(values) == len(texts) for values in score(scorer, texts).values())


def test_columns_are_refused_that_are_missing_or_called_as_ours(tiny_encoder: Path) -> None:
    with pytest.raises(CorpusError, match="expected a column 'text', found 'body'"):
        driftgate.Scorer(str(tiny_encoder))({"body": TEXTS})
    with pytest.raises(OptionError, match="column 'labels'"):
        driftgate.Scorer(str(tiny_encoder))({"text": TEXTS, "labels": TEXTS})


def test_a_model_is_refused_that_answers_its_golden_vectors_otherwise(built: Path) -> None:
    scorer = driftgate.Scorer(str(built), require_golden_vectors=True)
    assert len(score(scorer, TEXTS)["labels"]) == len(TEXTS)
    first, second = sorted(built.glob("**/test_data_set_*/output_0.pb"))[:2]
    shutil.copy(second, first)
    _load.cache_clear()
    with pytest.raises(ArtifactError, match="not verified on this machine"):
        score(scorer, TEXTS)


def test_a_model_without_golden_vectors_is_refused_where_they_are_required(tiny_encoder: Path) -> None:
    with pytest.raises(ArtifactError, match="expected golden vectors"):
        score(driftgate.Scorer(str(tiny_encoder), require_golden_vectors=True), TEXTS)


def test_dataframes_come_back_as_dataframes(tiny_encoder: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed; it is no dependency")
    scorer = driftgate.Scorer(str(tiny_encoder))
    frame = pandas.DataFrame({"text": TEXTS, "key": range(5)}, index=range(7, 12))
    (answered,) = scorer.each(iter([frame]))
    assert answered.index.tolist() == list(range(7, 12))
    wanted = score(scorer, TEXTS)
    assert all(answered[name].tolist() == list(wanted[name]) for name in wanted)
