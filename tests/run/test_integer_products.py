"""Integer products against exact ones: sums that are cut off at 16 bits are found, on a machine whose own are not."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nested_pytest import run_pytest
from tiny_encoders import SENTENCES

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.inputs.batches import pad_rows
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import tokenize
from driftgate.run import integer_products
from driftgate.run.device import RunSettings
from driftgate.run.integer_products import Factors, IntegerProducts, check_integer_products, multiply

REPOSITORY = Path(__file__).parents[2]
SETTINGS = RunSettings(threads=1)
LARGEST, SMALLEST = np.iinfo(np.int16).max, np.iinfo(np.int16).min


def multiply_exactly(factors: Sequence[Factors], settings: RunSettings) -> list[Any]:
    """As VNNI does, whatever this machine has."""
    return [activations.astype(np.int64) @ weights.astype(np.int64) for activations, weights in factors]


def multiply_saturating(factors: Sequence[Factors], settings: RunSettings) -> list[Any]:
    """As AVX2 sums products of unsigned and signed integers: two neighbours in 16 bits, then all in 32."""
    answers = []
    for activations, weights in factors:
        rows = activations.reshape(-1, activations.shape[-1]).astype(np.int64)
        pairs = [
            rows[:, [first]] * weights[first].astype(np.int64)
            + rows[:, [first + 1]] * weights[first + 1].astype(np.int64)
            for first in range(0, rows.shape[1], 2)
        ]
        sums = sum(np.clip(pair, SMALLEST, LARGEST) for pair in pairs)
        answers.append(np.asarray(sums).reshape(*activations.shape[:-1], -1))
    return answers


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


@pytest.fixture
def check(encoder: Encoder, warm_cache: Path) -> Callable[[str], IntegerProducts | None]:
    """The check of a backend by name, on two rows."""

    def run(name: str) -> IntegerProducts | None:
        batch = pad_rows(tokenize(encoder, SENTENCES[:2]), range(2))
        feed = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
        return check_integer_products(build_artifact(encoder, REGISTRY[name]).model, feed, SETTINGS)

    return run


@pytest.mark.parametrize("backend", ["onnx-int8", "onnx-int8-dynamic"])
def test_every_product_is_exact_where_nothing_is_cut_off(
    backend: str, check: Callable[[str], IntegerProducts | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integer_products, "multiply", multiply_exactly)
    found = check(backend)
    assert found is not None
    assert (found.wrong, found.wrong_products, found.largest_error) == (0, 0, 0)
    assert found.products >= 12  # query, key, value, output and two more, in two layers
    assert found.sums > 1000


def test_sums_that_are_cut_off_are_counted(
    check: Callable[[str], IntegerProducts | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integer_products, "multiply", multiply_saturating)
    found = check("onnx-int8-dynamic")
    assert found is not None
    assert 0 < found.wrong < found.sums
    assert 0 < found.wrong_products <= found.products
    assert found.largest_error > 100


def test_row_wise_products_are_exact_where_two_neighbours_are_summed_in_16_bits(
    check: Callable[[str], IntegerProducts | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integer_products, "multiply", multiply_saturating)
    found = check("onnx-int8")
    assert found is not None
    assert found.wrong == 0
    assert found.products >= 12


def test_onnx_runtime_is_asked_for_the_sums_themselves() -> None:
    """Too small for any processor to cut them off."""
    activations, weights = np.array([[[1, 2], [3, 255]]], dtype=np.uint8), np.array([[5, -6], [7, 8]], dtype=np.int8)
    (found,) = multiply([(activations, weights)], SETTINGS)
    assert found.dtype == np.int32
    assert found.tolist() == [[[19, 10], [1800, 2022]]]


def test_a_graph_without_integer_products_gives_none(check: Callable[[str], IntegerProducts | None]) -> None:
    assert check("onnx-fp32") is None


@pytest.mark.parametrize("saturates", [True, False], ids=["saturates", "exact"])
def test_the_suite_fails_where_the_kernels_saturate(
    saturates: bool, encoder: Encoder, shared_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "accuracy").mkdir()
    for name in ("__init__.py", "test_integers.py"):
        shutil.copy2(REPOSITORY / "accuracy" / name, tmp_path / "accuracy")
    (tmp_path / "corpus.jsonl").write_text(
        "\n".join(json.dumps({"text": text}) for text in SENTENCES), encoding="utf-8"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")

    monkeypatch.setattr(integer_products, "multiply", multiply_saturating if saturates else multiply_exactly)
    given = [
        "accuracy",
        f"--encoder={encoder.path}",
        "--corpus=corpus.jsonl",
        "--backends=onnx-fp32,onnx-int8-dynamic",
        "-rs",
    ]
    code, output = run_pytest(tmp_path, [*given, "-p", "no:cacheprovider"], shared_cache)
    assert code == (1 if saturates else 0), output
    assert "onnx-fp32 computes no products of integers" in " ".join(output.split())
    assert (
        "x86 processors without VNNI cut sums of two products off at 16 bits" in " ".join(output.split())
    ) == saturates
