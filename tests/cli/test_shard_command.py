"""`driftgate shard`, `predict --plan` and `merge`, with a real backend."""

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import run_driftgate


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.jsonl"
    rows = (json.dumps({"body": f"thank you for number {row}" if row % 50 else ""}) for row in range(5000))
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def done(*arguments: object) -> str:
    """What a command that ends well says."""
    result = run_driftgate(*arguments)
    assert result.exit_code == 0, result.stderr
    return str(result.stderr)


def refused(*arguments: object) -> str:
    """The one line of a refusal."""
    result = run_driftgate(*arguments)
    assert result.exit_code == 4, result.stderr
    (line,) = result.stderr.strip().splitlines()
    return str(line)


def require_same(merged: Path, whole: Path) -> None:
    for name in ("", ".rejects.jsonl"):
        assert Path(f"{merged}{name}").read_bytes() == Path(f"{whole}{name}").read_bytes()


@pytest.mark.parametrize(("backend", "suffix"), [("onnx-int8", "csv"), ("onnx-fp32", "parquet")])
def test_shards_of_a_real_backend_are_joined_to_what_one_process_writes(
    backend: str, suffix: str, source: Path, tiny_encoder: Path, warm_cache: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pyarrow")
    plan = tmp_path / "run/plan.json"
    cut = ("shard", source, "--text-column", "body", "--output-format", suffix, "--out", plan)
    assert "5,000 rows in 3 shards" in done(*cut, "--rows", 2000)
    model = ("predict", tiny_encoder, "--backend", backend)
    assert "3 of 3 shards cannot be merged: not done: 1-3" in refused("merge", plan, "--out", tmp_path / f"m.{suffix}")
    for share in ("2/2", "1/2"):
        done(*model, "--plan", plan, "--shard", share)
    assert "0 rows in 0 shards scored, 3 shards were whole before" in done(*model, "--plan", plan)
    done("merge", plan, "--out", tmp_path / f"merged.{suffix}")
    done(*model, "--input", source, "--text-column", "body", "--output", tmp_path / f"whole.{suffix}")
    require_same(tmp_path / f"merged.{suffix}", tmp_path / f"whole.{suffix}")


def test_a_plan_that_names_a_model_needs_nothing_else_and_takes_no_other(
    source: Path, tiny_encoder: Path, warm_cache: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    model = ("--backend", "onnx-int8", "--top", 1, "--logits")
    done("shard", source, "--text-column", "body", "--shards", 2, "--model", tiny_encoder, *model, "--out", plan)
    entry = json.loads(plan.read_text(encoding="utf-8"))
    assert entry["scoring"] == {"model": str(tiny_encoder), "backend": "onnx-int8", "top": 1, "logits": True}
    assert len(entry["identity"]["model"]["sha256"]) == 64
    assert "threads" not in entry["identity"]["model"]
    for other in (("--backend", "onnx-fp32"), ("--top", 2), ("--max-tokens", 8)):
        assert "another model, or other options, than planned: " in refused("predict", "--plan", plan, *other)
    assert "2 shards scored" in done("predict", "--plan", plan)
    done("merge", plan, "--out", tmp_path / "merged.csv")
    files = ("--input", source, "--text-column", "body", "--output", tmp_path / "whole.csv")
    done("predict", tiny_encoder, *model, *files)
    require_same(tmp_path / "merged.csv", tmp_path / "whole.csv")
    assert "whole before" in done("predict", tiny_encoder, "--plan", plan)


def test_the_number_of_threads_is_planned_where_bits_depend_on_it(
    source: Path, tiny_encoder: Path, tmp_path: Path
) -> None:
    plan = tmp_path / "plan.json"
    done(
        "shard",
        source,
        "--text-column",
        "body",
        "--model",
        tiny_encoder,
        "--backend",
        "torch",
        "--threads",
        1,
        "--out",
        plan,
    )
    assert json.loads(plan.read_text(encoding="utf-8"))["identity"]["model"]["threads"] == 1
    assert "model, threads was 1, is 2" in refused("predict", "--plan", plan, "--threads", 2)
    assert "1 shards scored" in done("predict", "--plan", plan)


def test_a_plan_without_a_model_needs_one(source: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    done("shard", source, "--text-column", "body", "--out", plan)
    for arguments in (["predict", "--plan", plan], ["predict"]):
        result = run_driftgate(*arguments)
        assert result.exit_code == 2
        assert "Missing argument 'MODEL'" in result.stderr


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
    assert message in refused("predict", tiny_encoder, *arguments)


def test_options_that_do_not_go_together_are_refused(source: Path, tiny_encoder: Path, tmp_path: Path) -> None:
    cut = ("shard", source, "--text-column", "body", "--out", tmp_path / "plan.json")
    assert "--rows 5 says how many there are" in refused(*cut, "--shards", 2, "--rows", 5)
    assert "expected --model MODEL with the options of scoring" in refused(*cut, "--top", 2)
    done(*cut)
    assert "--overwrite replaces it" in refused(*cut)
    share = ("predict", tiny_encoder, "--plan", tmp_path / "plan.json", "--shard")
    assert "--shard 9/5: expected I/N" in refused(*share, "9/5")
    (tmp_path / "shard-00000.csv").write_text("mine", encoding="utf-8")
    assert "or replace it with --overwrite" in refused(*share, "1/1")
    assert "2 shards" not in done(*share, "1/1", "--overwrite")


def test_a_plan_in_a_bucket_is_scored_and_joined(
    source: Path, tiny_encoder: Path, warm_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsspec: Any = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bucket/in/a.jsonl", source.read_bytes())
    done(
        "shard",
        "memory://bucket/in/*.jsonl",
        "--text-column",
        "body",
        "--shards",
        2,
        "--out",
        "memory://bucket/plan.json",
    )
    done("predict", tiny_encoder, "--plan", "memory://bucket/plan.json")
    done("merge", "memory://bucket/plan.json", "--out", tmp_path / "merged.csv")
    done("predict", tiny_encoder, "--input", source, "--text-column", "body", "--output", tmp_path / "whole.csv")
    require_same(tmp_path / "merged.csv", tmp_path / "whole.csv")
    assert "expected a file on this machine" in refused(
        "predict", tiny_encoder, "--input", source, "--text-column", "body", "--output", "memory://bucket/out.csv"
    )
    memory.rm("/bucket", recursive=True)
