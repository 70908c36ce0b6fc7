"""`driftgate publish` judges before it writes anything."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import run_driftgate
from publishing import (
    TEXTS,
    Hub,
    files_below,
    never,
)

from driftgate import pipeline as pipeline_module
from driftgate.builder.artifact import (
    CARD,
)
from driftgate.cli import publish_command


@pytest.fixture
def publish(tiny_encoder: Path, warm_cache: Path, tmp_path: Path, untimed: None) -> Callable[..., Any]:
    """`publish(*options)`: `driftgate publish` into `tmp_path/out`, judged on a few texts of a user's."""
    corpus = tmp_path / "mine.jsonl"
    corpus.write_text("\n".join(json.dumps({"body": text}) for text in TEXTS), encoding="utf-8")
    judged = ("--corpus", corpus, "--text-column", "body", "--threads", 1)

    def run(*options: object, backend: str = "onnx-fp32", on: tuple[object, ...] = judged) -> Any:
        command = ["publish", tiny_encoder, "--backends", backend, "--out", tmp_path / "out", *on, *options]
        return run_driftgate(*command)

    return run


def assert_refused(result: Any, *words: str) -> None:
    assert (result.exit_code, result.stdout) == (4, ""), result.output
    for word in words:
        assert word in result.stderr


def test_publish_says_what_was_judged_on_standard_error(publish: Callable[..., Any], tmp_path: Path) -> None:
    result = publish("--corpus-rows", 99)
    assert result.exit_code == 0, result.output
    assert "judged on encoder tiny-roberta, corpus mine (99 rows)" in result.stderr
    assert "onnx-fp32: largest probability difference" in result.stderr
    assert result.stdout.splitlines() == [f"onnx-fp32: {tmp_path / 'out'} (0.1 MB)"]
    assert "99 texts drawn from 120 with seed 0 of `mine`" in (tmp_path / "out" / CARD).read_text(encoding="utf-8")


def test_too_few_texts_to_show_drift_end_with_7_and_write_nothing(publish: Callable[..., Any], tmp_path: Path) -> None:
    result = publish("--corpus-rows", 10)
    assert (result.exit_code, result.stdout) == (7, ""), result.output
    assert "bounds not shown on 10 rows: " in result.stderr
    assert "mean_of_largest_probability_drift needs about 99 different rows" in result.stderr
    assert (
        "drift is not shown to be kept: exit code 7; give more rows with --corpus; nothing was published"
        in result.stderr
    )
    assert not (tmp_path / "out").exists()


def test_what_is_not_shown_can_be_published_where_it_is_only_to_be_warned_of(
    publish: Callable[..., Any], tmp_path: Path
) -> None:
    result = publish("--corpus-rows", 10, "--not-shown", "warn")
    assert result.exit_code == 0, result.output
    assert "bounds not shown on 10 rows" in result.stderr
    assert ", not shown |" in (tmp_path / "out" / CARD).read_text(encoding="utf-8")


def test_everything_can_be_asked_to_be_shown(publish: Callable[..., Any], tmp_path: Path) -> None:
    """Drift is shown on 33 texts, flips are not."""
    result = publish("--not-shown", "fail")
    assert result.exit_code == 7, result.output
    assert "row_flip_rate_at_0_5 needs about" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_broken_bound_ends_with_1_and_says_by_how_much(publish: Callable[..., Any], tmp_path: Path) -> None:
    bounds = tmp_path / "bounds.toml"
    bounds.write_text(
        '[fp32.max_abs_logit_drift]\nat_most = 0.0\nreason = "none at all"\nset_on = 2026-11-21\n', encoding="utf-8"
    )
    result = publish("--bounds", bounds)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert "1 bound is broken on encoder tiny-roberta, corpus mine (120 rows); nothing was published:" in result.stderr
    assert "none at all); beyond it by " in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--private",), "--private: expected --push-to-hub OWNER/NAME with it"),
        (("--dry-run",), "--dry-run: expected --push-to-hub OWNER/NAME with it"),
        (("--push-to-hub", "ME/mini", "--layout", "folder"), "repositories have the layout hub"),
        (("--push-to-hub", "a/b/c"), "expected a hub id such as OWNER/NAME"),
        (("--bounds", "nowhere.toml"), "nowhere.toml: no such file"),
        (("--text-column", "nothing"), "expected a column 'nothing'"),
    ],
    ids=lambda it: "" if isinstance(it, str) else " ".join(it),
)
def test_a_mistake_in_the_options_is_said_before_anything_is_built(
    options: tuple[str, ...], words: str, publish: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "prepare_backend", never)
    assert_refused(publish(*options), words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--text-column", "--pair-column", "--label-column"])
def test_a_column_needs_a_file_that_has_it(option: str, publish: Callable[..., Any]) -> None:
    assert_refused(publish(option, "body", on=()), f"{option} 'body': it names a column of the file of --corpus")


def test_a_dry_run_shows_files_and_card_and_asks_no_hub(
    publish: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_command, "open_hub", never)
    result = publish("--push-to-hub", "ME/mini-onnx", "--dry-run")
    assert result.exit_code == 0, result.output
    assert "to ME/mini-onnx:" in result.stdout
    assert f"{(tmp_path / 'out/onnx/model.onnx').stat().st_size:,}  onnx/model.onnx" in result.stdout
    assert "library_name: onnx" in result.stdout


def test_a_push_uploads_what_was_judged(
    publish: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Hub()
    monkeypatch.setattr(publish_command, "open_hub", lambda: there)
    result = publish("--push-to-hub", "mini-onnx")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "hub/ME/mini-onnx"
    assert there.calls[1][1]["files"] == files_below(tmp_path / "out")
    assert 'model_id = "ME/mini-onnx"' in (tmp_path / "out" / CARD).read_text(encoding="utf-8")


def test_a_broken_bound_pushes_nothing(
    publish: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Hub()
    monkeypatch.setattr(publish_command, "open_hub", lambda: there)
    bounds = tmp_path / "bounds.toml"
    bounds.write_text('[fp32.max_abs_logit_drift]\nat_most = 0\nreason = "no"\nset_on = 2026-11-21\n', encoding="utf-8")
    assert publish("--push-to-hub", "mini-onnx", "--bounds", bounds).exit_code == 1
    assert there.calls == []
