"""What ONNX Runtime refuses, in words that say which file, what was expected, what was found and what to do."""

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import run_driftgate
from onnx import TensorProto, helper, numpy_helper

from driftgate.backends import REGISTRY, Step
from driftgate.builder.artifact import open_artifact
from driftgate.builder.build import build_artifact
from driftgate.builder.runtime_errors import explain
from driftgate.builder.vectors import write_vectors
from driftgate.errors import ArtifactError, BuildError
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.run.device import RunSettings
from driftgate.run.onnx_backend import open_onnx, open_session

SETTINGS = RunSettings(threads=1)
TABLE = numpy_helper.from_array(np.ones((4, 4), np.float32), "table")
MEAN = (
    helper.make_node("Cast", ["input_ids"], ["floats"], to=TensorProto.FLOAT),
    helper.make_node("ReduceMean", ["floats"], ["logits"], keepdims=1),
)


def make_model(*nodes: Any, opset: int = 18, ir: int = 10, domain: str = "", tensors: Any = (), **axes: Any) -> Any:
    inputs = {"input_ids": ["batch", "sequence"], "attention_mask": ["batch", "sequence"], **axes}
    graph = helper.make_graph(
        list(nodes or MEAN),
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        list(tensors),
    )
    opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir)


def save(path: Path, model: Any) -> None:
    path.write_bytes(model.SerializeToString())


