"""`driftgate verify`: what is stated of a model, its golden vectors, and the archives and files that are refused."""

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line import run_driftgate
from onnx import TensorProto, helper, numpy_helper

from driftgate.backends import PRECISION_CLASSES, Precision
from driftgate.builder.model_file import Port, parse_port, read_model_file
from driftgate.builder.vectors import embedded_feeds, vectors_folder, write_vectors
from driftgate.errors import BuildError
from driftgate.inputs.encoder import load_encoder
from driftgate.verify.archive import unpacked
from driftgate.verify.check_model import TOLERANCES, size_agrees
from driftgate.verify.closeness import Tolerance, measure_closeness
from driftgate.verify.vector_sets import find_sets, read_set

VERIFIED, FAILED, REFUSED = 0, 1, 4
WIDTH = 8
IDS = np.array([[3, 1, 4, 1], [5, 9, 0, 0]], dtype=np.int64)
FEED = {"input_ids": IDS, "attention_mask": (IDS > 0).astype(np.int64)}

Command = Callable[..., Any]


@pytest.fixture
def verify() -> Command:
    """Run `driftgate verify` in this process, on one thread."""
    return partial(run_driftgate, "verify", "--threads", 1, columns=240)


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


# Models


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


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A base encoder with one golden vector."""
    path = save_encoder(tmp_path / "zoo/base-11/base-11.onnx")
    write_vectors(path.parent, path, [FEED])
    return path


def save_tensor(path: Path, values: Any, name: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(numpy_helper.from_array(np.asarray(values), name).SerializeToString())


def change_output(model: Path, change: Callable[[Any], Any], number: int = 0, name: str | None = None) -> None:
    """Rewrite an expected output of the first set."""
    path = model.parent / f"test_data_set_0/output_{number}.pb"
    tensor = onnx.load_tensor(path)
    save_tensor(path, change(numpy_helper.to_array(tensor).copy()), tensor.name if name is None else name)


# Writing golden vectors


def test_golden_vectors_are_named_and_numbered_as_the_graph_has_them(model: Path) -> None:
    vectors = read_set(model.parent / "test_data_set_0")
    assert [(tensor.number, tensor.name) for tensor in vectors.inputs] == [(0, "input_ids"), (1, "attention_mask")]
    assert [tensor.name for tensor in vectors.outputs] == ["last_hidden_state", "pooler_output"]
    assert vectors.inputs[0].values.dtype == np.int64
    assert vectors.outputs[0].values.shape == (*IDS.shape, WIDTH)


def test_the_same_model_writes_the_same_bytes(model: Path, tmp_path: Path) -> None:
    (again,) = write_vectors(tmp_path, model, [FEED])
    for path in again.iterdir():
        assert path.read_bytes() == (model.parent / "test_data_set_0" / path.name).read_bytes()


def test_golden_vectors_are_not_written_over(model: Path) -> None:
    with pytest.raises(BuildError, match="found test_data_set_0; nothing was written"):
        write_vectors(model.parent, model, [FEED])


def test_a_feed_that_lacks_an_input_leaves_no_vectors(tmp_path: Path) -> None:
    path = save_encoder(tmp_path / "model.onnx")
    with pytest.raises(BuildError, match="takes attention_mask, which the feed does not have"):
        write_vectors(tmp_path, path, [FEED, {"input_ids": IDS}])
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.onnx"]


def test_models_that_share_a_folder_have_vectors_of_their_own(tmp_path: Path) -> None:
    one, other = save_encoder(tmp_path / "onnx/model.onnx"), save_encoder(tmp_path / "onnx/model_b.onnx", shift=1)
    for path in (one, other):
        vectors_folder(path).mkdir()
        write_vectors(vectors_folder(path), path, [FEED])
    assert [find_sets(path)[0].parent.name for path in (one, other)] == ["model", "model_b"]


def test_embedded_feeds_are_a_short_text_a_padded_batch_and_a_truncated_text(tiny_encoder: Path) -> None:
    encoder = load_encoder(tiny_encoder)
    short, padded, truncated = embedded_feeds(encoder)
    assert short["input_ids"].shape[0] == 1
    assert short["attention_mask"].all()
    assert padded["input_ids"].shape[0] > 1
    assert not padded["attention_mask"].all()
    assert truncated["input_ids"].shape[1] == encoder.max_tokens
    assert truncated["attention_mask"][0].all()
    assert all(array.dtype == np.int64 for feed in (short, padded, truncated) for array in feed.values())


# Answers


def test_an_untouched_model_is_verified(model: Path, verify: Command) -> None:
    result = verify(model)
    assert_verified(result)
    assert "verified: 2 outputs of 1 sets within tolerance" in result.stdout


def test_both_tolerances_are_printed_with_their_reason(model: Path, verify: Command) -> None:
    usual, reason = TOLERANCES[Precision.FP32]
    assert f"rtol {usual.rtol:g}, atol {usual.atol:g}: fp32, {reason}" in verify(model).stdout
    assert "rtol 0.5, atol 0.25: as given" in verify(model, "--rtol", 0.5, "--atol", 0.25).stdout
    assert f"rtol 0.5, atol {usual.atol:g}: one as given" in verify(model, "--rtol", 0.5).stdout


def test_one_changed_weight_fails(model: Path, verify: Command) -> None:
    save_encoder(model, shift=0.01)
    assert_failed(verify(model), "test_data_set_0, last_hidden_state", "1 of 64 beyond tolerance")
    assert_failed(verify(model), "test_data_set_0, pooler_output", "1 of 16 beyond tolerance")


def test_one_bit_off_is_within_tolerance_and_is_shown(model: Path, verify: Command) -> None:
    change_output(model, lambda values: np.nextafter(values, np.float32(9)))
    result = verify(model, "--json")
    assert result.exit_code == VERIFIED
    hidden = json.loads(result.stdout)["sets"][0]["outputs"][0]["closeness"]
    assert 0 < hidden["max_abs"] < 1e-6
    assert hidden["beyond"] == 0


@pytest.mark.parametrize(("factor", "code"), [(1.1, VERIFIED), (0.9, FAILED)], ids=["within", "beyond"])
def test_the_tolerance_is_atol_plus_rtol_of_the_expected_number(
    factor: float, code: int, model: Path, verify: Command
) -> None:
    change_output(model, lambda values: np.full_like(values, 4), 1)
    hidden = numpy_helper.to_array(onnx.load_tensor(model.parent / "test_data_set_0/output_1.pb"))
    answer = read_set(model.parent / "test_data_set_0").outputs[0].values[:, 0]
    atol = float(np.abs(answer - hidden).max() - 0.5 * 4)  # what rtol 0.5 leaves to it
    assert verify(model, "--rtol", 0.5, "--atol", atol * factor).exit_code == code


def test_a_nan_answer_never_passes(model: Path, verify: Command) -> None:
    save_encoder(model, shift=np.nan)
    assert_failed(verify(model, "--rtol", 1e6, "--atol", 1e6), "last_hidden_state", "1 NaN or infinite")


def test_a_nan_passes_not_even_where_nan_is_expected(model: Path, verify: Command) -> None:
    shutil.rmtree(model.parent / "test_data_set_0")
    save_encoder(model, shift=np.nan)
    write_vectors(model.parent, model, [FEED])
    assert_failed(verify(model), "last_hidden_state", "1 NaN or infinite")


@pytest.mark.parametrize(
    ("expected", "found", "beyond"),
    [(np.inf, np.inf, 0), (np.inf, -np.inf, 1), (np.inf, 1e30, 1), (1.0, np.inf, 1), (np.nan, 1.0, 1), (0.0, -0.0, 0)],
)
def test_an_infinity_is_near_itself_only(expected: float, found: float, beyond: int) -> None:
    arrays = (np.array([value], dtype=np.float32) for value in (expected, found))
    assert measure_closeness(*arrays, Tolerance(1e-3, 1e-3)).beyond == beyond


def test_another_shape_fails_and_is_not_broadcast(model: Path, verify: Command) -> None:
    change_output(model, lambda values: values[:1])
    assert_failed(verify(model), "expected shape (1, 4, 8), found (2, 4, 8)")


def test_another_type_fails_and_is_not_cast(model: Path, verify: Command) -> None:
    change_output(model, lambda values: values.astype(np.float64))
    assert_failed(verify(model), "expected type float64, found float32")


def test_integers_must_be_equal_whatever_the_tolerance(tmp_path: Path, verify: Command) -> None:
    node = helper.make_node("Add", ["input_ids", "input_ids"], ["twice"])
    info = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"]) for name in ("input_ids", "twice")
    ]
    path = save(tmp_path / "model.onnx", [node], info[:1], info[1:])
    write_vectors(tmp_path, path, [FEED])
    assert_verified(verify(path))
    change_output(path, lambda values: values + 1)
    assert_failed(verify(path, "--atol", 5), "8 of 8 beyond tolerance")


def test_an_output_without_an_expected_file_fails(model: Path, verify: Command) -> None:
    (model.parent / "test_data_set_0/output_1.pb").unlink()
    assert_failed(verify(model), "expected 2 outputs, the set has 1, none for pooler_output")


def test_an_expected_file_without_an_output_fails(model: Path, verify: Command) -> None:
    save_tensor(model.parent / "test_data_set_0/output_2.pb", [1.0])
    assert_failed(verify(model), "expected 2 outputs, the set has 3")


def test_an_input_that_the_set_lacks_fails(model: Path, verify: Command) -> None:
    (model.parent / "test_data_set_0/input_1.pb").unlink()
    assert_failed(verify(model), "expected 2 inputs, the set has 1, none for attention_mask")


def test_an_input_of_another_type_fails_and_says_so(model: Path, verify: Command) -> None:
    save_tensor(model.parent / "test_data_set_0/input_0.pb", IDS.astype(np.int32), "input_ids")
    assert_failed(verify(model), "input_ids: the graph takes int64[batch, sequence], the set has int32")


def test_an_input_that_the_runtime_refuses_fails_in_its_words(model: Path, verify: Command) -> None:
    save_tensor(model.parent / "test_data_set_0/input_0.pb", IDS + 100, "input_ids")
    assert_failed(verify(model), "ONNX Runtime cannot run it")


def test_tensors_go_by_name_where_their_names_are_the_graphs(model: Path, verify: Command) -> None:
    folder = model.parent / "test_data_set_0"
    for kind in ("input", "output"):
        one, other = (folder / f"{kind}_0.pb", folder / f"{kind}_1.pb")
        one.rename(folder / "swapped")
        other.rename(one)
        (folder / "swapped").rename(other)
    result = verify(model)
    assert_verified(result)
    assert "matched to inputs by name, to outputs by name" in result.stdout


@pytest.mark.parametrize("name", ["", "somebody's"], ids=["unnamed", "renamed"])
def test_tensors_go_by_number_where_their_names_are_not_the_graphs(name: str, model: Path, verify: Command) -> None:
    folder = model.parent / "test_data_set_0"
    for path in folder.iterdir():
        save_tensor(path, numpy_helper.to_array(onnx.load_tensor(path)), name)
    result = verify(model)
    assert_verified(result)
    assert "matched to inputs by position, to outputs by position" in result.stdout


def test_sets_go_in_the_order_of_their_numbers(model: Path) -> None:
    for number in (10, 9, 2):
        shutil.copytree(model.parent / "test_data_set_0", model.parent / f"test_data_set_{number}")
    assert [path.name[14:] for path in find_sets(model)] == ["0", "2", "9", "10"]


def test_every_set_is_asked(model: Path, verify: Command) -> None:
    shutil.copytree(model.parent / "test_data_set_0", model.parent / "test_data_set_1")
    save_tensor(model.parent / "test_data_set_1/output_0.pb", np.zeros((2, 4, WIDTH), np.float32), "last_hidden_state")
    assert_failed(verify(model), "test_data_set_1, last_hidden_state")


def test_a_model_without_golden_vectors_is_not_verified(model: Path, verify: Command) -> None:
    shutil.rmtree(model.parent / "test_data_set_0")
    assert_failed(verify(model), "no golden vectors", "was not verified")


def test_structure_only_needs_no_golden_vectors_and_says_so(model: Path, verify: Command) -> None:
    shutil.rmtree(model.parent / "test_data_set_0")
    result = verify(model, "--structure-only")
    assert_verified(result)
    assert "structure only: it loads; nothing states facts about it; what it answers was not verified" in result.stdout


def test_golden_vectors_can_lie_elsewhere(model: Path, tmp_path: Path, verify: Command) -> None:
    (model.parent / "test_data_set_0").rename(tmp_path / "test_data_set_0")
    assert_verified(verify(model, "--sets", tmp_path))
    assert_refused(verify(model, "--sets", model.parent), "expected test_data_set_0 and so on in it, found none")


@pytest.mark.parametrize(("opset", "ir_version"), [(9, 3), (9, 4), (11, 6), (17, 8)])
def test_old_and_new_files_verify(opset: int, ir_version: int, tmp_path: Path, verify: Command) -> None:
    path = save_encoder(tmp_path / "model.onnx", opset=opset, ir_version=ir_version)
    write_vectors(tmp_path, path, [FEED])
    assert list(read_model_file(path).inputs) == ["input_ids", "attention_mask"]
    assert read_model_file(path).opset["ai.onnx"] == opset
    assert_verified(verify(path))


def test_a_tolerance_must_be_given_where_none_is_known(tmp_path: Path, verify: Command) -> None:
    constants = [
        numpy_helper.from_array(np.full((2, 1, 4), 0x79, np.uint8), "b"),
        numpy_helper.from_array(np.ones(2, np.float32), "scales"),
    ]
    product = helper.make_node(
        "MatMulNBits", ["a", "b", "scales"], ["y"], domain="com.microsoft", K=16, N=2, bits=2, block_size=16
    )
    info = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in (("a", 16), ("y", 2))
    ]
    path = save(tmp_path / "model.onnx", [product], info[:1], info[1:], constants)
    write_vectors(tmp_path, path, [{"a": np.ones((1, 16), np.float32)}])
    assert_refused(verify(path), "no tolerance is known", "give --rtol and --atol")
    assert_verified(verify(path, "--rtol", 1e-3, "--atol", 1e-3))


@pytest.mark.parametrize("value", [-1, "nan", "inf"])
def test_a_tolerance_that_is_none_is_refused(value: object, model: Path, verify: Command) -> None:
    assert_refused(verify(model, "--rtol", value), "rtol", "expected a finite number of at least 0")


def test_json_has_the_whole_result_and_no_nan(model: Path, verify: Command) -> None:
    save_encoder(model, shift=np.nan)
    result = verify(model, "--json")
    assert result.exit_code == FAILED
    found = json.loads(result.stdout, parse_constant=pytest.fail)
    assert found["passed"] is False
    assert found["tolerance"] == {
        "rtol": TOLERANCES[Precision.FP32][0].rtol,
        "atol": TOLERANCES[Precision.FP32][0].atol,
    }
    assert found["sets"][0]["outputs"][0]["closeness"]["max_abs"] is None
    assert found["sets"][0]["outputs"][0]["closeness"]["non_finite"] == 1
    assert found["runs_on"]["provider"] == "CPUExecutionProvider"


# Files that are not what they should be


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


LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"


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
        (_external(), "its numbers are said to lie in another file"),
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


# Archives


Add = Callable[..., None]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def pack(archive: Path, fill: Callable[[tarfile.TarFile], None], mode: str = "w:gz") -> Path:
    with tarfile.open(archive, mode) as tar:  # type: ignore[call-overload]
        fill(tar)
    return archive


def member(name: str, content: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, io.BytesIO]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, io.BytesIO(content)


@pytest.mark.parametrize(("suffix", "mode"), [("tar.gz", "w:gz"), ("tgz", "w:gz"), ("tar", "w")])
def test_a_zoo_archive_is_verified_and_nothing_of_it_stays(
    suffix: str, mode: str, model: Path, tmp_path: Path, temporary: Path, verify: Command
) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        tar.add(model.parent, "./base-11")
        tar.addfile(*member("base-11/._base-11.onnx", b"what macOS adds"))
        tar.addfile(*member("base-11/test_data_set_0/._input_0.pb", b"what macOS adds"))

    archive = pack(tmp_path / f"base-11.{suffix}", fill, mode)
    result = verify(archive)
    assert_verified(result)
    assert f"{archive}:base-11/base-11.onnx" in result.stdout
    assert list(temporary.iterdir()) == []


def test_an_archive_whose_model_answers_otherwise_fails(model: Path, tmp_path: Path, verify: Command) -> None:
    save_encoder(model, shift=0.1)
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    assert_failed(verify(archive), "test_data_set_0, last_hidden_state")


def test_a_damaged_golden_vector_in_an_archive_is_named_by_its_path_there(
    model: Path, tmp_path: Path, temporary: Path, verify: Command
) -> None:
    (model.parent / "test_data_set_0/input_0.pb").write_bytes(b"")
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    assert_refused(verify(archive), f"{archive}:base-11/test_data_set_0/input_0.pb: expected a tensor")
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("../escaped", {}, "would be written outside the folder"),
        ("a/../../escaped", {}, "would be written outside the folder"),
        ("/escaped", {}, "would be written outside the folder"),
        ("..\\escaped", {}, "would be written outside the folder"),
        ("C:\\escaped", {}, "would be written outside the folder"),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "is a link to '/etc/passwd'"),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "inside"}, "is a link to 'inside'"),
        ("link", {"type": tarfile.LNKTYPE, "linkname": "../escaped"}, "is a link to '../escaped'"),
        ("pipe", {"type": tarfile.FIFOTYPE}, "is a device, a pipe or a sparse file"),
        ("device", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}, "is a device, a pipe or a sparse file"),
        ("disk", {"type": tarfile.BLKTYPE}, "is a device, a pipe or a sparse file"),
    ],
)
def test_a_member_that_has_no_place_in_an_archive_is_refused(
    name: str, fields: dict[str, Any], words: str, tmp_path: Path, temporary: Path, verify: Command
) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        tar.addfile(*member("inside", b"harmless"))
        tar.addfile(*member(name, b"" if fields else b"harmful", **fields))

    archive = pack(tmp_path / "evil.tar.gz", fill)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert_refused(verify(archive), repr(name), words)
    assert list(temporary.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_link_does_not_redirect_a_later_file(tmp_path: Path, temporary: Path, verify: Command) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        tar.addfile(*member("folder", type=tarfile.SYMTYPE, linkname=str(tmp_path)))
        tar.addfile(*member("folder/escaped", b"harmful"))

    assert_refused(verify(pack(tmp_path / "evil.tar.gz", fill)), "is a link")
    assert not (tmp_path / "escaped").exists()


def test_a_file_that_is_twice_in_an_archive_is_refused(tmp_path: Path, verify: Command) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        for content in (b"one", b"other"):
            tar.addfile(*member("model.onnx", content))

    assert_refused(verify(pack(tmp_path / "evil.tar.gz", fill)), "'model.onnx' is in it twice")


def test_an_archive_that_grows_too_much_is_refused_before_it_is_unpacked(
    tmp_path: Path, temporary: Path, verify: Command
) -> None:
    archive = pack(tmp_path / "bomb.tar.gz", lambda tar: tar.addfile(*member("model.onnx", bytes(70 << 20))))
    assert archive.stat().st_size < 100_000
    assert_refused(verify(archive), f"expected at most {64 << 20} bytes", "--max-bytes")
    assert list(temporary.iterdir()) == []


def test_max_bytes_counts_all_files_together(model: Path, tmp_path: Path, verify: Command) -> None:
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    size = sum(path.stat().st_size for path in model.parent.rglob("*") if path.is_file())
    assert_verified(verify(archive, "--max-bytes", size))
    assert_refused(verify(archive, "--max-bytes", size - 1), f"expected at most {size - 1} bytes")


def test_an_archive_whose_descriptions_are_bombs_is_refused(tmp_path: Path, temporary: Path, verify: Command) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        tar.addfile(*member("model.onnx", b"small", pax_headers={"comment": "a" * (4 << 20)}))

    assert_refused(verify(pack(tmp_path / "bomb.tar.gz", fill)), "the description of a file in it is too long")
    assert list(temporary.iterdir()) == []


def test_an_archive_of_too_many_files_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verify: Command
) -> None:
    monkeypatch.setattr("driftgate.verify.archive._MOST_MEMBERS", 3)
    archive = pack(tmp_path / "many.tar.gz", lambda tar: [tar.addfile(*member(str(n))) for n in range(4)] and None)
    assert_refused(verify(archive), "expected at most 3 files, found more")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[: len(content) // 2], "cut off or damaged"),
        (lambda content: content[:-4], "cut off or damaged"),
        (lambda content: content[:-8] + bytes(8), "cut off or damaged"),
        (lambda content: b"", "an empty file"),
        (lambda content: LFS_POINTER, "a Git LFS pointer"),
        (lambda content: b"hello", "expected a tar archive"),
    ],
    ids=["half", "end", "checksum", "empty", "lfs", "text"],
)
def test_a_damaged_archive_is_refused(
    damage: Callable[[bytes], bytes], words: str, model: Path, tmp_path: Path, temporary: Path, verify: Command
) -> None:
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    archive.write_bytes(damage(archive.read_bytes()))
    assert_refused(verify(archive), str(archive), "expected a tar archive, found", words)
    assert list(temporary.iterdir()) == []


def test_a_damaged_description_does_not_hide_what_comes_after(model: Path, tmp_path: Path, verify: Command) -> None:
    def fill(tar: tarfile.TarFile) -> None:
        tar.add(model, "base-11.onnx")
        tar.addfile(*member("other", b"x" * 600))

    archive = pack(tmp_path / "base-11.tar", fill, "w")
    content = bytearray(archive.read_bytes())
    content[content.rindex(b"other")] ^= 1
    archive.write_bytes(content)
    assert_refused(verify(archive), "has no readable description")


def test_an_archive_without_a_model_is_refused(tmp_path: Path, verify: Command) -> None:
    archive = pack(tmp_path / "empty.tar.gz", lambda tar: tar.addfile(*member("README.md", b"hello")))
    assert_refused(verify(archive), "expected an ONNX file in it, found none")


def test_an_interrupted_verification_leaves_no_folder(model: Path, tmp_path: Path, temporary: Path) -> None:
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    with pytest.raises(KeyboardInterrupt), unpacked(archive):  # noqa: PT012 - once something was unpacked
        assert [path.name for path in temporary.glob("*/*/*.onnx")] == ["base-11.onnx"]
        raise KeyboardInterrupt
    assert list(temporary.iterdir()) == []


def test_unpacked_files_belong_to_who_unpacks_and_run_nothing(tmp_path: Path) -> None:
    archive = pack(
        tmp_path / "a.tar.gz", lambda tar: tar.addfile(*member("tool", b"#!/bin/sh", mode=0o6777, uid=12345))
    )
    with unpacked(archive) as folder:
        assert (folder / "tool").stat().st_mode & 0o7111 == 0
        assert (folder / "tool").stat().st_uid == folder.stat().st_uid


# What documents state


def write_manifest(model: Path, **changes: Any) -> dict[str, Any]:
    """driftgate's manifest beside the model."""
    files = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in model.parent.iterdir() if path.is_file()
    }
    content = {
        "backend": "onnx-fp32", "precision": "fp32", "steps": [], "encoder": "e", "encoder_sha256": "0", "versions": {},
        "files": files, "notes": {"model_file": read_model_file(model).describe()}, **changes,
    }  # fmt: skip
    (model.parent / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    return content


def noted(model: Path, **changes: Any) -> dict[str, Any]:
    return {"notes": {"model_file": {**read_model_file(model).describe(), **changes}}}


def facts_of(result: Any) -> dict[str, Any]:
    """Whether each fact holds."""
    return {check["fact"]: check["holds"] for check in json.loads(result.stdout)["facts"]}


def test_facts_that_hold_are_counted(model: Path, verify: Command) -> None:
    (model.parent / "config.json").write_text("{}", encoding="utf-8")
    write_manifest(model)
    result = verify(model, "--json")
    assert result.exit_code == VERIFIED, result.output
    assert facts_of(result) == dict.fromkeys(
        ("sha256", "sha256 of config.json", "precision", "size", "opset", "inputs", "outputs"), True
    )
    assert "sha256 of 1 other files" in verify(model).stdout


def test_facts_that_nothing_states_are_shown_as_such(model: Path, verify: Command) -> None:
    result = verify(model, "--json")
    assert facts_of(result) == dict.fromkeys(("sha256", "size", "opset", "inputs", "outputs"))
    assert verify(model).stdout.count("not stated") == 5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"opset": {"ai.onnx": 11}}, ("opset", "states ai.onnx 11, found ai.onnx 17")),
        ({"opset": {"com.other": 2}}, ("opset", "states com.other 2, found no com.other")),
        ({"size_bytes": 12}, ("size", "states 12 bytes")),
        ({"inputs": {"input_ids": "int64[batch, sequence]"}}, ("inputs", "found input_ids", "attention_mask")),
        ({"outputs": {"logits": "float32[batch, 28]"}}, ("outputs", "states logits float32[batch, 28]")),
    ],
    ids=["opset", "domain", "size", "inputs", "outputs"],
)
def test_a_fact_that_differs_from_the_manifest_fails(
    changes: dict[str, Any], words: tuple[str, ...], model: Path, verify: Command
) -> None:
    write_manifest(model, **noted(model, **changes))
    assert_failed(verify(model), "manifest.json", *words)
    assert_failed(verify(model, "--structure-only"), "manifest.json", *words)


