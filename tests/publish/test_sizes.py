"""The report of sizes: shared weights once, the naive export as large as it is, and where the bytes are."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest
from command_line import run_driftgate
from safetensors import safe_open
from tiny_encoders import FAMILIES, make_encoder

from driftgate.backends import REGISTRY
from driftgate.builder import export
from driftgate.builder.build import build_artifact
from driftgate.errors import BuildError, OptionError
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.onnx_graph.graph_parts import OTHER, PARTS, count_part_bytes, count_stored_bytes, part_of
from driftgate.pipeline import choose_backends
from driftgate.publish.sizes import DEFAULT_FORMS, NAIVE, WEIGHTS, Form, Sizes, measure_sizes, render_sizes

FP32 = choose_backends("onnx-fp32")
REFUSED = 4


@pytest.fixture(scope="module")
def albert(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """Two layers that are one."""
    return load_encoder(make_encoder(tmp_path_factory.mktemp("sizes") / "albert", "albert"))


@pytest.fixture(scope="module")
def roberta(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """Two layers of their own."""
    return load_encoder(make_encoder(tmp_path_factory.mktemp("sizes") / "roberta"))


def forms_of(sizes: Sizes) -> dict[str, Form]:
    return {form.name: form for form in sizes.forms}


def stored_shapes(encoder: Encoder) -> dict[str, list[int]]:
    (path,) = encoder.weights
    with safe_open(path, framework="np") as tensors:
        return {name: tensors.get_slice(name).get_shape() for name in tensors.keys()}  # noqa: SIM118


# What is counted


def test_shared_weights_are_counted_once_in_torch_and_as_often_as_they_are_used_in_a_naive_export(
    albert: Encoder, warm_cache: Path
) -> None:
    sizes = measure_sizes(albert, FP32)
    found = forms_of(sizes)
    shapes = stored_shapes(albert)
    assert sizes.parameters == sum(map(math.prod, shapes.values()))
    matrices = [
        shape for name, shape in shapes.items() if "albert_layers" in name and len(shape) == 2
    ]  # torch transposes them for every layer that reads them
    again = 4 * sum(map(math.prod, matrices))
    repeated, once = (sum(found[name].parts.values()) for name in (NAIVE, "onnx-fp32"))
    assert repeated - once == pytest.approx(again, rel=0.03)  # and equal biases, zeros all, once
    assert found[NAIVE].size_bytes > 1.2 * found["onnx-fp32"].size_bytes
    assert found[NAIVE].parts["attention"] > 1.8 * found["onnx-fp32"].parts["attention"]


def test_where_nothing_is_shared_a_naive_export_is_as_large_as_any(roberta: Encoder, warm_cache: Path) -> None:
    sizes = measure_sizes(roberta, FP32)
    found = forms_of(sizes)
    assert sum(found[NAIVE].parts.values()) == pytest.approx(sizes.parameter_bytes, rel=0.02)
    # Untrained biases are all zeros, hence equal, hence stored once.
    assert sum(found["onnx-fp32"].parts.values()) == pytest.approx(sizes.parameter_bytes, rel=0.02)


def test_parts_and_graph_are_the_whole_file_and_int8_a_quarter_of_each(roberta: Encoder, warm_cache: Path) -> None:
    found = forms_of(measure_sizes(roberta, choose_backends("onnx-fp32,onnx-int8,onnx-int8-dynamic")))
    for name, form in found.items():
        assert form.graph_bytes > 0, name
        assert form.size_bytes == sum(form.parts.values()) + form.graph_bytes, name
        assert form.parts[OTHER] < 0.02 * form.size_bytes, name
    full = found["onnx-fp32"].parts
    assert full == pytest.approx(found[WEIGHTS].parts, rel=0.05, abs=200)
    for name in ("onnx-int8", "onnx-int8-dynamic"):
        for part in ("embeddings", "attention", "feed-forward"):
            assert 0.24 * full[part] < found[name].parts[part] < 0.45 * full[part], (name, part)


def test_the_size_of_a_backend_is_that_of_its_files(roberta: Encoder, warm_cache: Path) -> None:
    for form in measure_sizes(roberta, choose_backends("onnx-fp32,onnx-int8-dynamic")).forms[2:]:
        assert form.size_bytes == build_artifact(roberta, REGISTRY[form.name]).size_bytes


@pytest.mark.parametrize("family", FAMILIES)
def test_every_weight_of_a_family_has_a_part(family: str, tmp_path: Path) -> None:
    encoder = load_encoder(make_encoder(tmp_path / family, family))
    parts = count_stored_bytes(encoder.weights)
    assert list(parts) == list(PARTS)
    for part in ("embeddings", "attention", "feed-forward", "head"):
        assert parts[part], part
    unknown = [name for name in stored_shapes(encoder) if part_of(name) is None]
    assert not unknown, unknown


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("roberta.embeddings.LayerNorm.weight", "embeddings"),
        ("/albert/encoder/embedding_hidden_mapping_in/MatMul_output_0", "embeddings"),
        ("deberta.encoder.rel_embeddings.weight", "embeddings"),
        ("deberta.encoder.LayerNorm.weight", "embeddings"),
        ("/roberta/encoder/layer.11/attention/output/LayerNorm/Add_1_output_0", "attention"),
        ("distilbert.transformer.layer.0.sa_layer_norm.bias", "attention"),
        ("/roberta/encoder/layer.0/output/dense/MatMul", "feed-forward"),
        ("albert.encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.weight", "feed-forward"),
        ("/bert/pooler/dense/Gemm_output_0", "head"),
        ("pre_classifier.weight", "head"),
        ("onnx::MatMul_1123", None),
        ("SkipLayerNorm_3", None),
        ("/roberta/Sub", None),
    ],
)
def test_a_part_is_read_from_a_path(path: str, part: str | None) -> None:
    assert part_of(path) == part


def test_pickled_weights_that_share_storage_count_once(tmp_path: Path) -> None:
    import torch

    weight = torch.zeros(10, 10)
    torch.save(
        {"a.embeddings.weight": weight, "b.embeddings.weight": weight, "classifier.bias": torch.ones(3)},
        path := tmp_path / "w.bin",
    )
    assert count_stored_bytes([path]) == dict.fromkeys(PARTS, 0) | {"embeddings": 400, "head": 12}


def test_external_data_is_counted_and_not_read(tmp_path: Path) -> None:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    node = helper.make_node(
        "MatMul", ["x", "onnx::MatMul_1"], ["/bert/encoder/layer.0/attention/query/MatMul_output_0"]
    )
    ports = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", node.output[0]))
    graph = helper.make_graph(
        [node],
        "g",
        [next(ports)],
        [next(ports)],
        [numpy_helper.from_array(np.ones((40, 40), np.float32), "onnx::MatMul_1")],
    )
    model = helper.make_model(graph)
    onnx.save(model, tmp_path / "model.onnx", save_as_external_data=True, location="model.onnx_data")
    (tmp_path / "model.onnx_data").unlink()
    assert count_part_bytes(tmp_path / "model.onnx")["attention"] == 6400


# How it is built


def test_the_naive_export_is_weighed_once_and_not_kept(
    albert: Encoder, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = measure_sizes(albert, ())
    (entry,) = (path for path in empty_cache.iterdir() if path.is_dir())
    assert [path.name for path in entry.iterdir()] == ["manifest.json"]
    monkeypatch.setattr(export, "export_repeating", refuse)
    assert measure_sizes(albert, ()) == before
    with pytest.raises(BuildError, match="exported again"):
        measure_sizes(albert, (), rebuild=True)


def refuse(encoder: Encoder, target: Path, *, opset: int) -> NoReturn:
    target.write_bytes(b"half of a graph")
    raise BuildError("exported again")


def test_a_naive_export_that_fails_leaves_nothing(
    albert: Encoder, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    def fail(*_: object, f: str, **__: object) -> NoReturn:
        Path(f).write_bytes(b"half of a graph")
        raise RuntimeError("tracing failed")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(BuildError, match=r"albert: torch cannot export .* in opset 18: tracing failed"):
        measure_sizes(albert, ())
    assert [path for path in empty_cache.rglob("*") if path.suffix != ".lock"] == []


@pytest.mark.parametrize("name", ["torch", "torch-compile"])
def test_a_backend_without_files_has_no_size(name: str, roberta: Encoder, warm_cache: Path) -> None:
    with pytest.raises(OptionError, match=f"{name}: no files to measure; choose backends with build steps"):
        measure_sizes(roberta, choose_backends(name))


def test_every_default_form_is_a_backend_with_files() -> None:
    assert all(spec.steps for spec in choose_backends(DEFAULT_FORMS))


# How it is shown


SIZES = Sizes(
    "tiny",
    1_000_000,
    18,
    (
        Form(WEIGHTS, 4_001_000, {"embeddings": 3_000_000, "head": 1_000_000}),
        Form(NAIVE, 8_000_000, {"embeddings": 3_000_000, "head": 4_900_000}),
        Form("onnx-int8", 1_050_000, {"embeddings": 750_000, "head": 250_000}),
    ),
)


def test_the_table_has_megabytes_and_ratios() -> None:
    table = render_sizes(SIZES, 100)
    assert table.startswith("sizes of tiny\n1,000,000 parameters, shared ones counted once: 4.00 MB in float32\n")
    assert row(table, "torch weights") == ["4.00", "1.00", "0.50", "3.00", "1.00", "0.00"]
    assert row(table, "naive export") == ["8.00", "2.00", "1.00", "3.00", "4.90", "0.10"]
    assert row(table, "onnx-int8") == ["1.05", "0.26", "0.13", "0.75", "0.25", "0.05"]
    assert "without its search for" in table.replace("\n", " ")
    assert max(map(len, table.splitlines())) <= 100


def row(table: str, name: str) -> list[str]:
    """The numbers of a form in both tables."""
    whole, parts = (line for line in table.splitlines() if line.startswith(f" {name} "))
    return [number for line in (whole, parts) for number in line.removeprefix(f" {name}").split()]


def test_json_has_bytes_and_the_same_ratios() -> None:
    described = json.loads(json.dumps(SIZES.describe()))
    assert (described["parameters"], described["parameter_bytes"], described["opset"]) == (1_000_000, 4_000_000, 18)
    assert described["forms"][2] == {
        "name": "onnx-int8",
        "size_bytes": 1_050_000,
        "parts": {"embeddings": 750_000, "head": 250_000},
        "graph_bytes": 50_000,
        "ratio_to_parameters": 0.2625,
        "ratio_to_naive": 0.13125,
    }


# The command


@pytest.fixture
def command(albert: Encoder, warm_cache: Path) -> Callable[..., Any]:
    return partial(run_driftgate, "sizes", albert.path)


def test_the_command_shows_every_form(command: Callable[..., Any]) -> None:
    result = command()
    assert result.exit_code == 0, result.output
    names = [WEIGHTS, NAIVE, *DEFAULT_FORMS.split(",")]
    assert all(len(row(result.stdout, name)) == 9 for name in names), result.stdout


def test_json_is_all_there_is_on_standard_output(command: Callable[..., Any]) -> None:
    result = command("--backends", "onnx-fp32", "--json")
    assert result.exit_code == 0, result.output
    assert [form["name"] for form in json.loads(result.stdout)["forms"]] == [WEIGHTS, NAIVE, "onnx-fp32"]


def test_the_sizes_are_those_of_the_files_that_build_writes(
    command: Callable[..., Any], albert: Encoder, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run_driftgate("build", albert.path, "--backends", "onnx-fp16", "--out", out)
    result = command("--backends", "onnx-fp16")
    assert f"{(out / 'model.onnx').stat().st_size / 1e6:.2f}" == row(result.stdout, "onnx-fp16")[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--backends", "torch"), "torch: nothing to build"),
        (("--text-column", "body"), "--text-column 'body': it names a column of the file of --calibration"),
    ],
    ids=["no-files", "a-column-of-nothing"],
)
def test_what_has_no_size_is_refused(arguments: tuple[str, ...], words: str, command: Callable[..., Any]) -> None:
    result = command(*arguments)
    assert result.exit_code == REFUSED
    assert words in result.stderr