def save_half(path: Path) -> None:
    content = make_model().SerializeToString()
    path.write_bytes(content[: len(content) // 2])


def save_external(path: Path, weights: bytes | None) -> None:
    nodes = (MEAN[0], helper.make_node("MatMul", ["floats", "table"], ["logits"]))
    onnx.save(
        make_model(*nodes, tensors=[TABLE]), path, save_as_external_data=True, size_threshold=0, location="weights.bin"
    )
    (path.parent / "weights.bin").unlink()
    if weights is not None:
        (path.parent / "weights.bin").write_bytes(weights)


LOADS: Mapping[str, tuple[Callable[[Path], object], str]] = {
    "opset": (
        lambda path: save(path, make_model(opset=40)),
        r"expected ONNX's operators up to opset \d\d, found opset 40; .*older opset",
    ),
    "IR version": (
        lambda path: save(path, make_model(ir=99)),
        r"expected IR version \d\d at most, found IR version 99; .*older onnx",
    ),
    "cut off": (save_half, "expected a whole ONNX file, found none, or one that is cut off, damaged or of another kind; fetch"),
    "not protobuf": (lambda path: path.write_text("hello"), "expected a whole ONNX file, found none, or one that is cut off"),
    "empty": (lambda path: path.write_bytes(b""), "expected a whole ONNX file, found none"),
    "no such file": (lambda path: None, "expected a whole ONNX file, found none"),
    "weights missing": (lambda path: save_external(path, None), r"its weights in .*weights\.bin, found no such file; fetch it"),
    "weights cut off": (
        lambda path: save_external(path, b"1234"),
        "expected 64 bytes of 'table' in the file of its weights, found a file of 4 bytes; fetch",
    ),
    "custom operator": (
        lambda path: save(path, make_model(helper.make_node("Sharpen", ["input_ids"], ["logits"], domain="acme"), domain="acme")),
        "expected operators that ONNX Runtime has, found acme:Sharpen; export",
    ),
    "unknown operator": (
        lambda path: save(path, make_model(helper.make_node("Sharpen", ["input_ids"], ["logits"]))),
        "expected operators that ONNX Runtime has, found Sharpen; export",
    ),
    "invalid graph": (
        lambda path: save(path, make_model(helper.make_node("Identity", ["nowhere"], ["logits"]))),
        "expected a valid graph, found nodes that do not fit together; export",
    ),
}  # fmt: skip

RUNS: Mapping[str, tuple[Any, str]] = {
    "fixed axes": (
        make_model(input_ids=[1, 8]),
        "expected the axes of 'input_ids' that the graph fixes, found others; .*dynamic batch and sequence axes",
    ),
    "shapes": (
        make_model(MEAN[0], helper.make_node("MatMul", ["floats", "table"], ["logits"]), tensors=[TABLE]),
        "expected a graph that runs on every batch, found a MatMul node that fails on this one; export",
    ),
    "ids beyond the table": (
        make_model(helper.make_node("Gather", ["table", "input_ids"], ["logits"]), tensors=[TABLE]),
        "expected a graph that runs on every batch, found a Gather node that fails on this one; export",
    ),
    "memory": (
        make_model(
            helper.make_node("ConstantOfShape", ["shape"], ["logits"]),
            tensors=[numpy_helper.from_array(np.array([1 << 20, 1 << 22]), "shape")],
        ),
        r"expected enough memory, found no room for \d+ more bytes; take smaller batches",
    ),
}


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


def assert_explains(message: str, path: Path, doing: str, pattern: str) -> None:
    """File, expected, found and what to do on one line; ONNX Runtime's own words, short and without its source, on another."""
    ours, theirs = message.splitlines()
    assert ours.startswith(f"{path}: ONNX Runtime cannot {doing} it: expected ")
    assert re.search(pattern, ours), ours
    assert re.match(r"ONNX Runtime \d+\.\d+\.\d+ says: \w", theirs)
    assert not re.search(r"onnxruntime_src|\w\.(cc|h):\d|::|ONNXRuntimeError", message), message
    assert len(theirs) < 300


@pytest.mark.parametrize("case", LOADS)
def test_a_file_that_does_not_load_is_explained(case: str, tmp_path: Path) -> None:
    write, pattern = LOADS[case]
    path = tmp_path / "model.onnx"
    write(path)
    with pytest.raises(ArtifactError) as refused:
        open_session(path, SETTINGS, "a test")
    assert_explains(str(refused.value), path, "load", pattern)


@pytest.mark.parametrize("case", RUNS)
def test_a_graph_that_fails_on_a_batch_is_explained(case: str, encoder: Encoder, tmp_path: Path) -> None:
    model, pattern = RUNS[case]
    path = tmp_path / "model.onnx"
    save(path, model)
    backend = open_onnx(encoder, REGISTRY["onnx-fp32"], open_artifact(path, REGISTRY["onnx-fp32"].precision), SETTINGS)
    ids = np.arange(10).reshape(2, 5)
    with pytest.raises(ArtifactError) as refused:
        backend.prepare(TokenBatch((0, 1), ids, np.ones_like(ids), None))()
    assert_explains(str(refused.value), path, "run", pattern)


def test_a_graph_that_takes_other_inputs_is_refused_by_their_names(encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    save(path, make_model(position_ids=["batch", "sequence"]))
    artifact = open_artifact(path, REGISTRY["onnx-fp32"].precision)
    with pytest.raises(
        ArtifactError, match=r"expected a graph that takes input_ids, .*found one that also takes position_ids"
    ):
        open_onnx(encoder, REGISTRY["onnx-fp32"], artifact, SETTINGS)


def test_predict_explains_an_opset_that_nobody_reads_yet(tiny_encoder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_encoder, tmp_path / "published", ignore=shutil.ignore_patterns("*.safetensors"))
    save(folder / "model.onnx", make_model(opset=40))
    result = run_driftgate("predict", folder, "thanks")
    assert result.exit_code == 4
    assert_explains(result.stderr.removeprefix("driftgate: "), folder / "model.onnx", "load", "found opset 40")


def test_a_build_step_that_the_runtime_refuses_is_explained(encoder: Encoder, warm_cache: Path) -> None:
    def replace_by_newer(source: Path, target: Path) -> None:
        save(target, make_model(opset=40))

    steps = ("export", Step("newer", "1", replace_by_newer), "float16")
    with pytest.raises(BuildError) as failed:
        build_artifact(encoder, replace(REGISTRY["onnx-fp32"], name="newer", steps=steps))
    assert re.match(
        r"build step 'float16' failed on \S+: \S+: ONNX Runtime cannot use it: .*, found opset 40; export .*\n"
        r"ONNX Runtime \S+ says: ",
        str(failed.value),
    )


def test_golden_vectors_of_a_graph_that_fails_are_explained(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    save(path, RUNS["shapes"][0])
    ids = np.arange(10).reshape(2, 5)
    with pytest.raises(BuildError) as failed:
        write_vectors(tmp_path, path, [{"input_ids": ids, "attention_mask": ids}])
    assert_explains(str(failed.value), path, "run", "found a MatMul node that fails")


@pytest.mark.parametrize(
    ("words", "pattern"),
    [
        ("", "expected a model that it can use, found one that it refuses; export or build it again"),
        ("std::bad_alloc", "expected enough memory, found none left"),
        (
            "Required inputs (['a']) are missing from input feed (['b']).",
            r"expected the inputs \['a'\], found \['b'\]; feed",
        ),
        (
            "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Invalid input name: ids",
            "expected an input 'ids', found a graph without",
        ),
        ("x" * 5000, "refuses"),
    ],
    ids=["nothing", "no memory", "missing inputs", "unknown input", "very long"],
)
def test_other_words_of_the_runtime_are_explained_as_far_as_they_are_known(words: str, pattern: str) -> None:
    message = str(explain(RuntimeError(words), "model.onnx", "run"))
    assert re.search(pattern, message)
    assert len(message) < 500
