"""The table of backends, and how a list of them is read."""

from dataclasses import replace
from pathlib import Path

import pytest

from driftgate.backends import (
    CLASS_KEYS,
    DEFAULT_BACKENDS,
    PRECISION_CLASSES,
    REGISTRY,
    BackendSpec,
    Precision,
    Runtime,
)
from driftgate.errors import OptionError, UnknownBackendError
from driftgate.inputs.backend_names import name_promises, parse_backends
from driftgate.pipeline import bounds_keys
from driftgate.run.device import Device, RunSettings


def test_backends_come_in_the_order_given() -> None:
    specs = parse_backends("onnx-fp16,torch,onnx-fp32")
    assert [spec.name for spec in specs] == ["onnx-fp16", "torch", "onnx-fp32"]


def test_spaces_and_trailing_commas_do_not_matter() -> None:
    assert parse_backends(" torch , onnx-fp32,") == parse_backends("torch,onnx-fp32")


def test_a_known_name_gives_the_registered_backend() -> None:
    assert parse_backends("onnx-fp16") == (REGISTRY["onnx-fp16"],)


def test_a_given_registry_is_the_one_that_counts() -> None:
    registry = {"half-head": replace(REGISTRY["onnx-fp16"], name="half-head")}
    assert parse_backends("half-head", registry) == (registry["half-head"],)
    with pytest.raises(UnknownBackendError, match="known: half-head"):
        parse_backends("torch", registry)


def test_every_default_backend_is_registered() -> None:
    assert parse_backends(",".join(DEFAULT_BACKENDS)) == tuple(REGISTRY[name] for name in DEFAULT_BACKENDS)


def test_every_backend_is_registered_under_its_own_name() -> None:
    assert [spec.name for spec in REGISTRY.values()] == list(REGISTRY)


@pytest.mark.parametrize("text", ["", " ", ",", " , "], ids=["nothing", "space", "comma", "spaced-comma"])
def test_an_empty_list_is_refused_with_the_known_names(text: str) -> None:
    with pytest.raises(OptionError, match=r"no backend.*torch, torch-compile, onnx-fp32"):
        parse_backends(text)


def test_every_name_given_twice_is_named() -> None:
    with pytest.raises(OptionError, match="given twice: onnx-fp32, torch;"):
        parse_backends("torch,onnx-fp32,onnx-fp16,torch,onnx-fp32")


def test_a_published_artifact_given_twice_is_refused() -> None:
    with pytest.raises(OptionError, match="given twice: mine"):
        parse_backends("mine=a.onnx,mine=b.onnx")


def test_every_unknown_name_is_listed() -> None:
    with pytest.raises(UnknownBackendError, match="'onnx-fp31', 'tensorrt'"):
        parse_backends("onnx-fp31,torch,tensorrt")


def test_an_unknown_name_is_answered_with_the_known_ones_and_the_form_for_artifacts() -> None:
    with pytest.raises(UnknownBackendError) as refusal:
        parse_backends("onnx-fp31")
    for word in (*REGISTRY, "NAME=PATH"):
        assert word in str(refusal.value)


def test_a_published_artifact_without_a_class_leaves_it_to_its_graph() -> None:
    (spec,) = parse_backends("mine=models/model.onnx")
    assert spec == BackendSpec("mine", Precision.FROM_GRAPH, Runtime.ONNXRUNTIME, published=Path("models/model.onnx"))


@pytest.mark.parametrize("precision", PRECISION_CLASSES)
def test_a_published_artifact_takes_the_class_it_is_given(precision: Precision) -> None:
    (spec,) = parse_backends(f"mine:{precision}=model.onnx")
    assert (spec.name, spec.precision) == ("mine", precision)


def test_a_path_may_hold_equals_signs_colons_and_spaces() -> None:
    (spec,) = parse_backends("mine=C:/my models/lr=1e-5/model.onnx")
    assert spec.published == Path("C:/my models/lr=1e-5/model.onnx")


@pytest.mark.parametrize("text", ["mine=", "mine = ", "mine:fp32="], ids=["bare", "spaced", "with-class"])
def test_a_published_artifact_without_a_path_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        parse_backends(text)


def test_a_missing_path_is_called_missing() -> None:
    with pytest.raises(OptionError, match="'mine=': no path"):
        parse_backends("mine=")


