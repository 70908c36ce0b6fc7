"""The registry of metrics: one entry is enough, and nothing that is gated is hidden."""

import math
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from driftgate.arrays import LabelMatrix, Logits
from driftgate.errors import BoundsError
from driftgate.judge import measures
from driftgate.judge import metrics as registry
from driftgate.judge.accuracy_verdicts import levels_of_run
from driftgate.judge.bounds import Bound, Outcome, hold_to_bound
from driftgate.judge.confidence.levels import exact_limits
from driftgate.judge.confidence.metric_limits import find_limits
from driftgate.judge.drift import LengthAnswers
from driftgate.judge.evidence import Evidence, Head
from driftgate.judge.judgement import Judgement
from driftgate.judge.metric_types import PROBABILITY, Metric, once
from driftgate.judge.metrics import BOUNDED, METRICS
from driftgate.judge.movement import measure_movement
from driftgate.judge.parts import (
    AGREEMENT,
    DRIFT,
    FLIPS,
    MOVEMENT,
    OF_A_CORPUS,
    PARTS,
    RANKS,
    SCORE_QUALITY,
    SCORES,
)
from driftgate.report.terminal import render_details
from driftgate.results.record import Results

ROOT = Path(__file__).parents[2]
LABELS = ("joy", "anger", "surprise")
ROWS = 320  # enough for the 99th percentile, slices and labels to be gated
LEVELS = levels_of_run(1)
POLICIES = {"at 0.5": 0.5, "at thresholds": np.array([0.3, 0.4, 0.5])}
OF_SCORES = (SCORES, RANKS, SCORE_QUALITY)
GATED = [metric for metric in METRICS.values() if metric.gated]


def some_logits(seed: int) -> Logits:
    return Logits(np.random.default_rng(seed).normal(size=(ROWS, len(LABELS))).astype(np.float32))


def evidence() -> Evidence:
    """Everything that can be measured on a corpus can be measured of it."""
    reference, backend = some_logits(0), some_logits(1)
    return Evidence(
        Head(LABELS, multi_label=True, policies=POLICIES),
        LabelMatrix(np.eye(len(LABELS), dtype=np.bool_)[np.arange(ROWS) % len(LABELS)]),
        reference=lambda: reference,
        backend=lambda: backend,
        slices=lambda: {"long": np.ones(ROWS, dtype=np.bool_)},
        exact=lambda: ([0, 1], reference[:2].astype(np.float64)),
        variations=lambda: {"batch": [reference, backend], "padding": [reference, backend]},
        long_texts=lambda: ([LengthAnswers("limit", 512, reference, backend)], ()),
        past=some_logits(2),
    )


def bound(metric: str, limit: float = 1e9) -> Bound:
    return Bound("fp32", metric, limit, at_most=True, reason="any value", set_on=date(2026, 1, 31))


@pytest.fixture
def judged() -> Judgement:
    """A backend of which everything was measured, a movement since a baseline too."""
    judgement = Judgement("mine", ("fp32",), evidence(), LEVELS)
    for part in OF_A_CORPUS:
        judgement.measure(part)
    sides = [some_logits(seed) for seed in (3, 0, 2, 1)]  # reference and backend, each then and now
    judgement.measured.put(MOVEMENT, measure_movement(*sides, multi_label=True))
    return judgement


# What every gated metric has; that it has a bound for every class is shown by `test_bounds_files.py`


def test_a_gated_metric_has_a_row_in_the_table_of_details(judged: Judgement) -> None:
    results = Results()
    entry = results.of("mine")
    entry.measured = judged.measured
    for metric in GATED:
        if metric.source is None:  # measured by a test of its own, and known by the verdict
            bounds = [{("fp32", metric.name): bound(metric.name)}]
            results.add_verdicts([hold_to_bound(bounds, "mine", ("fp32",), metric.name, exact_limits(0.5))])
    rows = [line.strip() for line in render_details(results, 200).splitlines()]
    for metric in (metric for metric in GATED if metric.source is None or metric.source.part not in OF_SCORES):
        for policy in POLICIES if metric.by_policy else [""]:
            heading = f"{metric.label} {policy}".rstrip()
            (row,) = [line for line in rows if re.split(r"\s{2,}", line)[0] == heading]
            assert re.search(r"\d", row.removeprefix(heading)), row


def test_a_gated_metric_has_a_line_in_the_docs() -> None:
    written = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    for name, metric in BOUNDED.items():
        (line,) = [line for line in written.splitlines() if f"`{name}`" in line]
        assert metric.meaning.split(" (")[0][:30] in line.replace("\\", "")


def test_names_and_rows_are_of_one_metric_each() -> None:
    assert len(METRICS) == len(registry._ALL)
    assert len({metric.label for metric in METRICS.values()}) == len(METRICS)
    assert len(BOUNDED) == sum(len(metric.bound_names) for metric in GATED)


# One entry is enough


