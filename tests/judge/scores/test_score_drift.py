"""Scores of two sides: how far they are apart in the spread of the reference's, and their order."""

import numpy as np
import pytest
from scipy import stats

from driftgate.arrays import Logits
from driftgate.assessor import find_bounds
from driftgate.errors import CorpusError
from driftgate.judge.accuracy_verdicts import levels_of_run
from driftgate.judge.bounds import Outcome
from driftgate.judge.evidence import Evidence, Head
from driftgate.judge.judgement import Judgement
from driftgate.judge.parts import OF_A_CORPUS, SCORES
from driftgate.judge.scores.score_drift import measure_scores, rank, rank_displacements

HEAD = Head(("score",), multi_label=True, policies={}, gives_score=True)
ROWS = 600


def draw(rows: int = ROWS, seed: int = 0) -> Logits:
    return Logits(np.random.default_rng(seed).normal(3.0, 2.0, (rows, 1)).astype(np.float32))


def noisy(scores: Logits, share: float, seed: int = 1) -> Logits:
    """With noise of this share of the spread."""
    added = np.random.default_rng(seed).normal(0, share * scores.std(), scores.shape)
    return Logits((scores + added).astype(np.float32))


def verdicts_on(backend: Logits, reference: Logits, key: str = "fp32") -> dict[str, Outcome]:
    evidence = Evidence(HEAD, None, reference=lambda: reference, backend=lambda: backend)
    found = Judgement("mine", (key,), evidence, levels_of_run(1)).judge(find_bounds(None), OF_A_CORPUS)
    return {verdict.metric: verdict.verdict for verdict in found}


@pytest.mark.parametrize("unit", [1.0, 1e-3, 1e4])
@pytest.mark.parametrize("offset", [0.0, -50.0])
def test_drift_is_the_same_in_every_unit(unit: float, offset: float) -> None:
    reference = draw()
    backend = noisy(reference, 0.02)
    plain = measure_scores(reference, backend)
    other = measure_scores(Logits(reference * unit + offset * unit), Logits(backend * unit + offset * unit))
    assert other.drift.mean == pytest.approx(plain.drift.mean, rel=1e-3)
    assert other.spread == pytest.approx(plain.spread * unit, rel=1e-4)
    assert plain.drift.mean == pytest.approx(0.02 * np.sqrt(2 / np.pi), rel=0.1)


def test_rank_correlation_is_scipys_with_ties_too() -> None:
    one, other = draw(), noisy(draw(), 0.3)
    for first, second in ((one, other), (Logits(one.round()), Logits(other.round(1)))):
        expected = stats.spearmanr(first[:, 0], second[:, 0]).statistic
        assert measure_scores(first, second).rank_correlation == pytest.approx(expected, abs=1e-9)
    assert (rank(one[:, 0].astype(np.float64)) + 1).tolist() == stats.rankdata(one[:, 0]).tolist()


def test_the_mean_displacement_is_one_less_the_rank_correlation() -> None:
    one, other = draw(5000), noisy(draw(5000), 0.3)
    found = measure_scores(one, other)
    assert found.rank_displacement == pytest.approx(1 - found.rank_correlation, rel=1e-3)
    assert rank_displacements(one, other).mean() == found.rank_displacement


def test_a_side_that_is_all_tied_has_no_order_in_common() -> None:
    assert measure_scores(draw(), Logits(np.full((ROWS, 1), 3.0, np.float32))).rank_correlation == 0.0


@pytest.mark.parametrize("value", [0.0, 4.2])
def test_a_reference_that_does_not_tell_rows_apart_is_refused(value: float) -> None:
    same = Logits(np.full((50, 1), value, np.float32))
    with pytest.raises(
        CorpusError, match=f"expected rows to which the reference gives different scores, found {value:g}"
    ):
        measure_scores(same, draw(50))


def test_a_score_that_is_not_finite_never_passes() -> None:
    broken = draw()
    broken[7] = np.nan
    with pytest.raises(ValueError, match="finite"):
        measure_scores(draw(), Logits(broken))


def test_a_good_backend_passes_and_only_scores_are_judged() -> None:
    found = verdicts_on(noisy(draw(), 1e-7), draw())
    drift = {"max_score_drift", "p90_score_drift", "mean_score_drift"}
    assert {name for name, verdict in found.items() if verdict is Outcome.PASS} >= drift
    assert set(found) == {*drift, "score_rank_displacement"}


FAULTS = {
    "scaled": lambda scores: scores * 1.05,
    "shifted": lambda scores: scores + 0.2,
    "sign flipped": lambda scores: -scores,
    "order reversed": lambda scores: scores[::-1],
    "rows shuffled": lambda scores: scores[np.random.default_rng(0).permutation(len(scores))],
    "saturated": lambda scores: np.clip(scores, None, 4.0),
    "rounded": lambda scores: scores.round(),
    "through a sigmoid": lambda scores: 1 / (1 + np.exp(-scores)),
    "all the same": lambda scores: np.full_like(scores, scores.mean()),
    "noise": lambda scores: noisy(scores, 0.3),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("key", ["fp32", "fp16"])
def test_every_fault_of_scores_fails(fault: str, key: str) -> None:
    reference = draw()
    found = verdicts_on(Logits(FAULTS[fault](reference).astype(np.float32)), reference, key)
    assert found["mean_score_drift"] is Outcome.FAIL


def test_an_order_that_is_lost_fails_where_scores_hardly_move() -> None:
    """Scores in two narrow heaps: drift is small beside their distance, and the order within each is gone."""
    heaps = np.repeat([0.0, 100.0], ROWS // 2)[:, None]
    inner = np.random.default_rng(0).normal(0, 1e-3, (ROWS, 1))
    found = verdicts_on(Logits((heaps - inner).astype(np.float32)), Logits((heaps + inner).astype(np.float32)), "fp16")
    assert found["mean_score_drift"] is Outcome.PASS
    assert found["score_rank_displacement"] is Outcome.FAIL


def test_few_rows_show_no_drift() -> None:
    reference = draw(20)
    found = verdicts_on(noisy(reference, 1e-7), reference)
    assert found["mean_score_drift"] is Outcome.NOT_SHOWN


@pytest.mark.parametrize("share", [0.004, pytest.param(0.02, marks=pytest.mark.slow)])
def test_upper_limits_of_the_mean_hold_over_many_corpora(share: float) -> None:
    """Of 100 corpora, the limit at 95% may lie below the truth in few."""
    truth = share * np.sqrt(2 / np.pi)
    missed = 0
    for seed in range(100):
        reference = draw(100, seed)
        backend = noisy(reference, share, seed + 1000)
        evidence = Evidence(HEAD, None, reference=lambda one=reference: one, backend=lambda one=backend: one)
        judged = Judgement("mine", ("fp16",), evidence, levels_of_run(1)).judge(find_bounds(None), [SCORES])
        (mean,) = (verdict for verdict in judged if verdict.metric == "mean_score_drift")
        missed += mean.limits.high < truth
    assert missed <= 12
