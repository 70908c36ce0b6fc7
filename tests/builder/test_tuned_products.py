"""Recipes: products in other forms than their backend's own, with the same bits in any company."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors.torch import load_file, save_file
from tiny_encoders import SENTENCES

from driftgate.arrays import Logits
from driftgate.builder.artifact import read_manifest
from driftgate.builder.build import build_artifact, tunable_step
from driftgate.errors import BuildError, OptionError
from driftgate.inputs.backend_names import parse_backends
from driftgate.inputs.batches import ArrivalPlan, BudgetPlan
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.recipe import Form, Recipe, read_recipe, write_recipe
from driftgate.inputs.tokens import tokenize
from driftgate.pipeline import choose_backends, open_backend
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings

TEXTS = (*SENTENCES, *(sentence[:length] for length, sentence in enumerate(SENTENCES, 4)))
VALUE = "roberta.encoder.layer.1.attention.self.value"
DOWN = "roberta.encoder.layer.0.output.dense"
TABLE = "roberta.embeddings.word_embeddings"
ONE_THREAD = RunSettings(1)
PLAN = ArrivalPlan(4)


@pytest.fixture
def encoder(tiny_encoder: Path, warm_cache: Path) -> Encoder:
    return load_encoder(tiny_encoder)


def save(path: Path, forms: Mapping[str, str], backend: str = "onnx-int8", **more: str) -> Path:
    write_recipe(path, Recipe(backend, {name: Form(form) for name, form in forms.items()}, **more), "tiny", "A test's.")
    return path


def answer(encoder: Encoder, backend: str, plan: ArrivalPlan | BudgetPlan = PLAN) -> Logits:
    return predict(open_backend(encoder, backend, ONE_THREAD), tokenize(encoder, TEXTS), plan)


def operators(encoder: Encoder, backend: str) -> Counter[str]:
    (spec,) = choose_backends(backend)
    return Counter(node.op_type for node in onnx.load(build_artifact(encoder, spec).model).graph.node)


@pytest.mark.parametrize("form", Form)
def test_a_row_wise_text_answers_with_the_same_bits_in_any_company_under_every_form(
    form: Form, encoder: Encoder, tmp_path: Path
) -> None:
    forms = {VALUE: form} if form is Form.SMOOTH else {VALUE: form, DOWN: form}
    backend = f"onnx-int8+{save(tmp_path / 'recipe.toml', forms)}"
    plain, tuned = operators(encoder, "onnx-int8"), operators(encoder, backend)
    assert plain != tuned
    left = plain["MatMulIntegerToFloat"] - tuned["MatMulIntegerToFloat"]
    assert left == (0 if form in (Form.RANGE, Form.SMOOTH) else 2)
    alone = answer(encoder, backend, ArrivalPlan(1))
    for plan in (ArrivalPlan(3), ArrivalPlan(len(TEXTS)), BudgetPlan(64)):
        assert np.array_equal(answer(encoder, backend, plan), alone)
    assert np.abs(alone - answer(encoder, "onnx-fp32")).max() < 0.5
    assert form is Form.SMOOTH or not np.array_equal(alone, answer(encoder, "onnx-int8"))  # all gains are 1


def test_smoothing_moves_the_gains_of_outlier_channels_to_the_weights(
    copy_encoder: Callable[..., Path], warm_cache: Path, tmp_path: Path
) -> None:
    folder = copy_encoder()
    weights = load_file(folder / "model.safetensors")
    for name in ("weight", "bias"):
        weights[f"roberta.encoder.layer.0.output.LayerNorm.{name}"][5] = 40.0
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    encoder = load_encoder(folder)
    forms = {VALUE.replace("value", name): "int8-smooth" for name in ("query", "key", "value")}
    exact = answer(encoder, "onnx-fp32")
    plain = np.abs(answer(encoder, "onnx-int8") - exact).mean()
    smooth = np.abs(answer(encoder, f"onnx-int8+{save(tmp_path / 'recipe.toml', forms)}") - exact).mean()
    assert 0 < smooth < plain


@pytest.mark.parametrize("backend", ["onnx-int8", "onnx-int8-dynamic", "onnx-int8-dynamic-per-tensor"])
def test_with_everything_in_float32_the_answers_are_float32s(backend: str, encoder: Encoder, tmp_path: Path) -> None:
    attention = [f"attention.{name}" for name in ("self.query", "self.key", "self.value", "output.dense")]
    products = [
        f"roberta.encoder.layer.{layer}.{name}"
        for layer in range(2)
        for name in (*attention, "intermediate.dense", "output.dense")
    ]
    tables = [f"roberta.embeddings.{name}_embeddings" for name in ("word", "position")]
    others = ["roberta.embeddings.token_type_embeddings", "classifier.dense", "classifier.out_proj"]
    forms = dict.fromkeys([*products, *tables, *(others if backend != "onnx-int8" else [])], "float32")
    tuned = f"{backend}+{save(tmp_path / 'recipe.toml', forms, backend)}"
    exact = answer(encoder, "onnx-fp32")
    assert np.abs(answer(encoder, tuned) - exact).max() < 1e-5
    assert np.abs(answer(encoder, backend) - exact).max() > 1e-3


def test_float16_is_half_the_size_of_float32(encoder: Encoder, tmp_path: Path) -> None:
    for backend in ("onnx-int8", "onnx-int8-dynamic"):
        sizes = {}
        for form in (Form.FLOAT16, Form.FLOAT32):
            (spec,) = choose_backends(f"{backend}+{save(tmp_path / 'recipe.toml', {TABLE: form, DOWN: form}, backend)}")
            sizes[form] = build_artifact(encoder, spec).model.stat().st_size
        stored = encoder.vocab_size * 32 + 64 * 32
        assert sizes[Form.FLOAT32] - sizes[Form.FLOAT16] == pytest.approx(2 * stored, rel=0.2)


def test_recipes_are_cached_by_content_and_noted_in_the_manifest(encoder: Encoder, tmp_path: Path) -> None:
    (first,) = choose_backends(f"onnx-int8+{save(tmp_path / 'one.toml', {VALUE: 'float32'})}")
    (second,) = choose_backends(f"onnx-int8+{save(tmp_path / 'two.toml', {VALUE: 'float32'})}")
    (other,) = choose_backends(f"onnx-int8+{save(tmp_path / 'two.toml', {VALUE: 'float16'})}")
    assert (first.name, second.name) == ("onnx-int8-one", "onnx-int8-two")
    models = [build_artifact(encoder, spec).model for spec in (first, second, other)]
    assert models[0] == models[1] != models[2]
    assert read_manifest(models[0].parent).notes["int8-rowwise"]["recipe"] == {VALUE: "float32"}
    assert first.declared == parse_backends("onnx-int8")[0].declared


@pytest.mark.parametrize(
    ("forms", "backend", "message"),
    [
        ({"roberta.encoder.layer.9.output.dense": "float32"}, "onnx-int8", "has no product roberta.encoder.layer.9"),
        ({DOWN: "int8-smooth"}, "onnx-int8", "does not read a LayerNorm"),
        ({TABLE: "int8-range"}, "onnx-int8", "is a table of embeddings; expected float32 or float16"),
        ({DOWN: "int8-range"}, "onnx-int8-dynamic", "can keep products in float32, float16"),
        ({"nobody": "float32"}, "onnx-int8-dynamic", "has no product nobody"),
    ],
)
def test_what_cannot_be_built_is_said(
    forms: dict[str, str], backend: str, message: str, encoder: Encoder, tmp_path: Path
) -> None:
    (spec,) = choose_backends(f"{backend}+{save(tmp_path / 'recipe.toml', forms, backend)}")
    with pytest.raises(BuildError, match=message):
        build_artifact(encoder, spec)


def test_a_recipe_of_another_encoder_or_build_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    (spec,) = choose_backends(f"onnx-int8+{save(path, {VALUE: 'float32'}, encoder_sha256='a' * 64)}")
    with pytest.raises(OptionError, match="made for an encoder with digest aaaaaaaaaaaa"):
        build_artifact(encoder, spec)
    (spec,) = choose_backends(f"onnx-int8+{save(path, {VALUE: 'float32'}, build='int8-rowwise@0')}")
    with pytest.raises(OptionError, match="made with build step int8-rowwise@0"):
        build_artifact(encoder, spec)
    step = tunable_step(spec)
    (spec,) = choose_backends(f"onnx-int8+{save(path, {VALUE: 'float32'}, encoder_sha256=encoder.sha256, build=step)}")
    assert build_artifact(encoder, spec).model.is_file()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("schema = 2\n", "expected schema = 1, found 2"),
        ("schema = 1\n", 'expected backend = "NAME"'),
        ("schema = 1\nbackend = 'onnx-int8-dynamic'\n", "the recipe is of backend 'onnx-int8-dynamic'"),
        (
            "schema = 1\nbackend = 'onnx-int8'\n[products]\na = 'int3'\n",
            "product 'a' is 'int3'; expected one of float32",
        ),
        ("schema = 1\nbackend = 'onnx-int8'\nproducts = 3\n", "expected tables"),
        ("schema = 1\nlayers = 1\n", "unknown layers"),
        ("= 1", "not a TOML file"),
    ],
)
def test_a_malformed_recipe_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(OptionError, match=message):
        parse_backends(f"onnx-int8+{path}")


def test_other_names_with_a_plus_sign_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="expected a recipe after the plus sign"):
        parse_backends("onnx-int8+recipe")
    with pytest.raises(OptionError, match="No such file"):
        parse_backends(f"onnx-int8+{tmp_path / 'missing.toml'}")
    recipe = save(tmp_path / "recipe.toml", {}, "onnx-fp16")
    with pytest.raises(OptionError, match="no matrix products that a recipe could change"):
        tunable_step(parse_backends(f"onnx-fp16+{recipe}")[0])


def test_a_recipe_is_read_as_it_was_written(tmp_path: Path) -> None:
    recipe = Recipe(
        "onnx-int8",
        {VALUE: Form.FLOAT16, 'odd "name"\x7f': Form.RANGE},
        "ab",
        "int8-rowwise@4",
        {"rows": 3, "drift": [0.1, 0.2], "corpus": "a\nb"},
    )
    write_recipe(tmp_path / "recipe.toml", recipe, "tiny", "two\nlines")
    assert read_recipe(tmp_path / "recipe.toml") == recipe
