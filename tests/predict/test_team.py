"""Who answers a job's windows, and with which settings."""

from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from letter_counter import open_double
from worker_jobs import make_job, some_texts, write_input

from driftgate.backends import REGISTRY
from driftgate.builder.build import build_artifact
from driftgate.inputs.encoder import load_encoder
from driftgate.predict.team import Alone, open_team
from driftgate.run.device import RunSettings
from driftgate.run.onnx_backend import open_session


def test_only_a_process_that_has_its_cores_to_itself_spins(tmp_path: Path) -> None:
    opened: list[RunSettings] = []

    def watch(encoder: Any, backend: Any, settings: RunSettings) -> Any:
        opened.append(settings)
        return open_double(encoder, backend, settings)

    job = make_job(write_input(tmp_path / "in.jsonl", some_texts(10)), tmp_path / "out.csv", 1)
    team = open_team(job, watch)
    assert isinstance(team, Alone)
    assert [settings.spins for settings in opened] == [True]
    assert not job.run_settings.spins  # which is what worker processes are given


@pytest.mark.parametrize("spins", [True, False])
def test_threads_never_spin_on_when_a_call_is_over(
    spins: bool, tiny_encoder: Path, warm_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    session = onnxruntime.InferenceSession

    def watch(model: Any, options: Any, **more: Any) -> Any:
        seen.append(options)
        return session(model, options, **more)

    model = build_artifact(load_encoder(tiny_encoder), REGISTRY["onnx-fp32"]).model
    monkeypatch.setattr(onnxruntime, "InferenceSession", watch)
    open_session(model, RunSettings(2, spins=spins), "a test")
    assert seen[0].get_session_config_entry("session.intra_op.allow_spinning") == str(int(spins))
    assert seen[0].get_session_config_entry("session.force_spinning_stop") == "1"
