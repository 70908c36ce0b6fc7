"""`driftgate verify` on files that are not what they should be."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from verified_models import (
    FEED,
    IDS,
    LFS_POINTER,
    REFUSED,
    Command,
    assert_refused,
    assert_verified,
    save,
    save_encoder,
)

from driftgate.builder.vectors import write_vectors


def _message(proto: Any) -> bytes:
    return bytes(proto.SerializeToString())


def _sequence() -> bytes:
    tensor = numpy_helper.from_array(np.ones(3, np.float32), "one")
    return _message(onnx.SequenceProto(name="s", elem_type=onnx.SequenceProto.TENSOR, tensor_values=[tensor]))


def _map() -> bytes:
    tensor = numpy_helper.from_array(np.ones(3, np.float32), "one")
    values = onnx.SequenceProto(elem_type=onnx.SequenceProto.TENSOR, tensor_values=[tensor])
    return _message(onnx.MapProto(key_type=TensorProto.INT64, keys=[1], values=values))


def _numpy_file() -> bytes:
    file = io.BytesIO()
    np.save(file, IDS)
    return file.getvalue()


def _external() -> bytes:
    tensor = TensorProto(data_type=TensorProto.INT64, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="/etc/passwd")
    return _message(tensor)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (
            _message(helper.make_model(helper.make_graph([helper.make_node("Add", "ab", "c")], "g", [], []))),
            "an ONNX model",
        ),
        (_sequence(), "a sequence (SequenceProto)"),
        (_map(), "a map (MapProto)"),
        (_numpy_file(), "a NumPy file"),
        (LFS_POINTER, "a Git LFS pointer; fetch the file itself"),
        (_message(numpy_helper.from_array(IDS, "input_ids"))[:-9], "cut off or damaged"),
        (bytes(range(256)), "bytes of something else"),
        (_message(TensorProto(data_type=TensorProto.INT64, dims=[-1], int64_data=[1])), "its shape is (-1,)"),
        (_message(TensorProto(data_type=TensorProto.INT64, dims=[1 << 50], int64_data=[1])), "cut off or damaged"),
        (_external(), "its values are stored in another file"),
    ],
    ids=["empty", "model", "sequence", "map", "npy", "lfs", "truncated", "bytes", "negative", "huge", "external"],
)
def test_a_golden_vector_that_is_no_tensor_is_refused_by_its_name(
    content: bytes, words: str, model: Path, verify: Command
) -> None:
    path = model.parent / "test_data_set_0/input_0.pb"
    path.write_bytes(content)
    assert_refused(verify(model), str(path), "expected a tensor (ONNX TensorProto), found", words)


def test_a_set_without_inputs_is_refused(model: Path, verify: Command) -> None:
    for path in (model.parent / "test_data_set_0").glob("input_*"):
        path.unlink()
    assert_refused(verify(model), "test_data_set_0", "expected input_0.pb and so on, found none")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (LFS_POINTER, "a Git LFS pointer; fetch the file itself with `git lfs pull`"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\x1f\x8b\x08\x00", "a gzip file"),
        (b"hello, world", "expected an ONNX file"),
        (_message(numpy_helper.from_array(IDS, "input_ids")), "expected an ONNX file"),
    ],
    ids=["empty", "lfs", "page", "gzip", "text", "tensor"],
)
def test_a_model_that_is_no_onnx_file_is_refused(content: bytes, words: str, model: Path, verify: Command) -> None:
    model.write_bytes(content)
    assert_refused(verify(model), str(model), "expected an ONNX file, found", words)


def test_a_model_that_is_cut_off_is_refused(model: Path, verify: Command) -> None:
    model.write_bytes(model.read_bytes()[:-100])
    assert_refused(verify(model), str(model))


def test_a_graph_that_does_not_load_is_refused(tmp_path: Path, verify: Command) -> None:
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "xy"]
    path = save(tmp_path / "model.onnx", [helper.make_node("NoSuchOperator", ["x"], ["y"])], info[:1], info[1:])
    result = verify(path, "--structure-only")
    assert result.exit_code == REFUSED, result.output
    ours, theirs = result.stderr.splitlines()
    assert (
        f"{path}: ONNX Runtime cannot load it: expected operators that ONNX Runtime has, found NoSuchOperator; " in ours
    )
    assert "says: " in theirs


def _move_weights_out(model: Path, location: str) -> None:
    proto = onnx.load(model)
    tensor = proto.graph.initializer[0]
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value=str(len(content)))
    model.write_bytes(_message(proto))
    if location == "weights.bin":
        (model.parent / location).write_bytes(content)


def test_weights_in_a_file_of_their_own_verify_and_a_missing_one_is_named(model: Path, verify: Command) -> None:
    _move_weights_out(model, "weights.bin")
    assert_verified(verify(model))
    (model.parent / "weights.bin").unlink()
    assert_refused(verify(model), "its weights lie in 'weights.bin'", "found no such file")


@pytest.mark.parametrize("location", ["/etc/passwd", "../../etc/passwd", "C:\\secrets", "a/../../b"])
def test_weights_outside_the_models_folder_are_refused(location: str, model: Path, verify: Command) -> None:
    _move_weights_out(model, location)
    assert_refused(verify(model), repr(location), "expected a file in the model's own folder")


@pytest.mark.parametrize("name", ["nowhere", "model.bin"])
def test_what_is_no_model_is_refused(name: str, tmp_path: Path, verify: Command) -> None:
    (tmp_path / "model.bin").touch()
    assert_refused(verify(tmp_path / name), name, "expected")


def test_one_of_several_models_must_be_named(tmp_path: Path, verify: Command) -> None:
    for name in ("a/model.onnx", "b/model.onnx"):
        path = save_encoder(tmp_path / name, shift=name == "b/model.onnx")
        write_vectors(path.parent, path, [FEED])
    assert_refused(verify(tmp_path), "found a/model.onnx, b/model.onnx; say which with --model")
    assert_refused(verify(tmp_path, "--model", "model"), "--model model names 2 of them")
    assert_refused(verify(tmp_path, "--model", "c"), "--model c names 0 of them")
    for name in ("b", "b/model.onnx"):
        assert f"{tmp_path / 'b/model.onnx'}\n" in verify(tmp_path, "--model", name).stdout
