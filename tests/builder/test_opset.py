"""`--opset` and `--no-shape-inference`: in force, apart in the cache, refused at once where impossible; and files over 2 GB."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnx
import pytest
from command_line import run_driftgate
from optional import mark_optimum
from processor import require_exact_sums
from tiny_encoders import FAMILIES, SENTENCES, make_encoder

from driftgate.arrays import Logits
from driftgate.backends import DEFAULT_OPSET, REGISTRY, BackendSpec
from driftgate.builder import export, float16
from driftgate.builder.artifact import model_files, open_artifact, read_manifest
from driftgate.builder.build import build_artifact
from driftgate.builder.steps import STEPS, find_step
from driftgate.errors import BuildError, OptionError
from driftgate.inputs.batches import ArrivalPlan
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.onnx_graph import graph as onnx_graph
from driftgate.onnx_graph.graph import has_external_data
from driftgate.pipeline import choose_backends, open_backend
from driftgate.publish.unjudged import build
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings
from driftgate.run.open import open_backend as open_built
from driftgate.run.torch_backend import open_reference

ONE_THREAD = RunSettings(1)
LOWEST, HIGHEST = export.OPSETS.start, export.OPSETS.stop - 1
BUILT = [name for name, spec in REGISTRY.items() if spec.steps]
# As shares of the spread of logits over texts; random weights, so these are no more than "the same model".
TOLERANCE = {"onnx-fp32": 1e-4, "onnx-fp16": 0.02}


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


def at_opset(name: str, opset: int) -> BackendSpec:
    return replace(REGISTRY[name], opset=opset)


def without_inference(name: str) -> BackendSpec:
    return replace(REGISTRY[name], shape_inference=False)


def least_opset(spec: BackendSpec) -> int:
    return max([LOWEST, *(find_step(step).least_opset for step in spec.steps[1:])])


def opset_of(model: Path) -> int:
    imported = onnx.load(model, load_external_data=False).opset_import
    (version,) = (entry.version for entry in imported if entry.domain in ("", "ai.onnx"))
    return int(version)


def answers(encoder: Encoder, spec: BackendSpec, batch: int = 3) -> Logits:
    backend = open_built(encoder, spec, build_artifact(encoder, spec), ONE_THREAD)
    return predict(backend, tokenize(encoder, SENTENCES), ArrivalPlan(batch))


def reference(encoder: Encoder) -> Logits:
    return predict(open_reference(encoder, ONE_THREAD), tokenize(encoder, SENTENCES), ArrivalPlan(3))


def assert_same_model(found: Logits, expected: Logits, name: str) -> None:
    assert expected.std(axis=0).min() > 0.01, "rows that answer alike prove nothing"
    assert np.abs(found - expected).max() <= TOLERANCE.get(name, 0.5) * expected.std()


# Opset


@pytest.mark.parametrize("opset", [LOWEST, HIGHEST])
def test_a_file_is_in_the_opset_asked_for_and_answers_as_the_reference(
    opset: int, encoder: Encoder, warm_cache: Path
) -> None:
    spec = at_opset("onnx-fp32", opset)
    artifact = build_artifact(encoder, spec)
    assert opset_of(artifact.model) == opset
    exported = read_manifest(artifact.model.parent).steps[0]
    assert exported.startswith(f"export@{export.VERSION}+")
    assert exported.endswith(f":opset-{opset}")
    assert_same_model(answers(encoder, spec), reference(encoder), spec.name)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["roberta", "albert", "distilbert", "deberta-v2"])
@pytest.mark.parametrize("name", mark_optimum(BUILT))
def test_every_backend_is_as_near_the_reference_at_its_lowest_and_highest_opset_as_at_the_default(
    name: str, family: str, warm_cache: Path, tmp_path: Path
) -> None:
    encoder = load_encoder(make_encoder(tmp_path / family, family))
    expected = reference(encoder)
    usual = np.abs(answers(encoder, REGISTRY[name]) - expected).max()
    for opset in (least_opset(REGISTRY[name]), HIGHEST):
        spec = at_opset(name, opset)
        assert opset_of(build_artifact(encoder, spec).model) == opset
        assert np.abs(answers(encoder, spec) - expected).max() <= 1.25 * usual + 0.01 * expected.std()


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("opset", [LOWEST, HIGHEST])
def test_every_family_is_exported_at_either_end(opset: int, family: str, warm_cache: Path, tmp_path: Path) -> None:
    encoder = load_encoder(make_encoder(tmp_path / family, family))
    assert_same_model(answers(encoder, at_opset("onnx-fp32", opset)), reference(encoder), "onnx-fp32")


def test_a_tensor_that_several_float32_nodes_read_is_cast_once(
    empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the exponent of ALBERT's GELU is, where activations are beyond float16; ONNX Runtime loads no name twice."""
    monkeypatch.setattr(float16, "_LARGEST", 0.5)
    albert = load_encoder(make_encoder(tmp_path / "albert", "albert"))
    spec = REGISTRY["onnx-fp16"]
    assert_same_model(answers(albert, spec), reference(albert), spec.name)
    kept = read_manifest(build_artifact(albert, spec).model.parent).notes["float16"]["kept in float32 for their range"]
    assert sum("albert_layers.0.activation" in name for name in kept) > 1


