"""What the doctor reads of graphs, written node by node."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from weight_graphs import save, save_dynamic, tensor

from driftgate.doctor.read_graph import UNKNOWN_SHAPE, count_overflowing_pairs, read_content
from driftgate.doctor.read_runtime import CPU, read_session
from driftgate.errors import ArtifactError


def test_the_sign_of_weights_is_read_and_their_overflowing_pairs_are_counted(tmp_path: Path) -> None:
    signed = np.array([[127, 64], [2, 64], [-128, -100], [-1, 100]], np.int8)
    found = read_content(save_dynamic(tmp_path / "model.onnx", signed), UNKNOWN_SHAPE)
    assert found.precision == "int8-dynamic"
    assert (found.integers.signed, found.integers.unsigned) == (1, 0)
    assert (found.integers.pairs, found.integers.overflowing_pairs) == (4, 2)
    unsigned = read_content(save_dynamic(tmp_path / "unsigned.onnx", signed.astype(np.uint8)), UNKNOWN_SHAPE)
    assert (unsigned.integers.signed, unsigned.integers.unsigned, unsigned.integers.pairs) == (0, 1, 0)


@pytest.mark.parametrize(
    ("first", "second", "overflows"),
    [
        (127, 1, False),
        (127, 2, True),
        (64, 64, False),
        (64, 65, True),
        (-128, 0, False),
        (-128, -1, True),
        (127, -128, False),
    ],
)
def test_a_pair_overflows_where_its_products_leave_16_bits(first: int, second: int, *, overflows: bool) -> None:
    pair = np.array([[first], [second]], np.int8)
    reachable = [a * first + b * second for a in (0, 255) for b in (0, 255)]
    assert overflows == (max(reachable) > 32767 or min(reachable) < -32768)
    assert count_overflowing_pairs(pair) == (1, int(overflows))
    assert count_overflowing_pairs(pair.T, transposed=True) == (1, int(overflows))


def test_weights_of_seven_bits_never_overflow() -> None:
    weight = np.random.default_rng(0).integers(-64, 65, (64, 32)).astype(np.int8)
    assert count_overflowing_pairs(weight) == (1024, 0)


def test_the_session_tells_what_runs_and_why_a_model_does_not_load(tmp_path: Path) -> None:
    model = save_dynamic(tmp_path / "model.onnx", np.ones((4, 2), np.int8))
    session = read_session(model, CPU)
    assert session.error is None
    assert sum(session.operators.values()) >= 1
    assert {"MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul"} & set(session.operators)
    bad = save(tmp_path / "bad.onnx", [helper.make_node("NoSuchOperator", ["x"], ["y"])], [])
    assert "NoSuchOperator" in str(read_session(bad, CPU).error)


def test_hidden_weights_tables_and_last_operators_are_read(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Identity", ["w"], ["hidden"]),
        helper.make_node("MatMul", ["x", "hidden"], ["h"]),
        helper.make_node("Gather", ["table", "place"], ["entry"]),
        helper.make_node("Add", ["h", "entry"], ["sum"]),
        helper.make_node("Sigmoid", ["sum"], ["y"]),
    ]
    constants = [
        tensor(np.ones((4, 4), np.float32), "w"),
        tensor(np.ones((100, 4), np.float32), "table"),
        tensor(np.int64(3), "place"),
    ]
    found = read_content(save(tmp_path / "model.onnx", nodes, constants), UNKNOWN_SHAPE)
    assert found.hidden_constants == 1
    assert found.last_operator == "Sigmoid"
    assert [(matrix.name, matrix.size_bytes, matrix.table) for matrix in found.float_matrices] == [
        ("table", 1600, True),
        ("w", 64, False),
    ]


@pytest.mark.parametrize(
    ("values", "finite"),
    [([1.0, np.nan], False), ([1.0, np.inf], False), (-np.inf, True), (np.nan, False), ([1.0], True)],
)
def test_nan_is_never_right_and_infinity_only_in_a_mask(tmp_path: Path, values: Any, *, finite: bool) -> None:
    constant = tensor(np.array(values, np.float32), "bias")
    model = save(tmp_path / "model.onnx", [helper.make_node("Add", ["x", "bias"], ["y"])], [constant])
    assert read_content(model, UNKNOWN_SHAPE).non_finite == (() if finite else ("bias",))


def test_external_data_is_named_and_missed(tmp_path: Path) -> None:
    model = save(
        tmp_path / "plain.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [tensor(np.ones((4, 900), "f4"), "w")]
    )
    onnx.save(onnx.load(model), tmp_path / "model.onnx", save_as_external_data=True, location="model.onnx_data")
    assert read_content(tmp_path / "model.onnx", UNKNOWN_SHAPE).external == ("model.onnx_data",)
    (tmp_path / "model.onnx_data").unlink()
    with pytest.raises(ArtifactError, match=r"model\.onnx_data"):
        read_content(tmp_path / "model.onnx", UNKNOWN_SHAPE)
