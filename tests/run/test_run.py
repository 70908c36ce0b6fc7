"""Who answers: prediction over a corpus, torch and ONNX Runtime backends, devices and threads, and what times them."""

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import onnxruntime
import pytest
import torch
from stub_backend import StubBackend
from tiny_encoders import make_encoder

from driftgate.arrays import Logits
from driftgate.backends import REGISTRY, BackendSpec, Precision, Runtime
from driftgate.builder.build import build_artifact
from driftgate.errors import (
    ArtifactError,
    BackendUnavailableError,
    DeviceError,
    NonFiniteLogitsError,
    OptionError,
    RuntimeConflictError,
)
from driftgate.inputs.batches import ArrivalPlan, BatchPlan, BudgetPlan, spread_sample
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.measure.workload import prepare_workload, time_blocks
from driftgate.pipeline import bounds_keys, open_backend, prepare_backend
from driftgate.run.backend import InForce, predict
from driftgate.run.device import (
    Device,
    RunSettings,
    available_threads,
    parse_device,
    refuse_conflicting_runtimes,
    require_device,
)
from driftgate.run.onnx_backend import open_onnx
from driftgate.run.open import open_backend as open_spec
from driftgate.run.torch_backend import open_reference

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
PLANS = [ArrivalPlan(1), ArrivalPlan(3), ArrivalPlan(32), BudgetPlan(40), BudgetPlan(1024)]


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    return load_encoder(tiny_encoder)


@pytest.fixture(scope="module")
def tokens(encoder: Encoder) -> TokenizedTexts:
    return tokenize(encoder, TEXTS)


@pytest.fixture(scope="module")
def reference_logits(encoder: Encoder, tokens: TokenizedTexts) -> Logits:
    """The reference's answers, a text at a time: nothing that batches do can be in them."""
    return predict(open_reference(encoder, SETTINGS), tokens, ArrivalPlan(1))


def rows_of_lengths(*lengths: int) -> TokenizedTexts:
    ids = tuple(np.arange(1, length + 1, dtype=np.int64) for length in lengths)
    return TokenizedTexts(ids, None, (False,) * len(lengths), pad_token_id=0)


# Prediction over a corpus


@pytest.mark.parametrize("plan", PLANS, ids=repr)
def test_predictions_come_in_corpus_order_whatever_the_plan(plan: BatchPlan) -> None:
    lengths = [5, 40, 2, 17, 2, 60, 1]
    expected = [[length * (length + 1) / 2, length] for length in lengths]
    assert predict(StubBackend(), rows_of_lengths(*lengths), plan).tolist() == expected


@pytest.mark.parametrize("plan", PLANS, ids=repr)
@pytest.mark.parametrize("backend", ["torch", "onnx-fp32"])
def test_a_float32_backend_agrees_with_the_reference_under_every_plan(
    backend: str,
    plan: BatchPlan,
    encoder: Encoder,
    tokens: TokenizedTexts,
    reference_logits: Logits,
    warm_cache: Path,
) -> None:
    opened = open_backend(encoder, backend, SETTINGS)
    assert opened.in_force.arithmetic == "float32"
    assert np.ptp(reference_logits, axis=0).min() > 0.01, "rows that answer alike prove no order"
    np.testing.assert_allclose(predict(opened, tokens, plan), reference_logits, rtol=0, atol=1e-4)


def test_logits_are_float32_with_a_row_a_text_and_a_column_a_label(
    encoder: Encoder, tokens: TokenizedTexts, warm_cache: Path
) -> None:
    logits = predict(open_backend(encoder, "onnx-fp16", SETTINGS), tokens, ArrivalPlan(3))
    assert (logits.dtype, logits.shape) == (np.float32, (len(TEXTS), len(encoder.labels)))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_logits_that_are_not_finite_are_refused_with_their_rows(value: float) -> None:
    backend = StubBackend(bad_rows={2: value, 4: value})
    with pytest.raises(NonFiniteLogitsError, match=r"backend stub: 2 of 5 rows .*\(rows 2, 4\)"):
        predict(backend, rows_of_lengths(9, 8, 7, 6, 5), BudgetPlan(16))


def test_at_most_ten_rows_are_named() -> None:
    backend = StubBackend(bad_rows=dict.fromkeys(range(30), np.nan))
    with pytest.raises(NonFiniteLogitsError, match=r"30 of 30 rows .*\(rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9\)"):
        predict(backend, rows_of_lengths(*[4] * 30), ArrivalPlan(8))


