"""`driftgate bounds`: what it proposes, what that catches, and that a good build keeps it."""

import math
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from command_line import run_driftgate

from driftgate import assess
from driftgate.arrays import LabelMatrix, Logits
from driftgate.errors import OptionError
from driftgate.inputs.corpus import load_corpus
from driftgate.inputs.encoder import load_encoder
from driftgate.judge.bounds import Outcome
from driftgate.judge.bounds_file import load_bounds
from driftgate.judge.confidence.levels import Levels
from driftgate.judge.evidence import Evidence, Head
from driftgate.judge.judgement import Judgement
from driftgate.judge.metrics import BOUNDED
from driftgate.judge.proposed_bounds import Proposal, make_faults, propose_bounds
from driftgate.report.bounds_proposal import render_proposal, require_new, write_bounds
from driftgate.suites import FOLDER

LABELS = ("joy", "anger", "neutral")
TODAY = date(2026, 1, 31)
LEVELS = Levels(1e-4)
SHIPPED = [load_bounds(FOLDER / "accuracy/bounds.toml")]


def evidence(rows: int, drift: float = 0.05, *, multi_label: bool = True) -> Evidence:
    """A backend that drifts by `drift` logits, on rows of one label each that the reference mostly gets right."""
    random = np.random.default_rng(3)
    truth = np.eye(len(LABELS), dtype=np.bool_)[random.integers(0, len(LABELS), rows)]
    reference = Logits((6 * truth - 3 + random.normal(0, 1, truth.shape)).astype(np.float32))
    backend = Logits(reference + random.normal(0, drift, truth.shape).astype(np.float32))
    head = Head(LABELS, multi_label=multi_label, policies={"at 0.5": 0.5})
    return Evidence(head, LabelMatrix(truth), reference=lambda: reference, backend=lambda: backend)


def propose(given: Evidence) -> Proposal:
    return propose_bounds(Judgement("onnx-int8", ("int8-rowwise",), given, LEVELS), SHIPPED, "mine", TODAY)


def test_a_build_keeps_what_is_proposed_from_it() -> None:
    given = evidence(400)
    proposal = propose(given)
    own = {(bound.key, bound.metric): bound for bound in proposal.bounds}
    judged = Judgement("onnx-int8", ("onnx-int8", "int8-rowwise"), given, LEVELS).assess([own, *SHIPPED])
    mine = [one for one in judged.verdicts if one.bound.key == "onnx-int8"]
    assert len(mine) == len(own) > 10
    assert {one.verdict for one in mine} == {Outcome.PASS}
    assert proposal.broken == ()


@pytest.mark.parametrize("multi_label", [True, False], ids=["multi-label", "single-label"])
def test_faults_of_whole_labels_are_caught(multi_label: bool) -> None:
    caught = propose(evidence(1000, multi_label=multi_label)).caught
    missed = {fault for fault, metrics in caught.items() if not metrics}
    assert missed <= {"drift doubled", "drift tripled", "2% of the rows answered as others"}
    (swapped,) = [metrics for fault, metrics in caught.items() if fault.endswith("swapped")]
    assert "mean_of_largest_probability_drift" in swapped
    assert len(caught["drift tripled"]) <= len(swapped)


def test_a_proposed_bound_is_twice_the_upper_limit_and_says_so() -> None:
    bounds = {bound.metric: bound for bound in propose(evidence(400)).bounds}
    bound = bounds["mean_of_largest_probability_drift"]
    largest = float(np.abs(np.diff(evidence(400).probabilities, axis=0)).max(axis=2).mean())
    assert 2 * largest < bound.limit < 3 * largest
    assert bound.reason.startswith("2 times ")
    assert "400 rows of mine" in bound.reason
    assert (bound.key, bound.at_most, bound.set_on) == ("onnx-int8", True, TODAY)
    assert set(bounds) <= set(BOUNDED)


def test_where_the_backend_is_the_better_one_it_has_room_for_a_row() -> None:
    given = evidence(400)
    perfect = Logits(np.where(given.truth, 5, -5).astype(np.float32))
    bounds = {bound.metric: bound for bound in propose(replace(given, backend=lambda: perfect)).bounds}
    gain = bounds["brier_increase"]
    assert gain.limit == pytest.approx(1 / 400)
    assert gain.reason.startswith("one row of 400; it is at most -")


def test_too_few_rows_leave_a_metric_to_the_shipped_bounds() -> None:
    proposal = propose(evidence(20))
    assert proposal.left_out["mean_of_largest_probability_drift"] == 99
    assert "mean_of_largest_probability_drift" not in {bound.metric for bound in proposal.bounds}
    assert "takes about 99 rows" in render_proposal(proposal, 120)