def test_a_precision_that_differs_fails(model: Path, verify: Command) -> None:
    write_manifest(model, precision="int8-dynamic")
    assert_failed(verify(model), "precision", "states int8-dynamic, found fp32")


def test_a_changed_model_differs_from_its_digest(model: Path, verify: Command) -> None:
    write_manifest(model)
    save_encoder(model, shift=1e-7)
    assert_failed(verify(model), "sha256", "manifest.json states")


def test_a_file_of_the_manifest_that_changed_or_is_missing_fails(model: Path, verify: Command) -> None:
    (model.parent / "config.json").write_text("{}", encoding="utf-8")
    write_manifest(model)
    (model.parent / "config.json").write_text("[]", encoding="utf-8")
    assert_failed(verify(model), "sha256 of config.json")
    (model.parent / "config.json").unlink()
    assert_failed(verify(model), "sha256 of config.json", "found no such file")


def test_a_manifest_in_an_archive_is_not_read_out_of_it(model: Path, tmp_path: Path, verify: Command) -> None:
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    files = {model.name: read_model_file(model).sha256, str(tmp_path / "secret"): "0" * 64}
    write_manifest(model, files=files)
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    result = verify(archive)
    assert_failed(result, "found a path out of the archive")
    assert hashlib.sha256(b"secret").hexdigest()[:12] not in result.stdout


