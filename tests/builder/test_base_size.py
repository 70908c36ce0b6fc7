"""RoBERTa and ALBERT at their published size, and an encoder over 2 GB: `pytest tests -m base_size`, a few minutes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from driftgate.arrays import Logits
from driftgate.backends import REGISTRY
from driftgate.builder.artifact import model_files
from driftgate.builder.build import build_artifact
from driftgate.inputs.batches import ArrivalPlan, BatchPlan, BudgetPlan, spread_sample
from driftgate.inputs.embedded import throughput_corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.pipeline import open_backend
from driftgate.run.backend import predict
from driftgate.run.device import RunSettings
from driftgate.run.torch_backend import open_reference

pytestmark = pytest.mark.base_size
STUDY = Path(__file__).parents[2] / "studies/int8"


@pytest.fixture(scope="module")
def base_encoders() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STUDY))
        import base_encoders

        yield base_encoders
        sys.modules.pop("base_encoders", None)


@pytest.fixture(scope="module")
def roberta(base_encoders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(base_encoders.make_roberta_base(tmp_path_factory.mktemp("base") / "roberta"))


@pytest.fixture(scope="module")
def albert(base_encoders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load_encoder(base_encoders.make_albert_base(tmp_path_factory.mktemp("base") / "albert"))


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Gigabytes that nobody wants to keep."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIFTGATE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def sample(encoder: Encoder, rows: int) -> TokenizedTexts:
    tokens = tokenize(encoder, throughput_corpus("normal").texts)
    return tokens.take(spread_sample(tokens, rows))


def test_row_wise_int8_answers_with_the_same_bits_in_any_company(roberta: Encoder) -> None:
    tokens = sample(roberta, 60)
    alone = predict(open_backend(roberta, "onnx-int8", RunSettings(2)), tokens, ArrivalPlan(1))
    assert np.std(alone, axis=0).mean() > 0.5  # texts differ, so sameness means something
    plans: list[tuple[int, BatchPlan]] = [(1, ArrivalPlan(1)), (2, ArrivalPlan(8)), (2, BudgetPlan(1024))]
    for threads, plan in plans:
        found = predict(open_backend(roberta, "onnx-int8", RunSettings(threads)), tokens, plan)
        assert np.array_equal(found, alone), (threads, plan)


def test_roberta_base_in_int8_is_a_quarter_of_its_float32_file(roberta: Encoder) -> None:
    full, small = (build_artifact(roberta, REGISTRY[name]).size_bytes for name in ("onnx-fp32", "onnx-int8"))
    assert small <= 0.27 * full


@pytest.mark.parametrize(
    ("backend", "at_most"),
    [
        ("onnx-fp32", 1.05),
        ("onnx-fp16", 0.525),
        ("onnx-int8", 0.30),
        ("onnx-int8-dynamic", 0.30),
        ("onnx-int8-dynamic-per-tensor", 0.30),
        ("onnx-int8-static", 0.30),
    ],
)
def test_albert_base_keeps_its_shared_weights_shared(albert: Encoder, backend: str, at_most: float) -> None:
    (weights,) = albert.weights
    assert build_artifact(albert, REGISTRY[backend]).size_bytes <= at_most * weights.stat().st_size


@pytest.mark.parametrize("backend", ["onnx-fp32", "onnx-fp16", "onnx-int8", "onnx-int8-dynamic"])
def test_weights_over_2_gb_are_written_beside_the_graph_and_read_back(
    over_2_gb: tuple[Encoder, TokenizedTexts, Logits], backend: str
) -> None:
    encoder, tokens, expected = over_2_gb
    artifact = build_artifact(encoder, REGISTRY[backend])
    beside = [path for path in model_files(artifact.model) if path != artifact.model]
    assert len(beside) == 1
    assert artifact.size_bytes > beside[0].stat().st_size > 10 * artifact.model.stat().st_size
    assert (artifact.size_bytes > 2**31) == (backend == "onnx-fp32")
    found = predict(open_backend(encoder, backend, RunSettings(2)), tokens, ArrivalPlan(2))
    assert np.abs(found - expected).max() < {"onnx-fp32": 1e-4, "onnx-fp16": 0.02}.get(backend, 0.5) * expected.std()


@pytest.fixture(scope="module")
def over_2_gb(
    base_encoders: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Encoder, TokenizedTexts, Logits]:
    encoder = load_encoder(base_encoders.make_over_2_gb(tmp_path_factory.mktemp("large") / "roberta"))
    tokens = sample(encoder, 6)
    return encoder, tokens, predict(open_reference(encoder, RunSettings(2)), tokens, ArrivalPlan(2))
