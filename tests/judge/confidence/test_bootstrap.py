"""The paired bootstrap: definitions, pairing, and what it can see."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from driftgate.arrays import BoolArray, Decisions, LabelMatrix
from driftgate.judge.confidence import bootstrap
from driftgate.judge.confidence.bootstrap import METRICS, PairedLoss, paired_losses
from driftgate.judge.quality import measure_quality

LABELS = 6
FACTOR = norm.ppf(0.95) + norm.ppf(0.8)


def draw(
    rows: int, *, flips: int = 0, seed: int = 0, multi_label: bool = True
) -> tuple[Decisions, Decisions, LabelMatrix]:
    """Truth with rare and common labels, a reference that is often right, a backend with `flips` changed decisions."""
    random = np.random.default_rng(seed)
    if multi_label:
        truth = random.random((rows, LABELS)) < np.linspace(0.01, 0.4, LABELS)
        reference = np.where(random.random(truth.shape) < 0.1, ~truth, truth)
        backend = reference.copy()
        backend.ravel()[random.choice(truth.size, flips, replace=False)] ^= True
    else:
        classes = random.integers(0, LABELS, (3, rows))
        right = random.random((2, rows)) < 0.7
        truth, reference, backend = (
            np.eye(LABELS, dtype=np.bool_)[chosen]
            for chosen in (classes[0], np.where(right[0], classes[0], classes[1]), np.where(right[1], *classes[::2]))
        )
    return Decisions(reference), Decisions(backend), LabelMatrix(truth)


@pytest.mark.parametrize("multi_label", [True, False])
def test_both_sides_are_what_measure_quality_says(multi_label: bool) -> None:
    reference, backend, truth = draw(300, flips=100, multi_label=multi_label)
    names = tuple(map(str, range(LABELS)))
    losses = paired_losses(reference, backend, truth, multi_label=multi_label, resamples=10)
    qualities = [measure_quality(side, truth, names, multi_label=multi_label) for side in (reference, backend)]
    assert set(losses) == set(METRICS)
    for metric, loss in losses.items():
        assert loss.reference == pytest.approx(getattr(qualities[0], metric), abs=1e-12), metric
        assert loss.backend == pytest.approx(getattr(qualities[1], metric), abs=1e-12), metric
        assert loss.loss == loss.reference - loss.backend


def test_resamples_are_those_of_a_plain_loop() -> None:
    reference, backend, truth = draw(80, flips=40)
    random = np.random.default_rng(0)
    plain = []
    for rows in random.integers(0, 80, (60, 80)):
        sides = [
            measure_quality(Decisions(side[rows]), LabelMatrix(truth[rows]), tuple("abcdef"), multi_label=True)
            for side in (reference, backend)
        ]
        plain.append(sides[0].macro_f1 - sides[1].macro_f1)
    found = paired_losses(reference, backend, truth, multi_label=True, resamples=60)["macro_f1"]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(plain, [5, 95])), abs=1e-6)


def test_the_same_decisions_lose_nothing_and_still_say_what_could_have_been_seen() -> None:
    reference, _, truth = draw(300)
    for loss in paired_losses(reference, reference, truth, multi_label=True, resamples=50).values():
        assert loss.low == loss.loss == loss.high == 0
        assert loss.detectable > 0


def test_pairing_makes_the_interval_of_few_flips_narrow() -> None:
    reference, backend, truth = draw(2000, flips=10)
    found = paired_losses(reference, backend, truth, multi_label=True, resamples=500)["micro_f1"]
    assert 0 < found.high - found.low < 0.005


def test_the_interval_covers_the_true_loss_about_as_often_as_it_says() -> None:
    """The loss over a large population, sampled 60 times: 90% intervals miss it in about 6 of them."""
    population = draw(40_000, flips=4000, seed=9)
    truth_loss = paired_losses(*population, multi_label=True, resamples=1)["micro_f1"].loss
    random = np.random.default_rng(1)
    missed = 0
    for _ in range(60):
        rows = random.choice(40_000, 1000, replace=False)
        reference, backend, truth = (side[rows] for side in population)
        found = paired_losses(
            Decisions(reference), Decisions(backend), LabelMatrix(truth), multi_label=True, resamples=300
        )["micro_f1"]
        missed += not found.low <= truth_loss <= found.high
    assert missed <= 14


def test_a_larger_corpus_sees_smaller_losses() -> None:
    small, large = (
        paired_losses(*draw(rows, flips=rows // 10), multi_label=True, resamples=300)["micro_f1"].detectable
        for rows in (200, 5000)
    )
    assert large < small / 3


@pytest.mark.parametrize("multi_label", [True, False])
def test_one_row_and_labels_nobody_has_are_no_error(multi_label: bool) -> None:
    yes = np.zeros((1, 3), dtype=np.bool_)
    yes[0, 0] = True
    no = Decisions(np.roll(yes, 1))
    found = paired_losses(Decisions(yes), no, LabelMatrix(yes), multi_label=multi_label, resamples=20)
    assert found["subset_accuracy"].loss == found["subset_accuracy"].low == 1.0
    assert found["macro_f1_supported"].loss == 0
    assert all(np.isfinite([loss.low, loss.high, loss.detectable]).all() for loss in found.values())


def test_shapes_that_differ_are_refused() -> None:
    reference, backend, truth = draw(10)
    with pytest.raises(ValueError, match="one shape"):
        paired_losses(reference, Decisions(backend[:5]), truth, multi_label=True)
    with pytest.raises(ValueError, match="one shape"):
        paired_losses(*(side[:0] for side in (reference, backend, truth)), multi_label=True)


def names(labels: int) -> tuple[str, ...]:
    return tuple(f"label {column}" for column in range(labels))


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[BoolArray, ...], bool]:
    rows, labels = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    multi_label = draw(st.booleans())
    if multi_label:
        cells = st.lists(st.booleans(), min_size=rows * labels, max_size=rows * labels)
        return tuple(np.array(draw(cells)).reshape(rows, labels) for _ in range(3)), True
    classes = st.lists(st.integers(0, labels - 1), min_size=rows, max_size=rows)
    return tuple(np.eye(labels, dtype=np.bool_)[draw(classes)] for _ in range(3)), False


@settings(deadline=None)
@given(cases())
def test_points_are_those_of_quality_whatever_is_empty_or_constant(case: tuple[tuple[BoolArray, ...], bool]) -> None:
    (reference, backend, truth), multi_label = case
    found = paired_losses(
        Decisions(reference), Decisions(backend), LabelMatrix(truth), multi_label=multi_label, resamples=3
    )
    before, after = (
        measure_quality(Decisions(side), LabelMatrix(truth), names(truth.shape[1]), multi_label=multi_label)
        for side in (reference, backend)
    )
    assert tuple(found) == METRICS
    for metric, loss in found.items():
        assert loss.reference == pytest.approx(getattr(before, metric), abs=1e-12)
        assert loss.backend == pytest.approx(getattr(after, metric), abs=1e-12)
        assert loss.loss == pytest.approx(loss.reference - loss.backend, abs=1e-15)


def test_points_with_supported_labels_are_those_of_quality() -> None:
    reference, backend, truth = draw(300, flips=30)
    found = paired_losses(reference, backend, truth, multi_label=True, resamples=3)["macro_f1_supported"]
    quality = measure_quality(reference, truth, names(LABELS), multi_label=True)
    assert 0 < quality.supported_labels < LABELS
    assert found.reference == pytest.approx(quality.macro_f1_supported, abs=1e-12)


def resampled_losses(
    reference: Decisions, backend: Decisions, truth: LabelMatrix, *, multi_label: bool
) -> dict[str, list[float]]:
    """Losses of 60 resamples, the slow way: rows picked with the module's own draws, measured by `measure_quality`."""
    losses: dict[str, list[float]] = {metric: [] for metric in METRICS}
    for weights in bootstrap._multiplicities(len(truth), 60, seed=3):
        for row_weights in weights.astype(int):
            rows = np.repeat(np.arange(len(truth)), row_weights)
            before, after = (
                measure_quality(
                    Decisions(side[rows]), LabelMatrix(truth[rows]), names(truth.shape[1]), multi_label=multi_label
                )
                for side in (reference, backend)
            )
            for metric in METRICS:
                losses[metric].append(getattr(before, metric) - getattr(after, metric))
    return losses