def test_a_manifest_of_something_else_is_no_matter(model: Path, verify: Command) -> None:
    (model.parent / "manifest.json").write_text('{"name": "a web page"}', encoding="utf-8")
    assert_verified(verify(model))


def test_a_manifest_that_cannot_be_read_is_refused(model: Path, verify: Command) -> None:
    (model.parent / "manifest.json").write_text("{", encoding="utf-8")
    assert_refused(verify(model), "manifest.json", "expected a manifest in JSON")


def zoo_entry(model: Path, archive: Path | None = None, **changes: Any) -> dict[str, Any]:
    """An entry as ONNX_HUB_MANIFEST.json has them."""
    port = {"type": "tensor(int64)", "shape": ["batch_size", "seq_len"]}
    metadata: dict[str, Any] = {
        "model_sha": hashlib.sha256(model.read_bytes()).hexdigest(),
        "model_bytes": model.stat().st_size,
        "io_ports": {
            "inputs": [{"name": name, **port} for name in ("input_ids", "attention_mask")],
            "outputs": [
                {"name": "last_hidden_state", "type": "tensor(float)", "shape": ["batch_size", "seq_len", WIDTH]},
                {"name": "pooler_output", "type": "tensor(float)", "shape": ["batch_size", WIDTH]},
            ],
        },
    }
    if archive:
        metadata |= {
            "model_with_data_path": f"text/roberta/model/{archive.name}",
            "model_with_data_sha": hashlib.sha256(archive.read_bytes()).hexdigest(),
            "model_with_data_bytes": archive.stat().st_size,
        }
    entry = {
        "model": "Base",
        "model_path": f"text/roberta/model/{model.name}",
        "onnx_version": "1.13",
        "opset_version": 17,
    }
    return {**entry, "metadata": metadata, **changes}


