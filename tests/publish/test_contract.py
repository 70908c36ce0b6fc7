"""What is published is loaded by the clients that people use, and gives them the scores of `driftgate predict`."""

import ast
import contextlib
import io
import json
import math
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from os import cpu_count
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from command_line import run_driftgate
from optional import NO_OPTIMUM
from untimed import made_up_speed

from driftgate.assessor import find_bounds
from driftgate.backends import REGISTRY
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import load_encoder
from driftgate.judge.accuracy_verdicts import NotShown
from driftgate.publish import publication as publish_module
from driftgate.publish.acceptance import Trial
from driftgate.publish.layout import Layout, place_of
from driftgate.publish.publication import publish
from driftgate.run.device import RunSettings

BACKENDS = ("onnx-fp32", "onnx-fp16", "onnx-int8")
TEXTS = ("what a game! nobody saw that coming", "ok", "thank you so much, this made my day and the bus was late again")
LONG = " ".join(["the bus was late again and it rained,"] * 40)
# Clients apply the sigmoid in float32 and pad otherwise: both are rounding of float32. What INT8 does to a text does not depend
# on its batch (rows are scaled on their own), so it needs no more.
TOLERANCE = 1e-5

Scores = list[dict[str, float]]


@pytest.fixture(scope="module")
def published(tiny_encoder: Path, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`hub`: all in hub layout; `folders`: a folder each."""
    place = tmp_path_factory.mktemp("contract")
    encoder = load_encoder(tiny_encoder)
    corpus = Corpus("mine", TEXTS, tuple("abc"), labels=None)
    # Random weights decide by a hair: they are held to nothing here.
    loose = {key: replace(bound, limit=math.inf) for key, bound in find_bounds(None)[-1].items()}
    trial = Trial(corpus, [loose], RunSettings(1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIFTGATE_CACHE", str(shared_cache))
        patch.setattr(publish_module, "measure_speed", made_up_speed)
        specs = [REGISTRY[name] for name in BACKENDS]
        publish(encoder, specs, place / "hub", trial, layout=Layout.HUB)
        publish(encoder, specs, place / "folders", trial)
        yield place


@pytest.fixture(scope="module")
def optimum() -> ModuleType:
    """Optimum's clients; importing them warns about parts of torch and of itself, which its users see too."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("optimum.onnxruntime", reason=NO_OPTIMUM, exc_type=ImportError)


def predict(folder: Path, backend: str, texts: tuple[str, ...]) -> Scores:
    """The scores of `driftgate predict`."""
    result = run_driftgate("predict", folder, "--backend", backend, "--json", *texts)
    assert result.exit_code == 0, result.output
    return [json.loads(line)["probabilities"] for line in result.stdout.splitlines()]


def place(published: Path, layout: Layout, backend: str) -> tuple[Path, Path]:
    """The folder that clients load, and the model in it."""
    folder = published / ("hub" if layout is Layout.HUB else f"folders/{backend}")
    return folder, folder / place_of(backend, layout)


def assert_same(found: Scores, expected: Scores) -> None:
    assert len(found) == len(expected)
    for theirs, ours in zip(found, expected, strict=True):
        assert theirs == pytest.approx(ours, rel=0, abs=TOLERANCE)
    assert max(max(row.values()) for row in expected) - min(min(row.values()) for row in expected) > 0.1


by_layout = pytest.mark.parametrize("layout", Layout)
by_backend = pytest.mark.parametrize("backend", BACKENDS)


@by_backend
@by_layout
def test_optimum_in_a_transformers_pipeline_gives_the_same_scores(
    layout: Layout, backend: str, published: Path, optimum: ModuleType
) -> None:
    from transformers import AutoTokenizer, pipeline

    folder, path = place(published, layout, backend)
    model = optimum.ORTModelForSequenceClassification.from_pretrained(
        folder, subfolder=path.parent.name if layout is Layout.HUB else "", file_name=path.name
    )
    classify = pipeline("text-classification", model=model, tokenizer=AutoTokenizer.from_pretrained(folder), top_k=None)
    answers = classify([*TEXTS, LONG], truncation=True, batch_size=2)
    found = [{entry["label"]: entry["score"] for entry in answer} for answer in answers]
    assert_same(found, predict(folder, backend, (*TEXTS, LONG)))


def test_optimum_finds_a_hub_layout_file_by_its_name_alone(published: Path, optimum: ModuleType) -> None:
    model = optimum.ORTModelForSequenceClassification.from_pretrained(
        published / "hub", file_name="model_quantized.onnx"
    )
    assert model.config.num_labels == 4


@by_backend
@by_layout
def test_tokenizers_and_onnxruntime_alone_give_the_same_scores(layout: Layout, backend: str, published: Path) -> None:
    """As a published card shows it: lists of ids as input, padding taken from the tokenizer's file."""
    import onnxruntime
    from tokenizers import Tokenizer

    folder, path = place(published, layout, backend)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_padding(**{**tokenizer.padding, "length": None})
    encoded = tokenizer.encode_batch([*TEXTS, LONG])
    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = cpu_count() or 1
    session = onnxruntime.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])
    feed = {"input_ids": [one.ids for one in encoded], "attention_mask": [one.attention_mask for one in encoded]}
    logits = session.run([session.get_outputs()[0].name], feed)[0]
    labels = json.loads((folder / "config.json").read_text(encoding="utf-8"))["id2label"]
    rows = (1.0 / (1.0 + np.exp(-logits))).tolist()
    found = [{labels[str(number)]: score for number, score in enumerate(row)} for row in rows]
    assert_same(found, predict(folder, backend, (*TEXTS, LONG)))


@by_layout
def test_the_examples_of_the_card_run_and_give_the_same_scores(
    layout: Layout, published: Path, optimum: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = place(published, layout, "onnx-int8")
    card = (folder / "README.md").read_text(encoding="utf-8")
    with_optimum, alone = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    (text,) = re.findall(r'encode_batch\(\["(.*?)"\]\)', card)
    expected = predict(folder, "onnx-int8", (text,))
    monkeypatch.chdir(folder)
    (listed,) = run(with_optimum)
    assert_same([{entry["label"]: entry["score"] for entry in listed}], expected)
    assert_same([run(alone)], expected)


def run(code: str) -> Any:
    """What the code prints, as Python reads it."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "card", "exec"), {})  # noqa: S102 - our own card's
    return ast.literal_eval(printed.getvalue())


def test_an_encoder_with_segments_is_loaded_by_the_same_means(
    make_tiny_encoder: Callable[..., Path], warm_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BERT takes token_type_ids, and one label of several is right: the card feeds the one and normalizes the other."""
    monkeypatch.setattr(publish_module, "measure_speed", made_up_speed)
    source = make_tiny_encoder(tmp_path / "source", "bert", problem_type="single_label_classification")
    encoder = load_encoder(source)
    trial = Trial(Corpus("mine", TEXTS, tuple("abc"), labels=None), find_bounds(None), RunSettings(1), NotShown.WARN)
    folder = publish(encoder, [REGISTRY["onnx-fp32"]], tmp_path / "out", trial).folders["onnx-fp32"]
    card = (folder / "README.md").read_text(encoding="utf-8")
    _, alone = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    assert "type_ids" in alone
    (text,) = re.findall(r'encode_batch\(\["(.*?)"\]\)', card)
    with contextlib.chdir(folder):
        assert_same([run(alone)], predict(folder, "onnx-fp32", (text,)))