@pytest.mark.parametrize("multi_label", [True, False], ids=["multi-label", "single-label"])
def test_limits_are_percentiles_of_losses_on_resampled_rows(*, multi_label: bool) -> None:
    # With 30 rows no label is ever supported: which ones are is decided once, and a resample would differ.
    inputs = draw(30, flips=12, multi_label=multi_label)
    found = paired_losses(*inputs, multi_label=multi_label, resamples=60, seed=3)
    for metric, losses in resampled_losses(*inputs, multi_label=multi_label).items():
        low, high = np.percentile(losses, [5, 95])
        assert (found[metric].low, found[metric].high) == pytest.approx((low, high), abs=1e-9)
        assert found[metric].detectable >= FACTOR * np.std(losses) - 1e-9


def test_every_resample_draws_as_many_rows_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_CHUNK_CELLS", 25)
    chunks = list(bootstrap._multiplicities(10, 7, seed=0))
    assert [chunk.shape for chunk in chunks] == [(2, 10), (2, 10), (2, 10), (1, 10)]
    assert all((chunk.sum(axis=1) == 10).all() for chunk in chunks)


def test_rows_lost_one_by_one_are_resampled_as_a_binomial() -> None:
    """Subset accuracy falls on 10 of 100 rows: the loss of a resample is binomial(100, 0.1) / 100."""
    truth = LabelMatrix(np.ones((100, 1), dtype=np.bool_))
    backend = Decisions(truth.copy())
    backend[:10] = False
    found = paired_losses(Decisions(truth.copy()), backend, truth, multi_label=True)["subset_accuracy"]
    assert found.loss == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((0.05, 0.15), abs=0.011)
    assert found.detectable == pytest.approx(FACTOR * 0.03, rel=0.1)


