"""Options of `driftgate predict --engine ray` that are refused before any cluster is asked for."""

import json
from pathlib import Path

import pytest
from command_line import run_driftgate

from driftgate.engines import ray_cluster


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    source, path = tmp_path / "in.jsonl", tmp_path / "plan.json"
    source.write_text("".join(json.dumps({"text": f"text {row}"}) + "\n" for row in range(10)), encoding="utf-8")
    assert run_driftgate("shard", source, "--out", path).exit_code == 0
    return path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "ray", "a text"), "expected --plan PLAN with --engine"),
        (("--mixed-machines", "a text"), "expected --plan PLAN with --engine"),
        (("--cpus-per-worker", "2", "a text"), "expected --plan PLAN with --engine"),
        (("--plan", "PLAN", "--ray-address", "auto"), "expected --engine ray with --ray-address"),
        (("--plan", "PLAN", "--engine", "ray", "--device", "cuda"), "--engine ray: its workers score on CPUs"),
        (
            ("--plan", "PLAN", "--engine", "ray", "--ray-address", "ray://h:1"),
            "expected the address of a cluster that this",
        ),
        (("--plan", "PLAN", "--engine", "ray", "--shard", "9/5"), "--shard 9/5: expected I/N"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    arguments: tuple[str, ...], message: str, plan: Path, tiny_encoder: Path, warm_cache: Path
) -> None:
    done = run_driftgate("predict", tiny_encoder, *(str(plan) if one == "PLAN" else one for one in arguments))
    assert (done.exit_code, done.stdout) == (4, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_ray_the_extra_is_named(
    plan: Path, tiny_encoder: Path, warm_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", lambda name: None)
    done = run_driftgate("predict", tiny_encoder, "--plan", plan, "--engine", "ray")
    assert done.exit_code == 4
    assert done.stderr == 'driftgate: --engine ray: Ray is not installed; pip install "driftgate[ray]"\n'
