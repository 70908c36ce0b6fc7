"""The order of candidates within groups."""

import numpy as np
import pytest
from scipy import stats

from driftgate.arrays import IntArray, Logits
from driftgate.assessor import find_bounds
from driftgate.judge.accuracy_verdicts import levels_of_run
from driftgate.judge.bounds import MetricVerdict, Outcome
from driftgate.judge.evidence import Evidence, Head
from driftgate.judge.judgement import Judgement
from driftgate.judge.parts import RANKS
from driftgate.judge.scores.ranks import compare_groups, measure_ranks

HEAD = Head(("score",), multi_label=True, policies={}, gives_score=True)
GROUPS, SIZE = 700, 10


def draw(seed: int = 0) -> tuple[Logits, IntArray]:
    """Candidates of all groups among each other."""
    generator = np.random.default_rng(seed)
    groups = generator.permutation(np.repeat(np.arange(GROUPS), SIZE))
    return Logits(generator.normal(0, 1, (GROUPS * SIZE, 1)).astype(np.float32)), groups


def verdicts_on(backend: Logits, reference: Logits, groups: IntArray) -> dict[str, MetricVerdict]:
    evidence = Evidence(HEAD, None, reference=lambda: reference, backend=lambda: backend, groups=groups)
    found = Judgement("mine", ("fp16",), evidence, levels_of_run(1)).judge(find_bounds(None), [RANKS])
    return {verdict.metric: verdict for verdict in found}


def test_rank_correlation_is_the_mean_of_scipys() -> None:
    reference, groups = draw()
    backend = Logits((reference + np.random.default_rng(1).normal(0, 0.3, reference.shape)).round(1).astype(np.float32))
    expected = [
        stats.kendalltau(reference[groups == group, 0], backend[groups == group, 0]).statistic
        for group in range(GROUPS)
    ]
    found = measure_ranks(reference, backend, groups)
    assert found is not None
    assert found.rank_correlation == pytest.approx(np.mean(expected))
    assert (found.groups, found.rows, found.left_out) == (GROUPS, GROUPS * SIZE, 0)


def test_best_and_three_best_are_counted_by_group() -> None:
    scores = np.array([5, 4, 3, 2, 1.0, 9, 8, 7, 6])
    other = np.array([5, 4, 2, 3, 1.0, 8, 9, 7, 6])
    groups = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1])
    found = measure_ranks(*(Logits(side[:, None].astype(np.float32)) for side in (scores, other)), groups)
    assert found is not None
    assert (found.best_changed, found.top3_overlap) == (0.5, (0.5 + 1) / 2)


def test_groups_without_an_order_are_left_out_and_counted() -> None:
    scores = np.array([1, 2, 2, 2, 1, 3.0], np.float32)[:, None]
    found = compare_groups(Logits(scores), Logits(scores), np.array([0, 1, 1, 1, 2, 2]))
    assert (found.rank_losses.tolist(), found.rows, found.left_out) == ([0.0], 2, 2)
    assert measure_ranks(Logits(scores[:4]), Logits(scores[:4]), np.array([0, 1, 1, 1])) is None


def test_any_of_equally_good_candidates_may_be_the_best() -> None:
    reference, backend = (np.array(side, np.float32)[:, None] for side in ([3, 3, 1], [3, 4, 1]))
    assert compare_groups(Logits(reference), Logits(backend), np.zeros(3, int)).best_changed.tolist() == [0.0]


def test_a_backend_that_gives_a_group_one_score_has_lost_its_order() -> None:
    reference, groups = draw()
    found = verdicts_on(Logits(np.zeros_like(reference)), reference, groups)
    assert {verdict.verdict for verdict in found.values()} == {Outcome.FAIL}
    assert found["group_rank_loss"].value == 1.0


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_an_order_that_is_kept_passes_whatever_becomes_of_the_scores_of_a_group(shift: float) -> None:
    """As a query's constant is nothing to the order of its passages; drift is judged by other metrics."""
    reference, groups = draw()
    backend = Logits((reference * 2 + shift * (groups[:, None] % 2)).astype(np.float32))
    found = verdicts_on(backend, reference, groups)
    assert {verdict.value for verdict in found.values()} == {0.0}
    assert found["group_rank_loss"].verdict is Outcome.PASS


@pytest.mark.parametrize("fault", ["reversed", "shuffled", "other group's"])
def test_an_order_that_is_lost_in_groups_fails(fault: str) -> None:
    reference, groups = draw()
    members = np.argsort(groups, kind="stable").reshape(GROUPS, SIZE)
    backend = reference.copy()
    if fault == "reversed":
        backend = -backend
    elif fault == "shuffled":
        backend[members.ravel(), 0] = np.random.default_rng(3).permuted(reference[members, 0], axis=1).ravel()
    else:
        backend[members.ravel(), 0] = np.roll(reference[members, 0], 1, axis=0).ravel()
    found = verdicts_on(Logits(backend), reference, groups)
    assert {verdict.verdict for verdict in found.values()} == {Outcome.FAIL}


def test_limits_speak_of_groups_and_not_of_rows() -> None:
    reference, groups = draw()
    few = groups < 20
    found = verdicts_on(Logits(reference[few]), Logits(reference[few]), groups[few])
    assert found["best_candidate_changed"].verdict is Outcome.NOT_SHOWN
    needed = found["best_candidate_changed"].rows_needed
    assert needed is not None
    assert needed > 100 * SIZE, "in rows, of which a group has ten"