def test_a_seed_gives_the_same_limits_again_and_another_gives_others() -> None:
    first, again, other = (
        paired_losses(*draw(200, flips=30), multi_label=True, resamples=300, seed=seed)["micro_f1"]
        for seed in (1, 1, 2)
    )
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_the_loss_turns_around_with_the_sides() -> None:
    reference, backend, truth = draw(200, flips=30)
    there = paired_losses(reference, backend, truth, multi_label=True)
    back = paired_losses(backend, reference, truth, multi_label=True)
    for metric in METRICS:
        ours, theirs = there[metric], back[metric]
        assert (ours.loss, ours.low, ours.high) == pytest.approx((-theirs.loss, -theirs.high, -theirs.low), abs=1e-9)


def test_without_flips_what_can_be_seen_is_one_lost_hit_by_hand() -> None:
    """Of 10 rows with the one label 4 are found: recall falls by 1/10, precision not, F1 from 8/14 to 6/13."""
    truth = LabelMatrix(np.ones((10, 1), dtype=np.bool_))
    reference = Decisions(np.arange(10)[:, None] < 4)
    found = paired_losses(reference, reference, truth, multi_label=True)
    assert found["micro_recall"].detectable == pytest.approx(FACTOR / 10)
    assert found["subset_accuracy"].detectable == pytest.approx(FACTOR / 10)
    assert found["micro_f1"].detectable == pytest.approx(FACTOR * (8 / 14 - 6 / 13))
    assert found["micro_precision"].detectable == pytest.approx(FACTOR / 10)  # one row, for want of a loss


def test_a_lost_class_costs_precision_too() -> None:
    truth = LabelMatrix(np.eye(2, dtype=np.bool_)[np.arange(10) % 2])
    found = paired_losses(Decisions(truth.copy()), Decisions(truth.copy()), truth, multi_label=False)
    for metric in ("micro_precision", "micro_recall", "micro_f1", "subset_accuracy"):
        assert found[metric].detectable == pytest.approx(FACTOR / 10)
    assert found["macro_precision"].detectable == pytest.approx(FACTOR * (1 - (1 + 5 / 6) / 2))


def test_a_hit_in_a_row_that_is_wrong_anyway_costs_no_subset_accuracy() -> None:
    """Both hits count; one is in a row that is right."""
    truth = LabelMatrix(np.array([[True, False], [True, False]]))
    reference = Decisions(np.array([[True, False], [True, True]]))
    found = paired_losses(reference, reference, truth, multi_label=True)
    assert found["subset_accuracy"].detectable == pytest.approx(FACTOR * 0.5 * 0.5)


def test_without_hits_what_can_be_seen_is_one_row() -> None:
    nothing = np.zeros((8, 2), dtype=np.bool_)
    for loss in paired_losses(Decisions(nothing), Decisions(nothing), LabelMatrix(nothing), multi_label=True).values():
        assert loss.detectable == pytest.approx(FACTOR / 8)


@pytest.mark.parametrize("multi_label", [True, False], ids=["multi-label", "single-label"])
def test_a_row_or_a_label_alone_is_enough(*, multi_label: bool) -> None:
    for shape in ((1, 1), (1, 3), (5, 1)):
        first = np.zeros(shape, dtype=np.bool_)
        first[:, 0] = True
        found = paired_losses(Decisions(first), Decisions(first), LabelMatrix(first), multi_label=multi_label)
        assert found["micro_f1"] == PairedLoss(1.0, 1.0, 0.0, 0.0, 0.0, found["micro_f1"].detectable)


def test_identical_rows_make_limits_that_are_the_loss() -> None:
    truth = LabelMatrix(np.tile([[True, True]], (20, 1)))
    backend = Decisions(np.tile([[True, False]], (20, 1)))
    found = paired_losses(Decisions(truth.copy()), backend, truth, multi_label=True)["macro_recall"]
    assert (found.loss, found.low, found.high) == (0.5, 0.5, 0.5)


def test_losses_are_plain_finite_numbers() -> None:
    found = paired_losses(*draw(200, flips=30), multi_label=True, resamples=20)
    json.dumps({metric: asdict(loss) for metric, loss in found.items()}, allow_nan=False)
    assert {type(value) for loss in found.values() for value in asdict(loss).values()} == {float}


def test_no_rows_and_no_resamples_are_refused() -> None:
    nothing, yes = np.zeros((0, 2), dtype=np.bool_), np.ones((1, 2), dtype=np.bool_)
    with pytest.raises(ValueError, match=r"one shape \(rows, labels\)"):
        paired_losses(Decisions(nothing), Decisions(nothing), LabelMatrix(nothing), multi_label=True)
    with pytest.raises(ValueError, match="at least one resample, found 0"):
        paired_losses(Decisions(yes), Decisions(yes), LabelMatrix(yes), multi_label=True, resamples=0)