def test_the_zoos_manifest_is_held_against_model_and_archive(model: Path, tmp_path: Path, verify: Command) -> None:
    archive = pack(tmp_path / "base-11.tar.gz", lambda tar: tar.add(model.parent, "base-11"))
    manifest = tmp_path / "ONNX_HUB_MANIFEST.json"
    other = {"model": "Other", "model_path": "text/other/model/other-9.onnx", "opset_version": 9}
    manifest.write_text(json.dumps([other, zoo_entry(model, archive)]), encoding="utf-8")
    result = verify(archive, "--json")
    assert result.exit_code == VERIFIED, result.output
    of_archive = {"sha256 of base-11.tar.gz", "size of base-11.tar.gz"}
    facts = {"sha256", "size", "opset", "ONNX release", "inputs", "outputs"}
    assert facts_of(result) == dict.fromkeys(facts | of_archive, True)
    assert facts_of(verify(model, "--json")) == dict.fromkeys(facts, True)  # found at the top of the checkout


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"opset_version": 11}, "opset: "),
        ({"onnx_version": "1.4"}, "ONNX release: "),
        ({"metadata": {"model_sha": "0" * 64}}, "sha256: "),
        ({"metadata": {"model_bytes": 1}}, "size: "),
        ({"metadata": {"io_ports": {"inputs": []}}}, "inputs: "),
    ],
    ids=["opset", "release", "sha", "bytes", "ports"],
)
def test_a_fact_that_differs_from_the_zoos_manifest_fails(
    changes: dict[str, Any], words: str, model: Path, tmp_path: Path, verify: Command
) -> None:
    (tmp_path / "ONNX_HUB_MANIFEST.json").write_text(json.dumps([zoo_entry(model, **changes)]), encoding="utf-8")
    assert_failed(verify(model), words, "ONNX_HUB_MANIFEST.json states")


