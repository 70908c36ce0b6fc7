"""The paired bootstrap: definitions, pairing, and what it can see."""

import numpy as np
import pytest

from driftgate.arrays import Decisions, LabelMatrix
from driftgate.judge.bootstrap import METRICS, paired_losses
from driftgate.judge.quality import measure_quality

LABELS = 6


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
    for rows in random.integers(0, 80, (200, 80)):
        sides = [
            measure_quality(Decisions(side[rows]), LabelMatrix(truth[rows]), tuple("abcdef"), multi_label=True)
            for side in (reference, backend)
        ]
        plain.append(sides[0].macro_f1 - sides[1].macro_f1)
    found = paired_losses(reference, backend, truth, multi_label=True, resamples=200)["macro_f1"]
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