@pytest.mark.parametrize("text", ["onnx-fp32=model.onnx", "onnx-fp32:fp32=model.onnx"], ids=["bare", "with-class"])
def test_a_registered_name_cannot_be_reused_for_a_published_artifact(text: str) -> None:
    with pytest.raises(OptionError, match="'onnx-fp32' is a backend that driftgate builds"):
        parse_backends(text)


@pytest.mark.parametrize("name", ["fp8", "", "from-graph", "FP32"], ids=["unknown", "empty", "internal", "upper-case"])
def test_an_unknown_precision_class_is_answered_with_the_known_ones(name: str) -> None:
    with pytest.raises(OptionError, match=f"class '{name}'.*fp32, fp16, int8-dynamic, int8-static"):
        parse_backends(f"mine:{name}=model.onnx")


@pytest.mark.parametrize(
    ("name", "promise"),
    [
        ("onnx-fp32", "fp32"),
        ("model-float32", "fp32"),
        ("onnx-fp16", "fp16"),
        ("model-float16", "fp16"),
        ("onnx-int8-dynamic", "int8"),
        ("model-quantized", "int8"),
        ("model-q4", "int4"),
        ("artifact-model-q4f16", "int4"),
        ("onnx-uint4-fp16", "int4"),
        ("model-bnb4", "float4"),
        ("their-nf4", "float4"),
        ("fp4-fp16", "float4"),
        ("seq4cls", None),
        ("conf4", None),
        ("torch", None),
        ("mine", None),
    ],
)
def test_a_name_promises_the_precision_it_mentions(name: str, promise: str | None) -> None:
    assert name_promises(name) == promise


@pytest.mark.parametrize("name", ["onnx-fp32", "v1.2", "7b", "a"])
def test_lower_case_letters_digits_dots_and_hyphens_make_a_name(name: str) -> None:
    assert BackendSpec(name, Precision.FP32, Runtime.ONNXRUNTIME).name == name


@pytest.mark.parametrize(
    "name",
    ["", "ONNX", "a b", "a=b", "a:b", "a,b", "a/b", "a[b]", "a_b", "a\tb", "a\n", "a\\b", "..", "-a", "größe"],
    ids=ascii,
)
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(OptionError, match="expected lower-case letters, digits, dots and hyphens"):
        BackendSpec(name, Precision.FP32, Runtime.ONNXRUNTIME)


CLASS_NAMES = [f"{precision}{suffix}" for precision in Precision for suffix in ("", "-cpu", "-cuda")]
CLASS_NAMES += [f"{name}-single-label" for name in CLASS_NAMES]


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_no_backend_is_called_like_a_class_whose_bounds_it_would_take(name: str) -> None:
    with pytest.raises(OptionError, match=f"backend name '{name}': it is reserved for the bounds of a precision class"):
        BackendSpec(name, Precision.FP32, Runtime.ONNXRUNTIME)
    with pytest.raises(OptionError, match="precision class"):
        parse_backends(f"{name}:fp32=model.onnx")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("precision", Precision)
def test_every_key_that_bounds_of_a_class_are_looked_up_by_is_a_class_name(precision: Precision, device: str) -> None:
    spec = BackendSpec("mine", precision, Runtime.ONNXRUNTIME)
    name, *keys = bounds_keys(spec, RunSettings(1, Device(device)), multi_label=True)
    assert name == "mine"
    assert set(keys) <= CLASS_KEYS == set(CLASS_NAMES)


def test_bounds_of_single_label_encoders_go_before_those_for_all() -> None:
    spec = BackendSpec("mine", Precision.FP16, Runtime.ONNXRUNTIME)
    assert bounds_keys(spec, RunSettings(1), multi_label=False) == (
        "mine-single-label", "mine", "fp16-cpu-single-label", "fp16-cpu", "fp16-single-label", "fp16",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["fp32-", "fp32.", "checkpoint-", "-fp32"])
def test_no_name_is_a_class_and_a_mark_more(name: str) -> None:
    with pytest.raises(OptionError, match="none of the last two at either end"):
        BackendSpec(name, Precision.FP32, Runtime.ONNXRUNTIME)


def test_no_backend_passes_for_what_it_is_compared_with() -> None:
    """Its own answers would stand on both sides of every comparison of quality."""
    with pytest.raises(OptionError, match="backend name 'reference': it is reserved for torch in the results"):
        parse_backends("torch,reference=model.onnx")