def test_a_build_that_breaks_shipped_bounds_is_named() -> None:
    proposal = propose(evidence(400, drift=3.0))
    assert proposal.broken
    text = render_proposal(proposal, 160)
    assert f"breaks {len(proposal.broken)} of the shipped bounds" in text


def test_faults_are_what_they_are_called() -> None:
    given = evidence(200)
    reference, backend = given.reference(), given.backend()
    faults = make_faults(given.head, reference, backend)
    assert np.allclose(faults["drift doubled"] - reference, 2 * (backend - reference), atol=1e-6)
    (never,) = [logits for fault, logits in faults.items() if fault.endswith("never given")]
    assert sorted(np.flatnonzero((never != backend).any(axis=0)).tolist()) == sorted(
        np.flatnonzero((never == never.min()).all(axis=0)).tolist()
    )
    moved = faults["2% of the rows answered as others"]
    changed = np.flatnonzero((moved != backend).any(axis=1))
    assert len(changed) == 4
    assert {tuple(row) for row in moved[changed]} == {tuple(row) for row in backend[changed]}
    assert all(logits.dtype == np.float32 and logits.shape == backend.shape for logits in faults.values())


def test_one_label_and_one_row_have_fewer_faults() -> None:
    head = Head(("yes",), multi_label=True, policies={"at 0.5": 0.5})
    one = Logits(np.array([[1.0]], dtype=np.float32))
    assert not any("swapped" in fault or "rows" in fault for fault in make_faults(head, one, one))


def test_a_file_is_read_back_as_it_was_proposed(tmp_path: Path) -> None:
    proposal = replace(propose(evidence(400)), backend="onnx-int8")
    odd = replace(proposal.bounds[0], reason='a "quoted" name, a \\ and\na line: café \U0001f600')
    path = tmp_path / "bounds.toml"
    write_bounds([replace(proposal, bounds=(odd, *proposal.bounds[1:]))], path, "400 rows of mine")
    found = load_bounds(path, keys=["onnx-int8"], metrics=())
    assert [bound.limit for bound in found.values()] == [bound.limit for bound in proposal.bounds]
    assert next(iter(found.values())).reason == " ".join(odd.reason.split())


def test_a_file_that_is_there_and_a_folder_that_is_not_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bounds.toml"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(OptionError, match="the file exists"):
        require_new(path)
    with pytest.raises(OptionError, match="expected a folder"):
        require_new(tmp_path / "nowhere/bounds.toml")
    with pytest.raises(OptionError, match="29 rows are the least"):
        write_bounds([], tmp_path / "new.toml", "3 rows")
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.jsonl"
    words = ("thanks", "no", "what a game", "the bus was late", "ok", "I am so sorry", "great")
    lines = [f'{{"text": "{words[row % 7]} {words[row % 5]} {row}"}}' for row in range(60)]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_the_command_writes_bounds_that_the_same_builds_keep(
    tiny_encoder: Path, corpus_file: Path, warm_cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bounds.toml"
    given = ["--corpus", corpus_file, "--backends", "onnx-fp32,onnx-int8", "--out", out, "--threads", 1]
    result = run_driftgate("bounds", tiny_encoder, *given)
    assert result.exit_code == 0, result.output
    assert "onnx-int8: bounds, and the faults they catch" in result.stdout
    encoder = load_encoder(tiny_encoder)
    assessment = assess(encoder, load_corpus(corpus_file, encoder), backends="onnx-fp32,onnx-int8", bounds=out)
    mine = [one for one in assessment.verdicts if one.bound.key.startswith("onnx-")]
    assert len(mine) > 10
    assert {one.verdict for one in mine} == {Outcome.PASS}
    again = run_driftgate("bounds", tiny_encoder, *given)
    assert again.exit_code == 4
    assert "the file exists" in again.output


def test_two_rows_give_the_command_bounds_of_shares_only(
    tiny_encoder: Path, warm_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text('{"text": "one"}\n{"text": "another"}\n', encoding="utf-8")
    result = run_driftgate(
        "bounds",
        tiny_encoder,
        "--corpus",
        path,
        "--backends",
        "onnx-fp32",
        "--out",
        tmp_path / "bounds.toml",
        "--threads",
        1,
    )
    assert result.exit_code == 0, result.output  # shares of rows have limits on two rows too, wide ones
    limits = load_bounds(tmp_path / "bounds.toml")
    assert ("onnx-fp32", "top1_disagreement") in limits
    assert all(math.isfinite(bound.limit) for bound in limits.values())
    assert ("onnx-fp32", "mean_of_largest_probability_drift") not in limits
    assert "mean_of_largest_probability_drift: no bound proposed" in result.output
