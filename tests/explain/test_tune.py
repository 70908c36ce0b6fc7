"""The search for a recipe: searched on one half of the rows, judged on the other, and used by name."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command_line import run_driftgate

from driftgate.assessor import assess
from driftgate.backends import REGISTRY
from driftgate.errors import CorpusError
from driftgate.explain import tuned
from driftgate.explain.ranking import Halves, rank_products
from driftgate.explain.tune import Cost, Limits, find_front
from driftgate.explain.tune_words import render_front
from driftgate.explain.tuned import Target, Tuned, tune
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.recipe import Form, Recipe, read_recipe, write_recipe
from driftgate.inputs.tokens import tokenize
from driftgate.judge.assessment import Assessment
from driftgate.judge.bounds import Outcome
from driftgate.pipeline import OpenBackends, open_backend
from driftgate.run.device import RunSettings

ONE_THREAD = RunSettings(1)
WORDS = ("thank you so much, this made my day", "the bus was late again and it rained", "ok", "what a game!")
TEXTS = tuple(f"{text} {number}" for number in range(60) for text in WORDS)
CORPUS = Corpus("words", TEXTS, tuple(f"line {row}" for row in range(len(TEXTS))), None)


@pytest.fixture
def encoder(tiny_encoder: Path, warm_cache: Path) -> Encoder:
    return load_encoder(tiny_encoder)


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    return path


def search(encoder: Encoder, folder: Path, limits: Limits, backend: str = "onnx-int8", **more: object) -> Tuned:
    target = Target(limits, **more)
    backends = OpenBackends(encoder, ONE_THREAD)
    return tune(backends, REGISTRY[backend], CORPUS, target, [Form.FLOAT16], Cost.SIZE, folder)


def test_products_are_ranked_by_the_drift_that_each_makes_alone(encoder: Encoder) -> None:
    ranked = rank_products(OpenBackends(encoder, ONE_THREAD), REGISTRY["onnx-int8"], tokenize(encoder, TEXTS))
    drifts = [product.drift for product in ranked]
    assert drifts == sorted(drifts, reverse=True)
    assert drifts[-1] > 0
    assert {product.path for product in ranked if product.table} == {
        "roberta.embeddings.word_embeddings",
        "roberta.embeddings.position_embeddings",
    }
    assert not any(product.path.startswith("classifier") for product in ranked)  # float already


@pytest.mark.parametrize("backend", ["onnx-int8", "onnx-int8-dynamic"])
def test_a_search_takes_drift_away_on_rows_that_it_did_not_see(backend: str, encoder: Encoder, tmp_path: Path) -> None:
    found = search(encoder, tmp_path, Limits(None, None, 3.0, 9), backend)
    assert found.searched_rows + found.judged_rows == len(TEXTS)
    plain, chosen = found.front[0], found.chosen
    assert chosen is not None
    assert not plain.candidate.forms
    assert plain.cost == 1
    assert chosen.drift.value < 0.7 * plain.drift.value
    assert chosen.cost <= 3
    costs = [judged.cost for judged in found.front[1:]]
    assert costs == sorted(costs)
    assert re.search(r"Chosen \(\*\), with \d+ products? in .*: \d+% of the drift is gone", render_front(found, 100))
    assert list(tmp_path.iterdir()) == []  # no candidate is left behind


def test_the_least_costly_recipe_that_reaches_the_target_is_chosen_and_used_by_name(
    encoder: Encoder, tmp_path: Path
) -> None:
    free = search(encoder, tmp_path, Limits(None, None, 3.0, 9))
    target = 0.8 * free.front[0].drift.value
    found = search(encoder, tmp_path, Limits(target, None, 3.0, 9))
    assert found.verdict is Outcome.PASS
    assert found.chosen is not None
    assert found.recipe is not None
    assert found.chosen.drift.high <= target
    assert found.chosen.cost < max(judged.cost for judged in free.front)
    assert found.recipe.search["drift"] == found.chosen.drift.value
    path = tmp_path / "recipe.toml"
    write_recipe(path, found.recipe, encoder.name, "")
    assert read_recipe(path).forms == found.chosen.candidate.forms
    assert open_backend(encoder, f"onnx-int8+{path}", ONE_THREAD).spec.name == "onnx-int8-recipe"


def test_a_target_that_no_recipe_reaches_shows_the_best_and_writes_nothing(
    tiny_encoder: Path, warm_cache: Path, corpus_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "recipe.toml"
    command = ["tune", tiny_encoder, "--corpus", corpus_file, "--out", out, "--tries", 3, "--cost", "size"]
    result = run_driftgate(*command, "--drift-at-most", "1e-9", "--cost-at-most", 3)
    assert result.exit_code == 1, result.output
    assert "No recipe was found that reaches the target" in result.stdout
    assert "The best one has a drift of" in result.stdout
    assert not out.exists()


@pytest.mark.parametrize(("flips_at_most", "exit_code"), [("0.9", 0), ("1e-9", 1)])
def test_a_recipe_is_written_only_if_its_flips_are_shown_to_be_within_the_target(
    flips_at_most: str, exit_code: int, tiny_encoder: Path, warm_cache: Path, corpus_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "recipe.toml"
    command = ["tune", tiny_encoder, "--corpus", corpus_file, "--out", out, "--tries", 3, "--cost", "size"]
    result = run_driftgate(*command, "--flips-at-most", flips_at_most, "--cost-at-most", 3)
    assert result.exit_code == exit_code, result.output
    assert out.exists() == (exit_code == 0)


@pytest.mark.parametrize(
    ("more", "exit_code"), [((), 0), (("--drift-at-most", "1e-9"), 1), (("--flips-at-most", "1e-9"), 1)]
)
def test_with_bounds_the_other_targets_hold_too(
    more: tuple[str, ...], exit_code: int, tiny_encoder: Path, warm_cache: Path, corpus_file: Path, tmp_path: Path
) -> None:
    out, bounds = tmp_path / "recipe.toml", Path(__file__).parents[2] / "accuracy/bounds.toml"
    command = ["tune", tiny_encoder, "--corpus", corpus_file, "--out", out, "--tries", 3, "--cost", "size"]
    result = run_driftgate(*command, "--cost-at-most", 3, "--bounds", bounds, *more)
    assert result.exit_code == exit_code, result.output
    assert out.exists() == (exit_code == 0)


def test_bounds_choose_on_the_rows_of_the_search_and_have_to_hold_on_the_others(
    tiny_encoder: Path, warm_cache: Path, corpus_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def spy(encoder: Encoder, rows: Corpus, *more: Any) -> Assessment:
        asked.append(rows.row_ids)
        assert rows.labels is not None
        assert rows.labels.shape == (len(rows), len(labels))
        return assess(encoder, rows, *more)

    monkeypatch.setattr(tuned, "assess", spy)
    bounds = Path(__file__).parents[2] / "accuracy/bounds.toml"
    labels = load_encoder(tiny_encoder).labels
    rows = [{"text": text, "labels": [labels[number % len(labels)]]} for number, text in enumerate(TEXTS)]
    corpus_file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = ["tune", tiny_encoder, "--corpus", corpus_file, "--out", tmp_path / "recipe.toml", "--tries", 2]
    result = run_driftgate(*command, "--cost", "size", "--cost-at-most", 3, "--bounds", bounds)
    assert result.exit_code == 0, result.output
    *searched, judged = asked
    assert len(set(searched)) == 1
    assert not set(searched[0]) & set(judged)


def test_the_command_writes_a_recipe_that_says_what_the_search_saw(
    tiny_encoder: Path, warm_cache: Path, corpus_file: Path, tmp_path: Path
) -> None:
    out = tmp_path / "kept.toml"
    result = run_driftgate(
        *("tune", tiny_encoder, "--corpus", corpus_file, "--out", out),
        *("--tries", 4, "--cost", "size", "--cost-at-most", 4, "--threads", 1),
    )
    assert result.exit_code == 0, result.output
    recipe = read_recipe(out)
    assert recipe.encoder_sha256 == load_encoder(tiny_encoder).sha256
    assert recipe.build.startswith("int8-rowwise@")
    assert recipe.search["searched_rows"] == recipe.search["judged_rows"] == 120
    assert f"onnx-int8+{out}" in result.stdout
    again = run_driftgate("tune", tiny_encoder, "--corpus", corpus_file, "--out", out)
    assert again.exit_code == 4
    assert "there is a file already" in again.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--backend", "torch"], "no matrix products that a recipe could change"),
        (["--backend", "onnx-fp32"], "no matrix products that a recipe could change"),
        (["--backend", "onnx-int8-dynamic", "--forms", "int8-range"], "can keep products in float32 or float16 only"),
        (["--forms", "int3"], "expected some of float32"),
        (["--drift-at-most", "2"], "expected a number above 0 and below 1"),
        (["--cost-at-most", "nan"], "expected a number above 1"),
        (["--cost", "money"], "expected speed or size"),
        (["--out", "recipe.txt"], "expected a name that ends in .toml"),
        (["--backend", "onnx-int8,onnx-int8-dynamic"], "tune one at a time"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    options: list[str], message: str, tiny_encoder: Path, corpus_file: Path, tmp_path: Path
) -> None:
    result = run_driftgate(
        "tune", tiny_encoder, "--corpus", corpus_file, "--out", tmp_path / "recipe.toml", *options, columns=300
    )
    assert result.exit_code == 4, result.output
    assert message in result.stderr


def test_rows_too_few_to_split_are_refused() -> None:
    with pytest.raises(CorpusError, match="expected at least 198 different texts"):
        Halves.of(replace(CORPUS, texts=("same",) * len(TEXTS)))


def test_equal_texts_are_never_in_both_halves() -> None:
    halves = Halves.of(replace(CORPUS, texts=TEXTS[:200] + TEXTS[:40]))
    searched, judged = ({(TEXTS[:200] + TEXTS[:40])[row] for row in rows} for rows in (halves.searched, halves.judged))
    assert not searched & judged


def test_a_recipe_of_a_recipe_is_refused(tiny_encoder: Path, corpus_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    write_recipe(path, Recipe("onnx-int8", {}), "tiny", "")
    result = run_driftgate(
        *("tune", tiny_encoder, "--corpus", corpus_file, "--out", tmp_path / "other.toml"),
        *("--backend", f"onnx-int8+{path}"),
    )
    assert result.exit_code == 4
    assert "expected one backend without a recipe" in result.stderr


def test_the_front_has_what_no_other_candidate_beats_thinned_out_evenly() -> None:
    class Point:
        def __init__(self, cost: float, drift: float) -> None:
            self.cost, self.drift = cost, drift

    points = [Point(cost, 1 / cost) for cost in range(1, 21)]
    beaten = [Point(cost, 2 / cost) for cost in range(1, 21)]
    cost_of: Callable[[Point], float] = lambda point: point.cost  # noqa: E731
    assert find_front([*beaten, *points], cost_of, 30) == points
    thinned = find_front([*beaten, *points], cost_of, 5)
    assert thinned[0] is points[0]
    assert thinned[-1] is points[-1]
    assert len(thinned) == 5