def test_a_metric_that_is_added_is_judged_shown_and_asked_for_a_bound(
    judged: Judgement, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = Metric(
        "median_drift", "an added row", PROBABILITY, "", once(DRIFT, lambda drift: drift.largest_per_text.median)
    )
    monkeypatch.setattr(registry, "_ALL", (added,))
    monkeypatch.setitem(METRICS, added.name, added)
    (verdict,) = judged.judge([{("fp32", added.name): bound(added.name)}], [DRIFT])
    assert (verdict.metric, verdict.verdict) == (added.name, Outcome.PASS)
    results = Results()
    results.of("mine").measured = judged.measured
    assert "an added row" in render_details(results, 200)
    with pytest.raises(BoundsError, match="no bound for 'median_drift'"):
        judged.judge([{}], [DRIFT])


# Intervals


def rows_of(count: int, **changes: Any) -> Evidence:
    """The same evidence on the first rows only."""
    given = evidence()
    reference, backend = Logits(given.reference()[:count]), Logits(given.backend()[:count])
    return replace(
        given,
        truth=None if given.truth is None else LabelMatrix(given.truth[:count]),
        reference=lambda: reference,
        backend=lambda: backend,
        slices=dict,
        variations=dict,
        past=None,
        **changes,
    )


def test_what_is_limited_is_what_is_shown(judged: Judgement) -> None:
    """The limits of every metric that has an interval are about the value of the table of details."""
    limited = {}
    for part in PARTS:
        limited |= find_limits(part, judged.evidence, LEVELS)
    shown = {
        (metric.name, policy): value
        for metric in GATED
        if metric.interval
        for policy, value in metric.values(judged.measured).items()
    }
    assert set(limited) == set(shown)
    for key, limits in limited.items():
        assert limits.value == pytest.approx(shown[key], rel=1e-9, abs=1e-12), key
        assert limits.low <= limits.value <= limits.high, key


@pytest.mark.parametrize(("rows", "gated"), [(58, {90}), (59, {90, 95}), (298, {90, 95}), (299, {90, 95, 99})])
def test_a_percentile_is_gated_from_the_rows_that_can_show_it(rows: int, gated: set[int]) -> None:
    verdicts = Judgement("mine", ("fp32",), rows_of(rows), LEVELS).judge(everything_allowed(), [DRIFT])
    names = {verdict.metric for verdict in verdicts}
    assert {percent for percent in (90, 95, 99) if f"p{percent}_of_largest_probability_drift" in names} == gated


def test_ten_rows_do_not_show_what_a_good_build_keeps() -> None:
    few = rows_of(10)
    few = replace(few, backend=few.reference, long_texts=lambda: None)
    everything = Judgement("mine", ("fp32",), few, LEVELS).assess(
        [{("fp32", name): bound(name, 0.01) for name in BOUNDED}]
    )
    deciding = {one.metric: one for one in everything.unshown if METRICS[one.metric].decides}
    assert everything.verdict() is Outcome.NOT_SHOWN
    drift = {f"{part}_of_largest_probability_drift" for part in ("mean", "p90")}
    assert set(deciding) == {*drift, "relative_logit_error"}
    assert {verdict.rows_needed for verdict in deciding.values()} == {99}
    assert everything.failures == ()
    (loss,) = [one for one in everything.unshown if (one.metric, one.policy) == ("micro_f1_loss", "at 0.5")]
    assert loss.limits.high > 0.1


def test_the_rows_of_a_single_label_head_flip_where_their_most_probable_label_does() -> None:
    head = Head(LABELS, multi_label=False, policies={"at 0.5": 0.5})
    verdicts = Judgement("mine", ("fp32",), replace(evidence(), head=head), LEVELS).judge(
        everything_allowed(), [FLIPS, AGREEMENT]
    )
    (flips,) = [one for one in verdicts if one.metric != "largest_label_loss"]
    changed = (some_logits(0).argmax(1) != some_logits(1).argmax(1)).mean()
    assert (flips.metric, flips.value) == ("top1_disagreement", changed)


# Judging


def everything_allowed() -> list[dict[tuple[str, str], Bound]]:
    return [{("fp32", name): bound(name) for name in BOUNDED}]


def test_every_part_that_can_be_measured_is_a_part_of_an_assessment() -> None:
    assert set(measures._MEASURES) == {part.name for part in OF_A_CORPUS}
    assert {metric.source.part for metric in METRICS.values() if metric.source} <= set(PARTS)


def test_an_assessment_has_a_verdict_on_every_gated_metric_of_a_corpus(judged: Judgement) -> None:
    assessment = judged.assess(everything_allowed())
    expected = {
        (metric.name, policy)
        for metric in GATED
        if metric.source and metric.source.part in OF_A_CORPUS and metric.source.part not in OF_SCORES
        for policy in (POLICIES if metric.by_policy else [""])
    }
    assert {(verdict.metric, verdict.policy) for verdict in assessment.verdicts} == expected
    assert assessment.failures == ()


def test_only_what_is_asked_for_is_measured_and_only_once() -> None:
    asked: list[str] = []

    def backend() -> Logits:
        asked.append("backend")
        return some_logits(1)

    def never() -> None:
        pytest.fail("asked for, though nothing that was measured needs it")

    given = replace(evidence(), backend=backend, exact=never, variations=never, slices=never, long_texts=never)
    judgement = Judgement("mine", ("fp32",), given, LEVELS)
    assert asked == []
    first = judgement.judge(everything_allowed(), [AGREEMENT])
    assert judgement.judge(everything_allowed(), [AGREEMENT]) == first
    assert set(asked) == {"backend"}
    assert list(judgement.measured.records) == ["agreement"]
    assert judgement.measure(AGREEMENT) is judgement.measured.require(AGREEMENT)


def test_a_value_that_is_no_number_is_a_failure(judged: Judgement) -> None:
    judged.measured.put(DRIFT, replace(judged.measured.require(DRIFT), max_abs_logit=math.nan))
    (verdict,) = [one for one in judged.judge(everything_allowed(), [DRIFT]) if one.metric == "max_abs_logit_drift"]
    assert verdict.verdict is Outcome.FAIL


def test_without_labels_quality_has_no_verdict_and_drift_has() -> None:
    assessment = Judgement("mine", ("fp32",), replace(evidence(), truth=None), LEVELS).assess(everything_allowed())
    metrics = {verdict.metric for verdict in assessment.verdicts}
    assert {"max_abs_logit_drift", "row_flip_rate", "error_ratio_to_float32", "batch_noise_max_abs_logit"} <= metrics
    assert not [name for name in metrics if "loss" in name or "brier" in name or "worse" in name]
