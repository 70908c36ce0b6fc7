"""Small models with golden vectors."""

import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

VERIFIED, FAILED, REFUSED = 0, 1, 4


WIDTH = 8


IDS = np.array([[3, 1, 4, 1], [5, 9, 0, 0]], dtype=np.int64)


FEED = {"input_ids": IDS, "attention_mask": (IDS > 0).astype(np.int64)}


Command = Callable[..., Any]


def assert_refused(result: Any, *words: str) -> None:
    assert result.exit_code == REFUSED, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    for word in words:
        assert word in line


def assert_failed(result: Any, *words: str) -> None:
    """Exit code 1, and one line of the verdict that has all the words."""
    assert result.exit_code == FAILED, result.output
    verdicts = [line for line in result.stdout.splitlines() if line.startswith("FAILED ")]
    assert any(all(word in line for word in words) for line in verdicts), result.stdout


def assert_verified(result: Any) -> None:
    assert result.exit_code == VERIFIED, result.output
    assert "FAILED" not in result.stdout
    assert "DIFFERS" not in result.stdout


def save_encoder(path: Path, *, opset: int = 17, ir_version: int = 8, shift: float = 0.0, outputs: int = 2) -> Path:
    """A base encoder: hidden states and pooled output, no head. Up to file format 3, constants are inputs too."""
    table = np.random.default_rng(0).normal(size=(10, WIDTH)).astype(np.float32)
    table[3, 2] += shift
    constants = [numpy_helper.from_array(table, "table"), numpy_helper.from_array(np.array(0, dtype=np.int64), "first")]
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"]),
        helper.make_node("Gather", ["last_hidden_state", "first"], ["first_token"], axis=1),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["mask"], ["any_token"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["first_token", "any_token"], ["pooler_output"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask")
    ]
    if ir_version < 4:
        inputs += [helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims) for tensor in constants]
    answers = [
        helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", WIDTH]),
        helper.make_tensor_value_info("pooler_output", TensorProto.FLOAT, ["batch", WIDTH]),
    ][:outputs]
    return save(path, nodes, inputs, answers, constants, opset=opset, ir_version=ir_version)


def save(
    path: Path,
    nodes: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    constants: Sequence[Any] = (),
    *,
    opset: int = 17,
    ir_version: int = 8,
) -> Path:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, constants)
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=ir_version), path)
    return path


def save_tensor(path: Path, values: Any, name: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(numpy_helper.from_array(np.asarray(values), name).SerializeToString())


def change_output(model: Path, change: Callable[[Any], Any], number: int = 0, name: str | None = None) -> None:
    """Rewrite an expected output of the first set."""
    path = model.parent / f"test_data_set_0/output_{number}.pb"
    tensor = onnx.load_tensor(path)
    save_tensor(path, change(numpy_helper.to_array(tensor).copy()), tensor.name if name is None else name)


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"


Add = Callable[..., None]


def pack(archive: Path, fill: Callable[[tarfile.TarFile], None], mode: str = "w:gz") -> Path:
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
        fill(tar)
    return archive


README = """# Base
|Model |Download |Download (with sample test data)| ONNX version |Opset version|Accuracy|
| ------------- | ------------- | ------------- | ------------- | ------------- | ------------- |
|Base| [{size}](model/base-11.onnx) | [295 MB](model/base-11.tar.gz) | 1.13 | {opset}|MCC of [0.85](x.ipynb)|
|Other| [1 GB](model/other-9.onnx) | [434 MB](model/other-9.tar.gz) | 1.4 | 9|88.5|
"""
