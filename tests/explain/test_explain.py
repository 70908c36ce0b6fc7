"""What `driftgate explain` says of files whose faults are known."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import run_driftgate
from graph_faults import FAULTS, write_faulty
from safetensors.numpy import load_file, save_file

from driftgate.backends import REGISTRY, BackendSpec, Precision, Runtime
from driftgate.builder.build import build_artifact
from driftgate.builder.rowwise.nodes import quantize_rowwise
from driftgate.errors import ArtifactError, OptionError
from driftgate.explain.explain import explain_drift
from driftgate.explain.explanation import Explanation
from driftgate.explain.matching import match_products
from driftgate.explain.reference_calls import WatchedReference
from driftgate.explain.words import render_explanation, say
from driftgate.inputs.batches import pad_rows
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.pipeline import OpenBackends
from driftgate.results.schemas.schema_check import require_schema
from driftgate.run.device import RunSettings
from driftgate.run.torch_backend import open_reference

ONE_THREAD = RunSettings(1)
WORDS = ("thank you so much, this made my day", "the bus was late again and it rained", "ok", "what a game!")
TEXTS = tuple(f"{text} {number}" for number in range(20) for text in WORDS)
CORPUS = Corpus("words", TEXTS, tuple(f"line {row}" for row in range(len(TEXTS))), None)


@pytest.fixture
def encoder(tiny_encoder: Path, warm_cache: Path) -> Encoder:
    return load_encoder(tiny_encoder)


def explain(encoder: Encoder, spec: BackendSpec, corpus: Corpus = CORPUS) -> Explanation:
    return explain_drift(OpenBackends(encoder, ONE_THREAD), spec, corpus)


def published(path: Path) -> BackendSpec:
    return BackendSpec("theirs", Precision.FROM_GRAPH, Runtime.ONNXRUNTIME, published=path)


@pytest.mark.parametrize("backend", ["onnx-fp16", "onnx-int8", "onnx-int8-dynamic", "onnx-int8-static"])
def test_every_product_is_recognized_by_its_weights_and_no_drift_is_left_with_all_exact(
    encoder: Encoder, backend: str
) -> None:
    found = explain(encoder, REGISTRY[backend])
    assert found.without_product == ()
    assert found.without_module == ()
    assert found.matched == 3 + 2 * 6 + 2  # tables of embeddings, two layers, the head
    assert [module.name for module in found.modules if module.relative_error is None] == ["head"]
    assert found.drift > 1e-6
    assert found.float_products.drift < (1e-5 if backend != "onnx-fp16" else found.drift)
    assert all(module.apart_from_products is None for module in found.modules)


def test_own_and_inherited_errors_are_of_what_they_say(encoder: Encoder) -> None:
    found = {module.name: module for module in explain(encoder, REGISTRY["onnx-int8"]).modules}
    assert found["embeddings"].inherited_error < 1e-5  # nothing comes before it
    assert 0 < found["embeddings"].own_error == pytest.approx(found["embeddings"].relative_error, rel=0.3)
    last = found["layer 1 feed-forward"]
    assert 0 < last.own_error < last.relative_error
    assert 0 < last.inherited_error < last.relative_error


@pytest.mark.parametrize("family", ["albert", pytest.param("modernbert", marks=pytest.mark.slow)])
def test_families_are_taken_apart_too(
    family: str, make_tiny_encoder: Callable[..., Path], tmp_path: Path, warm_cache: Path
) -> None:
    encoder = load_encoder(make_tiny_encoder(tmp_path / family, family))
    found = explain(encoder, REGISTRY["onnx-int8"])
    assert found.without_product == ()
    assert found.float_products.drift < 1e-5 < found.drift
    assert {"layer 0 attention", "layer 1 feed-forward", "head"} <= {module.name for module in found.modules}


@pytest.mark.parametrize(("kind", "quantized"), [*((kind, True) for kind in FAULTS), ("the other form of GELU", False)])
def test_an_injected_fault_is_named_first_or_second(
    kind: str, quantized: bool, encoder: Encoder, tmp_path: Path
) -> None:
    source = build_artifact(encoder, REGISTRY["onnx-fp32"]).model
    faulty, file = tmp_path / "faulty.onnx", tmp_path / "model.onnx"
    module = write_faulty(source, faulty, FAULTS[kind], "roberta.encoder.layer.1")
    if quantized:
        quantize_rowwise(faulty, file)
    found = explain(encoder, published(file if quantized else faulty))
    assert any(module in line for line in say(found)[:2]), say(found)
    assert module in [each.name for each in found.modules[:2]]


@pytest.mark.parametrize("kind", ["the scale of one product", "a dead head"])
def test_a_fault_of_weights_is_not_taken_for_one_of_functions_elsewhere(
    kind: str, make_tiny_encoder: Callable[..., Path], tmp_path: Path, warm_cache: Path
) -> None:
    folder = make_tiny_encoder(tmp_path / "bert", "bert")
    tensors = load_file(folder / "model.safetensors")
    for name in [name for name in tensors if name.endswith("attention.self.value.bias")]:
        # A constant that is as small as an error may be.
        tensors[name] = np.resize(np.array([-1e-3, 0, 1e-3], np.float32), tensors[name].shape)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    encoder = load_encoder(folder)
    source = build_artifact(encoder, REGISTRY["onnx-fp32"]).model
    faulty, file = tmp_path / "faulty.onnx", tmp_path / "model.onnx"
    module = write_faulty(source, faulty, FAULTS[kind], "bert.encoder.layer.0")
    quantize_rowwise(faulty, file)
    found = explain(encoder, published(file))
    # What attention's bias becomes behind a dead head is the module's own.
    assert {each.name for each in found.modules if each.apart_from_products is not None} <= {module}


def test_the_worst_rows_are_named_by_id_with_tokens_and_without_texts(encoder: Encoder) -> None:
    found = explain(encoder, REGISTRY["onnx-int8-dynamic"])
    assert found.worst_rows[0].drift == pytest.approx(found.largest, rel=0.5)
    assert {row.row for row in found.worst_rows} <= set(CORPUS.row_ids)
    shown = render_explanation(found, 100)
    assert found.worst_rows[0].row in shown
    assert not any(text in shown for text in TEXTS if len(text) > 20)


def test_products_without_names_are_recognized_by_their_weights(encoder: Encoder, tmp_path: Path) -> None:
    model = onnx.load(build_artifact(encoder, REGISTRY["onnx-int8-dynamic"]).model)
    for node in model.graph.node:
        node.name = ""
    (batch,) = [pad_rows(tokenize(encoder, TEXTS[:2]), (0, 1))]
    calls = WatchedReference(open_reference(encoder, ONE_THREAD), batch).calls
    assert match_products(model, calls).without_product == ()


def test_a_backend_without_a_graph_is_refused(encoder: Encoder) -> None:
    with pytest.raises(OptionError, match=r"torch: there is no ONNX graph to explain.*onnx-int8"):
        explain(encoder, REGISTRY["torch"])


def test_a_file_of_another_encoder_is_refused(
    encoder: Encoder, make_tiny_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    other = load_encoder(make_tiny_encoder(tmp_path / "other", "roberta", seed=7))
    file = build_artifact(other, REGISTRY["onnx-int8"]).model
    with pytest.raises(ArtifactError, match="none has the weights of one"):
        explain(encoder, published(file))


def test_the_command_prints_a_table_and_writes_json(tiny_encoder: Path, warm_cache: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "texts.jsonl"
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    out = tmp_path / "explain.json"
    result = run_driftgate("explain", tiny_encoder, "--corpus", corpus, "--backend", "onnx-int8", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert "layer 1 attention" in result.stdout
    written = json.loads(out.read_text(encoding="utf-8"))
    require_schema(written, "explanation", "explain.json")
    assert written["summary"][0] in result.stdout.replace("\n", " ")
    assert written["encoder_sha256"] == load_encoder(tiny_encoder).sha256
    assert len(written["modules"]) == 6