README = """# Base
|Model |Download |Download (with sample test data)| ONNX version |Opset version|Accuracy|
| ------------- | ------------- | ------------- | ------------- | ------------- | ------------- |
|Base| [{size}](model/base-11.onnx) | [295 MB](model/base-11.tar.gz) | 1.13 | {opset}|MCC of [0.85](x.ipynb)|
|Other| [1 GB](model/other-9.onnx) | [434 MB](model/other-9.tar.gz) | 1.4 | 9|88.5|
"""


def test_the_tables_of_a_readme_state_size_and_opset(model: Path, verify: Command) -> None:
    size = f"{model.stat().st_size / 1000:.1f} kB"
    readme = model.parent / "README.md"
    readme.write_text(README.format(size=size, opset=17), encoding="utf-8")
    facts = facts_of(verify(model, "--json"))
    assert {fact for fact, holds in facts.items() if holds} == {"size", "opset", "ONNX release"}
    readme.write_text(README.format(size="499 MB", opset=17), encoding="utf-8")
    assert_failed(verify(model), "size: ", "README.md states 499 MB")
    readme.write_text(README.format(size=size, opset=11), encoding="utf-8")
    assert_failed(verify(model), "opset: ", "states ai.onnx 11, found ai.onnx 17")


def test_a_row_of_another_models_path_is_not_believed(model: Path, tmp_path: Path, verify: Command) -> None:
    rows = "| file | opset |\n|---|---|\n| a/base-11.onnx | 1 |\n| b/base-11.onnx | 2 |\n"
    (model.parent / "README.md").write_text(rows, encoding="utf-8")
    assert facts_of(verify(model, "--json"))["opset"] is None
    (model.parent / "README.md").write_text(rows + "| base-11.onnx | 17 |\n", encoding="utf-8")
    assert facts_of(verify(model, "--json"))["opset"] is True