@pytest.mark.parametrize("backend", ["torch", "onnx-fp32"])
def test_a_prepared_batch_answers_the_same_when_called_again(
    backend: str, encoder: Encoder, tokens: TokenizedTexts, warm_cache: Path
) -> None:
    (call,) = prepare_workload(open_backend(encoder, backend, SETTINGS), tokens, ArrivalPlan(32)).prepared
    assert call().tolist() == call().tolist()


# What is in force


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("torch", InForce("cpu", "float32", 2)),
        ("onnx-fp32", InForce("CPUExecutionProvider", "float32", 2)),
        ("onnx-fp16", InForce("CPUExecutionProvider", "float32", 2)),  # the CPU has no float16 kernels
        ("onnx-int8-dynamic", InForce("CPUExecutionProvider", "int8", 2)),
    ],
)
def test_what_is_in_force_is_read_back(backend: str, expected: InForce, encoder: Encoder, warm_cache: Path) -> None:
    assert open_backend(encoder, backend, RunSettings(threads=2)).in_force == expected


def test_the_reference_uses_eager_attention(encoder: Encoder) -> None:
    assert open_reference(encoder, SETTINGS).module.config._attn_implementation == "eager"


def test_torch_uses_the_librarys_own_attention(encoder: Encoder) -> None:
    opened: Any = open_backend(encoder, "torch", SETTINGS)
    assert opened.module.config._attn_implementation == "sdpa"


def test_the_reference_stays_on_the_cpu(encoder: Encoder) -> None:
    assert open_reference(encoder, RunSettings(1, Device("cuda"))).in_force.provider == "cpu"


def test_a_backend_carries_the_spec_it_was_opened_with(encoder: Encoder) -> None:
    spec = replace(REGISTRY["torch"], name="my-torch")
    assert open_spec(encoder, spec, None, SETTINGS).spec is spec


def test_a_backend_of_an_unknown_runtime_is_opened_by_its_own_function(encoder: Encoder) -> None:
    stub = StubBackend()
    spec = BackendSpec("mine", Precision.FP32, Runtime.TORCH, open_with=lambda encoder, artifact, settings: stub)
    assert open_spec(encoder, spec, None, SETTINGS) is stub


def test_bounds_are_looked_up_by_name_then_class_and_device_then_class() -> None:
    keys = bounds_keys(REGISTRY["onnx-fp16"], RunSettings(1, Device("cuda", 1)), multi_label=True)
    assert keys == ("onnx-fp16", "fp16-cuda", "fp16")


def test_only_one_backend_is_opened_at_a_time(encoder: Encoder) -> None:
    with pytest.raises(OptionError, match="expected one backend, found 2"):
        open_backend(encoder, "torch,onnx-fp32")


# Files that do not fit


def test_an_onnx_backend_without_its_artifact_is_refused(encoder: Encoder) -> None:
    with pytest.raises(ArtifactError, match="backend onnx-fp32: expected an artifact to load"):
        open_spec(encoder, REGISTRY["onnx-fp32"], None, SETTINGS)


def test_an_artifact_that_does_not_load_is_refused(encoder: Encoder, warm_cache: Path, tmp_path: Path) -> None:
    spec = REGISTRY["onnx-fp32"]
    artifact = build_artifact(encoder, spec)
    half = tmp_path / "half.onnx"
    half.write_bytes(artifact.model.read_bytes()[:5000])
    with pytest.raises(ArtifactError, match=r"half\.onnx: ONNX Runtime cannot load it"):
        open_onnx(encoder, spec, replace(artifact, model=half), SETTINGS)


def test_logits_of_another_shape_are_refused(encoder: Encoder, tokens: TokenizedTexts, warm_cache: Path) -> None:
    spec = REGISTRY["onnx-fp32"]
    other = replace(encoder, labels=("joy", "anger"))
    opened = open_onnx(other, spec, build_artifact(encoder, spec), SETTINGS)
    with pytest.raises(ArtifactError, match=r"expected logits of shape \(7, 2\), found \(7, 4\)"):
        predict(opened, tokens, ArrivalPlan(32))


# Devices and threads


@pytest.mark.parametrize(
    ("text", "device"),
    [("cpu", Device()), ("cuda", Device("cuda", 0)), ("cuda:0", Device("cuda", 0)), ("cuda:11", Device("cuda", 11))],
)
def test_a_device_is_read(text: str, device: Device) -> None:
    assert parse_device(text) == device


