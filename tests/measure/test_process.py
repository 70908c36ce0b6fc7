"""Cold start and peak memory, in a process of its own."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stub_backend import StubBackend

from driftgate.backends import REGISTRY, BackendSpec, Precision, Runtime
from driftgate.builder.build import build_artifact
from driftgate.errors import (
    DriftgateError,
    OptionError,
)
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.measure.process import FreshProcess, measure_in_fresh_process
from driftgate.pipeline import prepare_backend
from driftgate.run.device import (
    RunSettings,
)

SETTINGS = RunSettings(threads=1)


TEXTS = (
    "no",
    "thank you so much, this made my day",
    "the bus was late again and it rained and I am not sure that I like where this is going",
    "what a game!",
    "Sorry, I should have told you earlier.",
    "nobody saw that coming",
    "yes",
)


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


@pytest.fixture(scope="module", params=["torch", "onnx-int8-dynamic"])
def fresh_process(request: pytest.FixtureRequest, encoder: Encoder, shared_cache: Path) -> Iterator[FreshProcess]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIFTGATE_CACHE", str(shared_cache))
        built = prepare_backend(encoder, REGISTRY[request.param])
        yield measure_in_fresh_process(encoder, built.spec, built.artifact, TEXTS, SETTINGS)


@pytest.mark.slow
def test_a_fresh_process_answers_after_it_has_loaded(fresh_process: FreshProcess) -> None:
    assert 0 < fresh_process.load_seconds < fresh_process.first_answer_seconds


@pytest.mark.slow
def test_a_fresh_process_needs_more_memory_than_its_imports(fresh_process: FreshProcess) -> None:
    assert 0 < fresh_process.baseline_bytes < fresh_process.peak_bytes


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="only Linux tells a process's own peak")
def test_the_memory_of_a_fresh_process_is_its_own_and_not_its_parents(encoder: Encoder) -> None:
    ballast = np.ones(1 << 27)  # 1 GiB, which ru_maxrss would hand down to the child
    measured = measure_in_fresh_process(encoder, REGISTRY["torch"], None, TEXTS, SETTINGS)
    assert measured.peak_bytes < ballast.nbytes


@pytest.mark.slow
def test_what_fails_in_a_fresh_process_is_told(encoder: Encoder, tmp_path: Path, warm_cache: Path) -> None:
    spec = REGISTRY["onnx-fp32"]
    missing = replace(build_artifact(encoder, spec), model=tmp_path / "missing.onnx")
    with pytest.raises(DriftgateError, match=r"(?s)onnx-fp32 failed in a process of its own:.*missing\.onnx"):
        measure_in_fresh_process(encoder, spec, missing, TEXTS, SETTINGS)


def test_a_backend_of_this_process_cannot_be_measured_in_another(encoder: Encoder) -> None:
    spec = BackendSpec("mine", Precision.FP32, Runtime.TORCH, open_with=lambda *_: StubBackend())
    with pytest.raises(OptionError, match="backend mine: it is opened by a function of this process"):
        measure_in_fresh_process(encoder, spec, None, TEXTS, SETTINGS)