def test_a_document_that_is_named_must_speak_of_the_model(model: Path, tmp_path: Path, verify: Command) -> None:
    (tmp_path / "README.md").write_text("# Another model\n", encoding="utf-8")
    assert_refused(verify(model, "--against", tmp_path / "README.md"), "it states nothing of base-11.onnx")


@pytest.mark.parametrize(
    ("stated", "size_bytes", "agrees"),
    [
        ("499 MB", 498_627_513, True),
        ("499 MB", 499 << 20, True),
        ("499 MB", 497_900_000, False),
        ("499 MiB", 498_627_513, False),
        ("1.2 GB", 1_250_000_000, True),
        ("1.2 GB", 1_460_000_000, False),
        ("1,234 bytes", 1234, True),
        ("1234 bytes", 1235, False),
        ("4 kB", 4095, True),
    ],
)
def test_a_size_in_words_holds_to_its_last_digit(stated: str, size_bytes: int, agrees: bool) -> None:
    assert size_agrees(stated, size_bytes) is agrees


@pytest.mark.parametrize(
    ("stated", "found", "agrees"),
    [
        ("int64[batch, sequence]", "int64[b, s]", True),
        ("int64[batch, sequence]", "int64[batch, 128]", False),
        ("int64[batch, 128]", "int64[batch, sequence]", False),
        ("int64[batch, 128]", "int32[batch, 128]", False),
        ("int64[batch]", "int64[batch, sequence]", False),
        ("float32[]", "float32[]", True),
        ("float32[...]", "float32[...]", True),
        ("float32[...]", "float32[2]", False),
    ],
)
def test_ports_agree_in_type_rank_and_fixed_lengths(stated: str, found: str, agrees: bool) -> None:
    assert parse_port(found).agrees(parse_port(stated)) is agrees
    assert str(parse_port(found)) == found


