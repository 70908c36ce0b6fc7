"""Ranking of labels: ties, few labels, and SciPy's tau-b."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import kendalltau

from driftgate.arrays import Logits
from driftgate.judge.agreement import Agreement, measure_agreement

# Few values, so that ties are common.
sides = st.tuples(st.integers(1, 6), st.integers(2, 7)).flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.float32, shape, elements=st.sampled_from([-2.0, 0.0, 0.5, 3.0]))] * 2)
)


def logits_of(*rows: list[float]) -> Logits:
    return Logits(np.array(rows, dtype=np.float32))


@settings(deadline=None)
@given(sides)
def test_rank_correlation_is_scipys_and_leaves_out_rows_all_tied(pair: tuple[Logits, Logits]) -> None:
    defined = [rows for rows in zip(*pair, strict=True) if all(len(set(side.tolist())) > 1 for side in rows)]
    expected = [kendalltau(*rows).statistic for rows in defined]
    found = measure_agreement(*pair)
    if expected:
        assert found.rank_correlation_mean == pytest.approx(np.mean(expected))
        assert found.rank_correlation_p1 == pytest.approx(np.percentile(expected, 1))
    else:
        assert (found.rank_correlation_mean, found.rank_correlation_p1) == (None, None)


def test_logits_agree_with_themselves() -> None:
    logits = logits_of([0.1, 0.3, -2], [5, 4, 3])
    assert measure_agreement(logits, logits) == Agreement(1.0, 1.0, 1.0, 1.0)


def test_a_reversed_ranking_correlates_negatively() -> None:
    found = measure_agreement(logits_of([1, 2, 3, 4]), logits_of([4, 3, 2, 1]))
    assert (found.top1, found.rank_correlation_mean) == (0.0, -1.0)
    assert found.top3_overlap == 0.5  # 2 and 3 of 1, 2, 3, 4


@pytest.mark.parametrize("labels", [1, 2, 3])
def test_up_to_three_labels_are_all_among_the_top(labels: int) -> None:
    found = measure_agreement(Logits(np.arange(labels)[None]), Logits(-np.arange(labels)[None]))
    assert found.top3_overlap == 1.0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite logits"):
        measure_agreement(logits_of([1, 2]), logits_of([1, value]))


@pytest.mark.parametrize("shape", [(0, 2), (1, 0), (2,)], ids=str)
def test_nothing_to_rank_is_refused(shape: tuple[int, ...]) -> None:
    nothing = Logits(np.zeros(shape, dtype=np.float32))
    with pytest.raises(ValueError, match=r"\(rows, labels\)"):
        measure_agreement(nothing, nothing)
