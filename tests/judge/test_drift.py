"""How far probabilities have moved."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from driftgate.arrays import FloatArray, Logits
from driftgate.judge.drift import Drift, measure_drift, summarize

LABELS = ("joy", "anger")
REFERENCE = [[0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
BACKEND = [[0.75, 0.5], [0.5, 0.4], [0.5, 0.5], [0.6, 0.9]]
NEAR = 1e-6

shapes = st.tuples(st.integers(1, 8), st.integers(1, 4))
elements = st.floats(-30, 30, width=32)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Logits, Logits]:
    """Reference and backend logits of one shape."""
    shape = draw(shapes)
    first, second = (draw(hnp.arrays(np.float32, shape, elements=elements)) for _ in range(2))
    return Logits(first), Logits(second)


def logits_of(probabilities: list[list[float]]) -> Logits:
    """Logits whose sigmoids are these."""
    exact = np.array(probabilities)
    return Logits(np.log(exact / (1 - exact)).astype(np.float32))


def names(logits: Logits) -> tuple[str, ...]:
    return tuple(f"label {column}" for column in range(logits.shape[1]))


@pytest.fixture(scope="module")
def drift() -> Drift:
    """Largest differences of the four rows: 0.25, 0.1, 0, 0.4."""
    return measure_drift(logits_of(REFERENCE), logits_of(BACKEND), LABELS, multi_label=True)


def test_the_guide_statistic_is_the_mean_over_texts_of_the_largest_difference(drift: Drift) -> None:
    assert drift.largest_per_text.mean == pytest.approx((0.25 + 0.1 + 0 + 0.4) / 4, abs=NEAR)


def test_mean_abs_is_the_mean_over_all_rows_and_labels(drift: Drift) -> None:
    assert drift.mean_abs == pytest.approx((0.25 + 0.1 + 0.1 + 0.4) / 8, abs=NEAR)


def test_each_label_has_its_mean_and_largest_difference(drift: Drift) -> None:
    assert drift.per_label_mean_abs == pytest.approx({"joy": 0.0875, "anger": 0.125}, abs=NEAR)
    assert drift.per_label_max_abs == pytest.approx({"joy": 0.25, "anger": 0.4}, abs=NEAR)


def test_each_label_has_its_99th_percentile(drift: Drift) -> None:
    """Of 0, 0, 0.1, 0.25: 97% of the way from the third to the fourth; of 0, 0, 0.1, 0.4 likewise."""
    assert drift.per_label_p99 == pytest.approx({"joy": 0.2455, "anger": 0.391}, abs=NEAR)


def test_the_bias_of_a_label_keeps_the_sign(drift: Drift) -> None:
    """Joy only rises; anger falls by 0.1 and rises by 0.4."""
    assert drift.per_label_bias == pytest.approx({"joy": 0.0875, "anger": 0.075}, abs=NEAR)


def test_each_text_has_its_largest_logit_difference() -> None:
    """The third text moves far in logits and not at all in probability."""
    reference = Logits(np.array([[0, 0], [0, 0], [30, 0]], dtype=np.float32))
    backend = Logits(np.array([[1, -2], [0, 0], [34, 0]], dtype=np.float32))
    found = measure_drift(reference, backend, LABELS, multi_label=True)
    assert (found.largest_logit_per_text.mean, found.largest_logit_per_text.max) == (2.0, 4.0)
    assert found.largest_per_text.max < 0.4


def test_logit_drift_is_largest_and_root_mean_square(drift: Drift) -> None:
    assert drift.max_abs_logit == pytest.approx(2.197225, abs=NEAR)  # ln 9
    assert drift.rms_logit == pytest.approx(0.891876, abs=NEAR)


def test_worst_rows_come_worst_first(drift: Drift) -> None:
    assert [worst.row for worst in drift.worst] == [3, 0, 1, 2]
    assert [worst.max_abs_drift for worst in drift.worst] == pytest.approx([0.4, 0.25, 0.1, 0], abs=NEAR)
    assert [worst.label for worst in drift.worst[:3]] == ["anger", "joy", "anger"]


def test_a_worst_row_keeps_the_probabilities_of_both_sides(drift: Drift) -> None:
    assert drift.worst[0].reference == pytest.approx((0.5, 0.5), abs=NEAR)
    assert drift.worst[0].backend == pytest.approx((0.6, 0.9), abs=NEAR)


def test_ten_worst_rows_are_kept_and_ties_stay_in_corpus_order() -> None:
    reference = Logits(np.zeros((12, 1), dtype=np.float32))
    backend = reference.copy()
    backend[[4, 9], 0] = 1
    worst = measure_drift(reference, Logits(backend), ("joy",), multi_label=True).worst
    assert [row.row for row in worst] == [4, 9, 0, 1, 2, 3, 5, 6, 7, 8]


def test_single_label_drift_is_that_of_the_softmax() -> None:
    reference = Logits(np.array([[0, 0]], dtype=np.float32))
    backend = Logits(np.array([[np.log(3), 0]], dtype=np.float32))
    found = measure_drift(reference, backend, LABELS, multi_label=False)
    assert found.per_label_max_abs == pytest.approx({"joy": 0.25, "anger": 0.25}, abs=NEAR)


def test_distribution_is_the_one_computed_by_hand() -> None:
    found = summarize(np.array([0.25, 0.1, 0.0, 0.4]))
    assert found.mean == pytest.approx(0.1875)
    assert found.std == pytest.approx(0.02296875**0.5)  # divided by 4, not by 3
    assert (found.min, found.max) == (0.0, 0.4)
    assert found.median == pytest.approx(0.175)
    expected = {"p25": 0.075, "p50": 0.175, "p75": 0.2875, "p90": 0.355, "p95": 0.3775, "p99": 0.3955, "p99.9": 0.39955}
    assert found.percentiles == pytest.approx(expected)


@pytest.mark.parametrize("side", ["reference", "backend"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=["nan", "infinity", "minus-infinity"])
def test_logits_that_are_not_finite_are_refused(side: str, value: float) -> None:
    sides = {"reference": logits_of(REFERENCE), "backend": logits_of(BACKEND)}
    sides[side][1, 1] = value
    with pytest.raises(ValueError, match="finite logits"):
        measure_drift(sides["reference"], sides["backend"], LABELS, multi_label=True)


@pytest.mark.parametrize(
    ("reference", "backend", "labels", "message"),
    [
        pytest.param((3, 2), (1, 2), LABELS, r"found \(3, 2\), \(1, 2\)", id="other-rows"),
        pytest.param((3, 2), (3, 1), LABELS, r"found \(3, 2\), \(3, 1\)", id="other-labels"),
        pytest.param((3,), (3,), LABELS, r"\(rows, labels\)", id="one-dimension"),
        pytest.param((0, 2), (0, 2), LABELS, r"\(rows, labels\)", id="no-rows"),
        pytest.param((2, 0), (2, 0), (), r"\(rows, labels\)", id="no-labels"),
        pytest.param((3, 2), (3, 2), ("joy",), "expected 2 label names, found 1", id="label-names"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    reference: tuple[int, ...], backend: tuple[int, ...], labels: tuple[str, ...], message: str
) -> None:
    zeros = [Logits(np.zeros(shape, dtype=np.float32)) for shape in (reference, backend)]
    with pytest.raises(ValueError, match=message):
        measure_drift(*zeros, labels, multi_label=True)


def moved(drift: Drift) -> FloatArray:
    """Every number in it but the worst rows."""
    summaries = (drift.largest_per_text, drift.largest_logit_per_text)
    by_label = (drift.per_label_mean_abs, drift.per_label_max_abs, drift.per_label_p99, drift.per_label_bias)
    return np.array(
        [
            *(number for one in summaries for number in (one.mean, one.std, one.min, one.max, one.median)),
            *(number for one in summaries for number in one.percentiles.values()),
            *(drift.mean_abs, *(number for one in by_label for number in one.values())),
            *(drift.max_abs_logit, drift.rms_logit),
        ]
    )


@settings(deadline=None)
@given(pairs(), st.booleans())
def test_logits_do_not_drift_from_themselves(pair: tuple[Logits, Logits], multi_label: bool) -> None:
    found = measure_drift(pair[0], pair[0].copy(), names(pair[0]), multi_label=multi_label)
    assert not moved(found).any()


@settings(deadline=None)
@given(pairs(), st.booleans())
def test_drift_is_the_same_in_both_directions(pair: tuple[Logits, Logits], multi_label: bool) -> None:
    there = measure_drift(*pair, names(pair[0]), multi_label=multi_label)
    back = measure_drift(*reversed(pair), names(pair[0]), multi_label=multi_label)
    assert there.per_label_bias == {label: -bias for label, bias in back.per_label_bias.items()}
    one_sided = {"worst": (), "per_label_bias": {}, "relative_logit_error": None}
    assert replace(there, **one_sided) == replace(back, **one_sided)


@settings(deadline=None)
@given(pairs())
def test_probabilities_move_by_at_most_a_quarter_of_the_logit_under_a_sigmoid(pair: tuple[Logits, Logits]) -> None:
    found = measure_drift(*pair, names(pair[0]), multi_label=True)
    assert found.largest_per_text.max <= found.max_abs_logit / 4 + 1e-12


@settings(deadline=None)
@given(pairs(), st.booleans(), st.randoms(use_true_random=False))
def test_drift_does_not_depend_on_row_order(pair: tuple[Logits, Logits], multi_label: bool, random: Random) -> None:
    order = list(range(len(pair[0])))
    random.shuffle(order)
    shuffled = [Logits(side[order]) for side in pair]
    before = measure_drift(*pair, names(pair[0]), multi_label=multi_label)
    after = measure_drift(*shuffled, names(pair[0]), multi_label=multi_label)
    np.testing.assert_allclose(moved(after), moved(before), rtol=1e-12, atol=1e-15)
    assert [worst.max_abs_drift for worst in after.worst] == [worst.max_abs_drift for worst in before.worst]


def relative(reference: FloatArray, backend: FloatArray, *, multi_label: bool = True) -> float | None:
    sides = (Logits(side.astype(np.float32)) for side in (reference, backend))
    return measure_drift(*sides, names(Logits(reference)), multi_label=multi_label).relative_logit_error


SPREAD_ROWS = np.array([[1.0, -2.0], [3.0, 2.0], [5.0, 6.0]])  # a label's variance over rows: 8 / 3 and 32 / 3


def test_logit_errors_are_relative_to_how_far_logits_are_spread_over_texts() -> None:
    off = SPREAD_ROWS + np.array([[0.5, 0.5], [-0.5, 0.5], [0.5, -0.5]])
    assert relative(SPREAD_ROWS, off) == pytest.approx(0.5 / np.sqrt((8 / 3 + 32 / 3) / 2))


@pytest.mark.parametrize("scale", [0.01, 100.0])
def test_scaled_logits_have_the_same_relative_error(scale: float) -> None:
    off = SPREAD_ROWS * 1.01
    assert relative(SPREAD_ROWS * scale, off * scale) == pytest.approx(relative(SPREAD_ROWS, off), rel=1e-4)


def test_a_constant_of_a_row_counts_for_sigmoids_and_not_for_softmax() -> None:
    off = SPREAD_ROWS + np.array([[1.0], [-1.0], [2.0]])
    assert relative(SPREAD_ROWS, off, multi_label=False) == pytest.approx(0.0, abs=1e-7)
    assert (relative(SPREAD_ROWS, off) or 0.0) > 0.3


def test_rows_that_differ_by_rounding_alone_have_no_relative_error() -> None:
    alike = np.repeat(SPREAD_ROWS[:1], 3, axis=0)
    alike[1] *= 1 + 1e-7
    assert relative(alike, alike * 1.01) is None