def test_what_is_no_port_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a type and its axes"):
        parse_port("int64")
    assert parse_port("float32[2, n]") == Port("float32", (2, "n"))


# Real artifacts


def _perturb(model: Path) -> None:
    """Negate one row of the last matrix that is no embedding table."""
    proto = onnx.load(model)
    matrices = [
        tensor for tensor in proto.graph.initializer if len(tensor.dims) == 2 and tensor.data_type != TensorProto.INT64
    ]
    weight = [tensor for tensor in matrices if min(tensor.dims) > 1 and max(tensor.dims) < 65][-1]
    values = numpy_helper.to_array(weight).copy()
    values[0] = -values[0]
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(proto, model)


def test_every_class_but_other_weights_has_a_tolerance() -> None:
    assert set(PRECISION_CLASSES) - set(TOLERANCES) == {Precision.CHECKPOINT}


def _check_artifact(backend: str, encoder_folder: Path, folder: Path, verify: Command) -> None:
    from driftgate.pipeline import build

    encoder = load_encoder(encoder_folder)
    build(encoder, backend, folder)
    write_vectors(folder, folder / "model.onnx", embedded_feeds(encoder))
    exact = ("--rtol", 0, "--atol", 0)  # on the machine that wrote them
    assert_verified(verify(folder))
    assert_verified(verify(folder, *exact))
    _perturb(folder / "model.onnx")
    assert_failed(verify(folder), "sha256: manifest.json states")
    assert_failed(verify(folder, *exact), "test_data_set_", "beyond tolerance")


