"""`driftgate shard`, `predict --plan` and `merge`, with a real backend."""

import json
from pathlib import Path

import pytest
from command_line import run_driftgate


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    rows = (json.dumps({"body": f"thank you for number {row}" if row % 50 else ""}) for row in range(5000))
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def test_shards_of_a_real_backend_are_joined_to_what_one_process_writes(
    source: Path, tiny_encoder: Path, warm_cache: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "run" / "plan.json"
    shard = run_driftgate("shard", source, "--text-column", "body", "--rows", 2000, "--out", plan)
    assert shard.exit_code == 0, shard.stderr
    assert "5,000 rows in 3 shards" in shard.stderr
    model = ("predict", tiny_encoder, "--backend", "onnx-int8")
    early = run_driftgate("merge", plan, "--out", tmp_path / "merged.csv")
    assert early.exit_code == 4
    assert "3 of 3 shards cannot be merged" in early.stderr
    for share, workers in (("2/2", 1), ("1/2", 1)):
        done = run_driftgate(*model, "--plan", plan, "--shard", share, "--workers", workers)
        assert done.exit_code == 0, done.stderr
    assert "0 rows in 0 shards scored, 3 shards were whole before" in run_driftgate(*model, "--plan", plan).stderr
    assert run_driftgate("merge", plan, "--out", tmp_path / "merged.csv").exit_code == 0
    files = ("--input", source, "--text-column", "body", "--output", tmp_path / "whole.csv")
    assert run_driftgate(*model, *files).exit_code == 0
    for name in ("", ".rejects.jsonl"):
        assert (tmp_path / f"merged.csv{name}").read_bytes() == (tmp_path / f"whole.csv{name}").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--plan", "missing.json"), "expected a plan that `driftgate shard` wrote"),
        (("--plan", "missing.json", "--input", "in.csv", "--output", "out.csv"), "leave out texts, --input"),
        (("--plan", "missing.json", "a text"), "leave out texts, --input"),
    ],
)
def test_options_that_a_plan_has_already_are_refused(
    arguments: tuple[str, ...], message: str, tiny_encoder: Path
) -> None:
    done = run_driftgate("predict", tiny_encoder, *arguments)
    assert done.exit_code == 4
    assert message in done.stderr


def test_a_share_out_of_range_and_a_plan_in_the_way_are_refused(
    source: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    arguments = ("shard", source, "--text-column", "body", "--out", tmp_path / "plan.json")
    assert run_driftgate(*arguments).exit_code == 0
    assert "--overwrite replaces it" in run_driftgate(*arguments).stderr
    done = run_driftgate("predict", tiny_encoder, "--plan", tmp_path / "plan.json", "--shard", "9/5")
    assert "--shard 9/5: expected I/N" in done.stderr