@pytest.mark.parametrize("text", ["", "gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "cuda:1:2", "cuda:²", "CUDA"])
def test_anything_else_is_not_a_device(text: str) -> None:
    with pytest.raises(OptionError, match="expected cpu, cuda or cuda:N"):
        parse_device(text)


@pytest.mark.parametrize("device", [Device(), Device("cuda", 1)], ids=str)
def test_a_device_is_written_as_it_is_read(device: Device) -> None:
    assert parse_device(str(device)) == device


@pytest.mark.parametrize("threads", [0, -1])
def test_threads_are_at_least_one(threads: int) -> None:
    with pytest.raises(OptionError, match=f"threads {threads}: expected"):
        RunSettings(threads)


def pretend_cuda(
    monkeypatch: pytest.MonkeyPatch, *, available: bool = True, count: int = 1, provider: bool = True
) -> None:
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"] if provider else ["CPUExecutionProvider"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)


@pytest.mark.parametrize(
    ("machine", "reason"),
    [
        ({"available": False}, "device cuda:1: torch sees no CUDA device"),
        ({"count": 1}, "device cuda:1: this machine has 1 CUDA devices, counted from 0"),
        ({"count": 2, "provider": False}, "device cuda:1: this onnxruntime has no CUDAExecutionProvider"),
    ],
    ids=["no-device", "too-few-devices", "no-provider"],
)
def test_a_device_that_is_not_here_is_refused_with_the_reason(
    machine: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cuda(monkeypatch, **machine)
    with pytest.raises(DeviceError, match=reason):
        require_device(Device("cuda", 1))


def test_a_device_that_is_here_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_cuda(monkeypatch)
    require_device(Device("cuda"))


@pytest.mark.parametrize("backend", ["torch", "torch-compile", "onnx-fp32"])
def test_no_backend_is_opened_on_a_device_that_is_not_here(
    backend: str, encoder: Encoder, warm_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_cuda(monkeypatch, available=False)
    with pytest.raises(DeviceError, match="torch sees no CUDA device"):
        open_backend(encoder, backend, RunSettings(1, Device("cuda")))


class OtherSession:
    """A session that gave another provider than the one asked for, as ONNX Runtime does without the CUDA libraries."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]


def test_a_provider_that_is_not_given_is_an_error(
    encoder: Encoder, warm_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = REGISTRY["onnx-fp32"]
    artifact = build_artifact(encoder, spec)
    monkeypatch.setattr(onnxruntime, "InferenceSession", OtherSession)
    with pytest.raises(
        DeviceError, match="expected ONNX Runtime to use CUDAExecutionProvider, found CPUExecutionProvider"
    ):
        open_onnx(encoder, spec, artifact, RunSettings(1, Device("cuda")))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no CPU affinity")
def test_threads_come_from_affinity_and_not_from_the_host() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from driftgate.run.device import available_threads; print(available_threads())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_by_default_every_core_of_this_process_is_used(encoder: Encoder, warm_cache: Path) -> None:
    assert open_backend(encoder, "onnx-fp32").in_force.threads == available_threads() >= 1


# Packages


def pretend_installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def version(name: str) -> str:
        if name not in names:
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.22.0"

    monkeypatch.setattr(importlib.metadata, "version", version)


@pytest.mark.parametrize("name", ["onnxruntime", "onnxruntime-gpu"])
def test_one_onnx_runtime_is_accepted(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, name)
    refuse_conflicting_runtimes()


def test_two_onnx_runtimes_are_refused_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    with pytest.raises(RuntimeConflictError) as refusal:
        refuse_conflicting_runtimes()
    assert "onnxruntime 1.22.0 and onnxruntime-gpu 1.22.0 are both installed" in str(refusal.value)
    assert "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime" in str(refusal.value)


def test_no_onnx_runtime_is_refused_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch)
    with pytest.raises(RuntimeConflictError, match=r'no ONNX Runtime is installed; pip install "driftgate\[cpu\]"'):
        refuse_conflicting_runtimes()


def test_nothing_is_built_for_a_conflicting_runtime(
    encoder: Encoder, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_installed(monkeypatch, "onnxruntime", "onnxruntime-gpu")
    with pytest.raises(RuntimeConflictError):
        prepare_backend(encoder, REGISTRY["onnx-fp32"])
    assert not empty_cache.exists()


def test_torch_does_not_need_an_onnx_runtime(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch)
    assert open_backend(encoder, "torch", SETTINGS).spec == REGISTRY["torch"]


# torch.compile


def test_without_a_compiler_torch_compile_is_unavailable_and_not_eager(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch._inductor import cpp_builder
    from torch._inductor.exc import InvalidCxxCompiler

    def refuse() -> NoReturn:
        raise InvalidCxxCompiler

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", refuse)
    with pytest.raises(BackendUnavailableError, match=r"needs a C\+\+ compiler .*; install g\+\+"):
        open_backend(encoder, "torch-compile", SETTINGS)


@contextmanager
def counted_compilations() -> Iterator[Callable[[], int]]:
    """How many graphs torch has compiled since."""
    from torch._dynamo.utils import counters

    before = counters["stats"]["unique_graphs"]
    yield lambda: counters["stats"]["unique_graphs"] - before


@pytest.mark.slow
@pytest.mark.parametrize("family", ["roberta", "bert"])  # bert has token types
def test_torch_compile_agrees_with_the_reference_and_compiles_before_it_is_opened(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    encoder = load_encoder(make_encoder(tmp_path / family, family))
    tokens = tokenize(encoder, TEXTS)
    with counted_compilations() as compiled:
        opened: Any = open_backend(encoder, "torch-compile", SETTINGS)
        assert type(opened.module).__name__ == "OptimizedModule"
        at_opening = compiled()
        assert at_opening >= 1
        answers = [predict(opened, tokens, plan) for plan in PLANS]
        assert compiled() == at_opening
    expected = predict(open_reference(encoder, SETTINGS), tokens, ArrivalPlan(1))
    for found in answers:
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


# What times them


def test_every_backend_gets_a_time_for_each_of_at_least_three_blocks() -> None:
    tokens = rows_of_lengths(3, 5, 8)
    workloads = {name: prepare_workload(StubBackend(), tokens, ArrivalPlan(2)) for name in ("first", "second")}
    seconds = time_blocks(workloads)
    assert list(seconds) == ["first", "second"]
    for times in seconds.values():
        assert len(times) >= 3
        assert all(value > 0 for value in times)


def test_as_many_blocks_are_timed_as_asked_for() -> None:
    workload = prepare_workload(StubBackend(), rows_of_lengths(3), ArrivalPlan(1))
    assert len(time_blocks({"only": workload}, blocks=5)["only"]) == 5


def test_each_block_runs_the_first_batch_untimed_and_then_all() -> None:
    backend = StubBackend()
    time_blocks({"only": prepare_workload(backend, rows_of_lengths(3, 5, 8), ArrivalPlan(2))}, blocks=2)
    assert backend.calls == [2, 2, 1] * 2


@pytest.mark.parametrize("plan", PLANS, ids=repr)
def test_a_workload_answers_as_prediction_does(plan: BatchPlan) -> None:
    tokens = rows_of_lengths(9, 2, 30, 4, 4)
    workload = prepare_workload(StubBackend(), tokens, plan)
    assert workload.logits(workload.run()).tolist() == predict(StubBackend(), tokens, plan).tolist()


def test_a_workload_counts_its_rows_and_tokens() -> None:
    workload = prepare_workload(StubBackend(), rows_of_lengths(3, 5, 8), ArrivalPlan(2))
    assert (workload.rows, workload.real_tokens, workload.padded_tokens) == (3, 16, 18)


def test_a_spread_sample_covers_short_and_long_rows() -> None:
    lengths = np.random.default_rng(0).permutation(1000).tolist()
    chosen = sorted(lengths[row] for row in spread_sample(rows_of_lengths(*lengths), 10))
    assert chosen == list(range(50, 1000, 100))


def test_a_spread_sample_names_no_row_twice() -> None:
    chosen = spread_sample(rows_of_lengths(*[4] * 50), 20)
    assert len(set(chosen)) == len(chosen) == 20


def test_a_spread_sample_of_more_than_there_is_is_all() -> None:
    assert sorted(spread_sample(rows_of_lengths(5, 3, 4), 99)) == [0, 1, 2]


def test_a_spread_sample_is_the_same_every_time() -> None:
    tokens = rows_of_lengths(*range(1, 200))
    assert spread_sample(tokens, 30) == spread_sample(tokens, 30) != spread_sample(tokens, 30, seed=1)