def test_a_built_artifact_verifies_until_a_weight_changes(
    tiny_encoder: Path, tmp_path: Path, warm_cache: Path, verify: Command
) -> None:
    _check_artifact("onnx-fp32", tiny_encoder, tmp_path / "out", verify)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnx-fp16", "onnx-int8", "onnx-int8-dynamic", "onnx-int8-static"])
def test_every_kind_of_artifact_verifies_until_a_weight_changes(
    backend: str, tiny_encoder: Path, tmp_path: Path, warm_cache: Path, verify: Command
) -> None:
    _check_artifact(backend, tiny_encoder, tmp_path / "out", verify)


@pytest.mark.slow
def test_a_base_encoder_verifies_against_what_torch_answers(
    tiny_encoder: Path, tmp_path: Path, verify: Command
) -> None:
    import warnings

    import torch
    from transformers import AutoModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the classifier has no pooler, so it is made here
        module = AutoModel.from_pretrained(tiny_encoder, attn_implementation="eager").eval()
    feeds = [{name: feed[name] for name in FEED} for feed in embedded_feeds(load_encoder(tiny_encoder))]
    path = tmp_path / "base.onnx"
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence", min=2, max=64)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        torch.onnx.export(
            module,
            (),
            str(path),
            kwargs={name: torch.from_numpy(array) for name, array in feeds[1].items()},
            input_names=list(FEED),
            output_names=["last_hidden_state", "pooler_output"],
            dynamic_shapes=dict.fromkeys(FEED, axes),
            external_data=False,
            dynamo=True,
            verbose=False,
        )
    for number, feed in enumerate(feeds):
        with torch.no_grad():
            answers = module(**{name: torch.from_numpy(array) for name, array in feed.items()}).to_tuple()
        for kind, arrays in (("input", feed.values()), ("output", [answer.numpy() for answer in answers])):
            for position, array in enumerate(arrays):
                save_tensor(tmp_path / f"test_data_set_{number}/{kind}_{position}.pb", array)
    result = verify(path)
    assert_verified(result)
    assert "6 outputs of 3 sets within tolerance" in result.stdout
    _perturb(path)
    assert_failed(verify(path), "last_hidden_state", "beyond tolerance")


@pytest.mark.parametrize(
    "case", ["simple/test_expand_shape_model1", "simple/test_single_relu_model", "pytorch-converted/test_Embedding"]
)
def test_golden_vectors_that_come_with_onnx_verify(case: str, verify: Command) -> None:
    folder = Path(onnx.__file__).parent / "backend/test/data" / case
    if not folder.is_dir():
        pytest.skip("this onnx package comes without its test cases")
    assert_verified(verify(folder))


def test_a_golden_vector_of_onnx_that_expects_nan_does_not_pass(verify: Command) -> None:
    folder = Path(onnx.__file__).parent / "backend/test/data/pytorch-operator/test_operator_sqrt"
    if not folder.is_dir():
        pytest.skip("this onnx package comes without its test cases")
    assert_failed(verify(folder), "4 of 12 beyond tolerance, 4 NaN or infinite")