@pytest.mark.parametrize("opset", [0, LOWEST - 1, HIGHEST + 1, 99])
def test_an_opset_that_nobody_writes_is_refused_before_anything_is_built(
    opset: int, encoder: Encoder, empty_cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(OptionError, match=f"opset {opset}: expected {LOWEST} to {HIGHEST}.*default is {DEFAULT_OPSET}"):
        build(encoder, "onnx-fp32", tmp_path / "out", opset=opset)
    assert not empty_cache.exists()


def test_a_step_names_the_opset_that_it_needs_before_another_backend_is_built(
    encoder: Encoder, empty_cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        OptionError, match=f"opset 17: onnx-int8 needs 18 to {HIGHEST}, because of its build step int8-rowwise"
    ):
        build(encoder, "onnx-fp32,onnx-int8", tmp_path / "out", opset=17)
    assert not empty_cache.exists()
    assert not (tmp_path / "out").exists()


def test_below_what_a_step_says_it_needs_its_file_would_be_wrong(
    encoder: Encoder, warm_cache: Path, tmp_path: Path
) -> None:
    """So the limit is one, and not a guess."""
    step = STEPS["int8-rowwise"]
    for opset in (step.least_opset, step.least_opset - 1):
        target = tmp_path / f"{opset}.onnx"
        step.apply(build_artifact(encoder, at_opset("onnx-fp32", opset)).model, target)
        model = onnx.load(target)
        del model.graph.value_info[:]
        if opset == step.least_opset:
            onnx.checker.check_model(model)
        else:
            with pytest.raises(onnx.checker.ValidationError, match="ReduceMax"):
                onnx.checker.check_model(model)


def test_opsets_are_apart_in_the_cache_and_the_default_is_where_it_was(encoder: Encoder, warm_cache: Path) -> None:
    entries = {
        opset: build_artifact(encoder, at_opset("onnx-fp32", opset)).model.parent
        for opset in (DEFAULT_OPSET - 1, DEFAULT_OPSET)
    }
    assert entries[DEFAULT_OPSET] == build_artifact(encoder, REGISTRY["onnx-fp32"]).model.parent
    assert len(set(entries.values())) == 2
    names = [step.partition("+")[0] for step in read_manifest(entries[DEFAULT_OPSET]).steps]
    assert names == [f"export@{export.VERSION}", f"optimize-basic@{STEPS['optimize-basic'].version}"]


def test_the_default_opset_is_one_that_files_are_written_in() -> None:
    assert DEFAULT_OPSET in export.OPSETS


def test_an_export_that_fails_names_architecture_and_opset(
    encoder: Encoder, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fail(*_: object, **__: object) -> NoReturn:
        raise RuntimeError("no symbolic function\nGraph: hundreds of lines")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(BuildError, match=r"'roberta' in opset 19: no symbolic function; .* as a backend, NAME=PATH$"):
        build_artifact(encoder, at_opset("onnx-fp32", 19))


# Shape inference


@pytest.fixture
def inferences(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Calls of onnx's shape inference of a whole graph."""
    seen: list[str] = []

    def note(module: Any, name: str) -> None:
        original = getattr(module, name)

        def noted(*arguments: Any, **options: Any) -> Any:
            seen.append(name)
            return original(*arguments, **options)

        monkeypatch.setattr(module, name, noted)

    note(onnx.shape_inference, "infer_shapes")
    note(onnx.shape_inference, "infer_shapes_path")
    return seen


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        pytest.param("onnx-fp32", set(), id="fp32", marks=pytest.mark.slow),
        pytest.param("onnx-fp16", {"infer_shapes"}, id="fp16"),
        pytest.param("onnx-int8", set(), id="int8", marks=pytest.mark.slow),
    ],
)
def test_without_shape_inference_none_is_done_and_files_are_apart_and_answer_as_the_reference(
    name: str, usual: set[str], encoder: Encoder, inferences: list[str], empty_cache: Path
) -> None:
    spec = without_inference(name)
    found = answers(encoder, spec)
    assert inferences == []
    assert_same_model(found, reference(encoder), name)
    entries = [build_artifact(encoder, each).model.parent for each in (REGISTRY[name], spec)]
    assert set(inferences) == usual  # so the test would have seen one
    assert (entries[0] != entries[1]) == bool(usual)
    assert read_manifest(entries[1]).steps[-1].endswith(":no-shape-inference") == bool(usual)


def test_what_onnx_runtimes_quantizer_makes_is_the_same_file_with_the_switch_and_without(
    encoder: Encoder, warm_cache: Path
) -> None:
    specs = (REGISTRY["onnx-int8-dynamic"], without_inference("onnx-int8-dynamic"))
    assert len({build_artifact(encoder, spec).model for spec in specs}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", ["onnx-fp16"])
def test_every_family_answers_as_the_reference_without_shape_inference(
    name: str, device: str, family: str, warm_cache: Path, tmp_path: Path
) -> None:
    encoder = load_encoder(make_encoder(tmp_path / family, family))
    assert_same_model(answers(encoder, without_inference(name).built_for(device)), reference(encoder), name)


# Over 2 GB


@pytest.fixture
def over_2_gb(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose limits are a millionth: protobuf refuses a message that has weights in it."""
    infer, threshold = onnx.shape_inference.infer_shapes, 5_000

    def refuse_large(model: Any, *arguments: Any, **options: Any) -> Any:
        size = len(model if isinstance(model, bytes) else model.SerializeToString())
        held = 0 if isinstance(model, bytes) else sum(len(tensor.raw_data) for tensor in model.graph.initializer)
        if held > threshold:
            raise ValueError(f"a message of {size} bytes exceeds the limit of 2 GB")
        return infer(model, *arguments, **options)

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", refuse_large)
    monkeypatch.setattr(onnx_graph, "LARGEST_FILE", threshold)


@pytest.mark.usefixtures("over_2_gb")
@pytest.mark.parametrize(
    ("name", "shape_inference"),
    [
        ("onnx-fp16", True),
        pytest.param("onnx-fp16", False, marks=pytest.mark.slow),
        ("onnx-int8", True),
        ("onnx-int8-dynamic", True),
    ],
)
def test_weights_beyond_the_limit_lie_beside_the_graph_in_every_step_and_in_what_is_written(
    name: str, shape_inference: bool, encoder: Encoder, shared_large_cache: Path, tmp_path: Path
) -> None:
    spec = replace(REGISTRY[name], shape_inference=shape_inference)
    for count in range(1, len(spec.steps) + 1):
        assert has_external_data(build_artifact(encoder, replace(spec, steps=spec.steps[:count])).model), spec.steps[
            count - 1
        ]
    folder = build(encoder, name, tmp_path / "out", shape_inference=shape_inference)[name]
    model, data = model_files(folder / "model.onnx")
    assert data.stat().st_size > model.stat().st_size / 10
    assert {model.name, data.name} <= set(read_manifest(folder).files)
    require_exact_sums(spec.precision)
    copied = open_built(encoder, spec, open_artifact(model, spec.precision), ONE_THREAD)
    found = predict(copied, tokenize(encoder, SENTENCES), ArrivalPlan(3))
    assert_same_model(found, reference(encoder), name)


@pytest.fixture(scope="module")
def large_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("large-cache")


@pytest.fixture
def shared_large_cache(large_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DRIFTGATE_CACHE", str(large_cache))
    return large_cache


# The command


@pytest.fixture
def driftgate(warm_cache: Path) -> Callable[..., Any]:
    return run_driftgate


def test_the_command_writes_the_opset_and_says_so_in_the_manifest(
    tiny_encoder: Path, driftgate: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = driftgate("build", tiny_encoder, "--backends", "onnx-fp32", "--out", out, "--opset", 17)
    assert result.exit_code == 0, result.output
    assert opset_of(out / "model.onnx") == 17
    assert json.loads((out / "manifest.json").read_text())["steps"][0].endswith(":opset-17")


def test_the_command_builds_without_shape_inference(
    tiny_encoder: Path, driftgate: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    options = ("--backends", "onnx-fp16", "--no-shape-inference")
    result = driftgate("build", tiny_encoder, "--out", out, *options)
    assert result.exit_code == 0, result.output
    assert json.loads((out / "manifest.json").read_text())["steps"][-1].endswith(":no-shape-inference")


def test_the_command_refuses_an_opset_in_less_than_a_second(
    tiny_encoder: Path, driftgate: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("exported")

    monkeypatch.setattr(export, "export_onnx", refuse)
    start = time.perf_counter()
    result = driftgate("build", tiny_encoder, "--backends", "onnx-fp32", "--out", tmp_path / "out", "--opset", 99)
    assert time.perf_counter() - start < 1
    assert result.exit_code == 4
    assert "opset 99: expected 17 to 22" in result.stderr
    assert not (tmp_path / "out").exists()


def test_an_opset_does_not_reach_what_others_published(encoder: Encoder, warm_cache: Path) -> None:
    model = build_artifact(encoder, REGISTRY["onnx-fp32"]).model
    (spec,) = choose_backends(f"theirs={model}", opset=99)
    assert open_backend(encoder, f"theirs={model}", ONE_THREAD).spec.name == spec.name == "theirs"
