"""`driftgate verify`: what is stated of a model, its golden vectors, and the archives and files that are refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from verified_models import (
    FAILED,
    FEED,
    IDS,
    VERIFIED,
    WIDTH,
    Command,
    assert_failed,
    assert_refused,
    assert_verified,
    change_output,
    save,
    save_encoder,
    save_tensor,
)

from driftgate.backends import PRECISION_CLASSES, Precision
from driftgate.builder.model_file import read_model_file
from driftgate.builder.vectors import embedded_feeds, write_vectors
from driftgate.inputs.encoder import load_encoder
from driftgate.verify.check_model import TOLERANCES
from driftgate.verify.closeness import Tolerance, measure_closeness
from driftgate.verify.vector_sets import find_sets, read_set

# Models


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
    assert (
        "structure only: it loads; no document states facts about it; what it answers was not verified" in result.stdout
    )


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
    from driftgate.publish.unjudged import build

    encoder = load_encoder(encoder_folder)
    build(encoder, backend, folder)
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
