"""pytest inside pytest: what a run keeps, what it is compared with, and corpora at the edges."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from judged_project import COMMENTS, Project, bound

from driftgate.results.history import read_history
from driftgate.results.schemas.schema_check import require_schema


def test_verbose_runs_print_every_metric(make_project: Callable[..., Project]) -> None:
    run = make_project().pytest("--backends=onnx-fp32", "-v")
    assert "all metrics" in run.output
    assert "error / float32's own error" in run.output


def test_the_claims_of_model_cards_are_printed_with_their_interval(make_project: Callable[..., Project]) -> None:
    run = make_project().pytest("--backends=onnx-fp32", "-v")
    assert "almost identical: no loss of accuracy or F1 beyond 0.01" in run.output
    verdicts = [line for line in run.output.splitlines() if line.split()[:2] == ["not", "shown:"]]
    assert any("onnx-fp32" in line for line in verdicts)  # six rows without a flip prove little


def test_another_checkpoint_is_judged_by_quality_not_by_drift(
    make_project: Callable[..., Project], make_tiny_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    parent = make_tiny_encoder(tmp_path / "parent", seed=1)
    run = make_project().pytest(f"--backends=parent={parent}")
    entry = run.results["backends"]["parent"]
    assert entry["about"]["precision"] == "checkpoint"
    assert entry["drift"]["largest_per_text"]["max"] > 0.01
    assert not any("drift" in violation for violation in run.results["violations"])


def test_predictions_are_saved_for_later_study(make_project: Callable[..., Project]) -> None:
    run = make_project().pytest("--backends=onnx-fp32,torch", "--save-predictions=kept/logits.npz")
    assert run.code == 0, run.output
    with np.load(run.folder / "kept/logits.npz", allow_pickle=False) as saved:
        assert set(saved["backends"].tolist()) == {"reference", "onnx-fp32", "torch"}
        assert saved["logits"].shape == (3, len(COMMENTS), 4)
    assert "SECRET-PHRASE" not in (run.folder / "kept/logits.npz").read_bytes().decode("latin-1")


@pytest.mark.parametrize(
    ("argument", "words"),
    [("--save-predictions=logits.csv", "saved as .npz or .parquet"), ("-n2", "need all logits in one process")],
    ids=["format", "xdist"],
)
def test_predictions_that_cannot_be_saved_are_refused_before_anything_is_measured(
    make_project: Callable[..., Project], argument: str, words: str
) -> None:
    if argument == "-n2":
        pytest.importorskip("xdist")
    run = make_project().pytest("--backends=onnx-fp32", "--accuracy-baseline=past", argument)
    assert run.code == 4
    assert words in run.output


def test_a_backend_is_compared_with_its_own_past(make_project: Callable[..., Project]) -> None:
    project = make_project()
    first = project.pytest("--backends=onnx-fp32", "--accuracy-baseline=past", "--driftgate-history=history.jsonl")
    pytest.importorskip("jsonschema", reason="jsonschema is not installed; the extra github brings it")
    require_schema(
        json.loads((project.folder / "history.jsonl").read_text(encoding="utf-8")), "history", "history.jsonl"
    )
    assert first.code == 0, first.output
    assert "accuracy baseline saved" in first.output
    (entry,) = read_history(project.folder / "history.jsonl")  # an accepted run is one line of the history
    verdicts = first.results["backends"]["onnx-fp32"]["verdicts"]
    assert entry.encoder["sha256"] == first.results["encoder"]["sha256"]
    kept = [metric["value"] for metric in entry.backends["onnx-fp32"]["metrics"].values()]
    assert kept == [verdict["value"] for verdict in verdicts]
    saved = (project.folder / "past/baseline.npz").read_bytes()
    second = project.pytest("--backends=onnx-fp32,torch", "--accuracy-baseline=past", "-rs")
    assert second.code == 0, second.output
    assert second.results["backends"]["onnx-fp32"]["movement"]["who"] == "nothing"
    assert "torch is not in the accuracy baseline" in second.output
    assert (project.folder / "past/baseline.npz").read_bytes() == saved  # never updated unasked


def test_a_backend_that_moved_fails_and_the_reference_is_cleared(make_project: Callable[..., Project]) -> None:
    project = make_project()
    assert project.pytest("--backends=onnx-fp32", "--accuracy-baseline=past").code == 0
    path = project.folder / "past/baseline.npz"
    with np.load(path, allow_pickle=False) as saved:
        content = dict(saved)
    content["logits"][1] += 0.1
    np.savez(path, **content)
    run = project.pytest("--backends=onnx-fp32", "--accuracy-baseline=past")
    assert run.code == 1
    assert "mean_of_largest_probability_movement" in run.output
    assert "the backend moved: reference by 0" in run.output


def test_a_failed_run_never_becomes_the_baseline(make_project: Callable[..., Project]) -> None:
    project = make_project()
    (project.folder / "wide.toml").write_text(bound("fp32", "max_abs_logit_drift", 0.0), encoding="utf-8")
    run = project.pytest("--backends=onnx-fp32", "--accuracy-baseline=past", "--driftgate-history=history.jsonl")
    assert run.code == 1
    assert "accuracy baseline not saved" in run.output
    assert not (project.folder / "past").exists()
    assert "history not written: a run that ends with 1 is not accepted" in run.output
    assert not (project.folder / "history.jsonl").exists()


def test_a_baseline_of_another_corpus_is_refused(make_project: Callable[..., Project]) -> None:
    project = make_project()
    assert project.pytest("--backends=onnx-fp32", "--accuracy-baseline=past").code == 0
    (project.folder / "corpus.jsonl").write_text('{"text": "hello there", "labels": ["joy"]}', encoding="utf-8")
    run = project.pytest("--backends=onnx-fp32", "--accuracy-baseline=past")
    assert run.code == 4
    assert "corpus_sha256: baseline" in run.output


def test_int8_logits_of_other_instruction_sets_are_refused(make_project: Callable[..., Project]) -> None:
    project = make_project()
    assert project.pytest("--backends=onnx-int8", "--accuracy-baseline=past").code == 0
    path = project.folder / "past/baseline.npz"
    with np.load(path, allow_pickle=False) as saved:
        content = dict(saved)
    about = json.loads(str(content["about"]))
    about["environment"]["instruction_sets"] = ["imagined"]
    np.savez(path, **{**content, "about": np.array(json.dumps(about))})
    run = project.pytest("--backends=onnx-int8", "--accuracy-baseline=past")
    assert run.code == 1
    assert "ran on a CPU with imagined" in run.output


CORPORA = {
    "one row": [("thank you so much", "joy")],
    "all rows identical": [("thank you so much", "joy")] * 5,
    "a label never present": [("thank you", "joy"), ("the bus was late", "joy")],
    "no label at all": [("thank you", ""), ("the bus was late", "")],
    "texts beyond the limit": [("what a game! " * 50, "joy"), ("ok", "anger")],
}


@pytest.mark.parametrize("name", CORPORA)
def test_small_and_odd_corpora_are_judged(make_project: Callable[..., Project], name: str) -> None:
    project = make_project()
    rows = (json.dumps({"text": text, "labels": [label] if label else []}) for text, label in CORPORA[name])
    (project.folder / "corpus.jsonl").write_text("\n".join(rows), encoding="utf-8")
    run = project.pytest("--backends=onnx-fp32")
    assert run.code == 0, run.output


def test_an_encoder_of_one_label_is_judged(
    make_project: Callable[..., Project], make_tiny_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    encoder = make_tiny_encoder(tmp_path / "one", labels=("joy",))
    project = make_project(encoder)
    rows = [json.dumps({"text": text, "labels": ["joy"] * (label == "joy")}) for text, label in COMMENTS]
    (project.folder / "corpus.jsonl").write_text("\n".join(rows), encoding="utf-8")
    run = project.pytest("--backends=onnx-fp32")
    assert run.code == 0, run.output
