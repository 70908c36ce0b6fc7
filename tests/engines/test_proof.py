"""A worker shows that it has the job's model and that it computes what it should, before it gets a shard."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run_driftgate

from driftgate.arrays import Logits
from driftgate.builder.models import find_model
from driftgate.engines.proof import Proof, make_proof, require_proof
from driftgate.errors import ArtifactError
from driftgate.predict.answerer import Answerer, open_answerer
from driftgate.predict.prediction_job import PredictionJob
from driftgate.run.device import RunSettings

ONE = RunSettings(1)


def job_of(model: Path, backend: str | None = None) -> PredictionJob:
    found = find_model(str(model), backend)
    return PredictionJob(found.encoder, found.backend, "-", "-")


def load(job: PredictionJob, **changes: Any) -> Answerer:
    return replace(open_answerer(job.encoder, job.backend, ONE), **changes)


@pytest.fixture
def built(tiny_encoder: Path, warm_cache: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "built"
    assert run_driftgate("build", tiny_encoder, "--backends", "onnx-int8", "--out", folder).exit_code == 0
    return folder


@pytest.mark.parametrize("backend", ["torch", "onnx-fp32", "onnx-int8"])
def test_without_golden_vectors_workers_answer_as_the_process_that_asks_them(
    backend: str, tiny_encoder: Path, warm_cache: Path
) -> None:
    job = job_of(tiny_encoder, backend)
    proof = make_proof(job)
    assert proof.vectors is None
    assert proof.answers is not None
    assert proof.answers.shape == (16, 4)
    answerer = load(job)
    require_proof(proof, answerer, job, ONE)
    wrong = replace(answerer, answer=lambda batch: Logits(np.asarray(answerer.answer(batch)) + 0.2))
    with pytest.raises(ArtifactError, match=r"it answers otherwise here: 64 of 64 logits .* differ by up to 0\.2"):
        require_proof(proof, wrong, job, ONE)
    with pytest.raises(ArtifactError, match="has other bytes here"):
        require_proof(proof, replace(answerer, sha256="0" * 64), job, ONE)


def test_nan_is_no_answer(tiny_encoder: Path, warm_cache: Path) -> None:
    job = job_of(tiny_encoder, "onnx-fp32")
    proof = make_proof(job)
    assert proof.answers is not None
    answers = np.array(proof.answers)
    answers[3, 1] = np.nan
    with pytest.raises(ArtifactError, match="1 of 64 logits"):
        require_proof(replace(proof, answers=Logits(answers)), load(job), job, ONE)


def test_golden_vectors_are_asked_where_they_are_beside_the_model(built: Path) -> None:
    job = job_of(built)
    proof = make_proof(job)
    assert (proof.vectors, proof.answers, proof.precision) == (built / "model.onnx", None, "int8-rowwise")
    require_proof(proof, load(job), job, ONE)
    for answer in built.glob("test_data_set_0/output_0.pb"):
        content = bytearray(answer.read_bytes())
        content[-3:] = b"\xff\xff\x41"  # the last logit is now about 32
        answer.write_bytes(content)
    with pytest.raises(ArtifactError, match="not verified on this machine"):
        require_proof(proof, load(job), job, ONE)


def test_golden_vectors_that_are_missing_on_a_machine_are_said(built: Path) -> None:
    job = job_of(built)
    proof = make_proof(job)
    for folder in built.glob("test_data_set_*"):
        folder.rename(built / f"not_{folder.name}")
    with pytest.raises(ArtifactError, match="no golden vectors are beside it here"):
        require_proof(proof, load(job), job, ONE)


def test_an_empty_proof_asks_nothing(tiny_encoder: Path, warm_cache: Path) -> None:
    job = job_of(tiny_encoder, "onnx-fp32")
    require_proof(Proof(), load(job), job, ONE)
