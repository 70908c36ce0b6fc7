"""Noise by batch composition and padding, and error in units of float32's own."""

import numpy as np
import pytest

from driftgate.arrays import Logits
from driftgate.judge.noise import measure_error, measure_noise

BASE = np.zeros((3, 2), dtype=np.float32)


def changed(row: int, label: int, value: float) -> Logits:
    logits = BASE.copy()
    logits[row, label] = value
    return Logits(logits)


def test_noise_is_the_spread_over_all_runs() -> None:
    found = measure_noise([Logits(BASE), changed(1, 0, 0.4), changed(1, 0, -0.4)], multi_label=True)
    assert (found.rows, found.runs, found.rows_changed) == (3, 3, 1)
    assert found.max_abs_logit == pytest.approx(0.8)
    assert found.max_abs_probability == pytest.approx(1 / (1 + np.exp(-0.4)) - 1 / (1 + np.exp(0.4)))
    assert 0 < found.p99_probability < found.max_abs_probability


def test_equal_runs_have_no_noise() -> None:
    found = measure_noise([Logits(BASE)] * 2, multi_label=False)
    assert (found.max_abs_logit, found.max_abs_probability, found.rows_changed) == (0, 0, 0)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([Logits(BASE)], "at least two runs"),
        ([Logits(BASE), Logits(BASE[:2])], "one shape"),
        ([Logits(BASE), changed(0, 0, np.nan)], "finite"),
    ],
    ids=["one-run", "shapes", "nan"],
)
def test_runs_that_cannot_be_compared_are_refused(answers: list[Logits], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        measure_noise(answers, multi_label=True)


def test_an_error_is_a_multiple_of_what_float32_errs_by() -> None:
    exact = np.full((4, 2), 1.0)
    reference, backend = (Logits((exact + error).astype(np.float32)) for error in (1e-4, 3e-4))
    found = measure_error(exact, reference, backend)
    assert found.ratio == pytest.approx(3, rel=1e-2)
    assert measure_error(exact, reference, reference).ratio == pytest.approx(1)


def test_a_reference_without_error_counts_as_half_a_rounding() -> None:
    exact = np.full((4, 2), 1.0)
    found = measure_error(exact, Logits(exact.astype(np.float32)), Logits((exact + 1e-3).astype(np.float32)))
    assert found.reference_rms == 0
    assert found.ratio == pytest.approx(1e-3 / (np.finfo(np.float32).eps / 2), rel=1e-3)


def test_logits_that_are_all_zero_have_a_ratio_too() -> None:
    assert (
        measure_error(
            np.zeros((2, 2)), Logits(np.zeros((2, 2), np.float32)), Logits(np.zeros((2, 2), np.float32))
        ).ratio
        == 0
    )


def test_nan_is_no_error_but_a_refusal() -> None:
    with pytest.raises(ValueError, match="finite"):
        measure_error(np.zeros((3, 2)), Logits(BASE), changed(0, 0, np.nan))


def test_noise_is_measured_in_the_row_it_is_in_not_between_rows() -> None:
    answer = Logits(np.array([[0, 9], [5, -5]], dtype=np.float32))
    found = measure_noise([answer, answer, answer], multi_label=True)
    assert (found.runs, found.max_abs_logit, found.rows_changed) == (3, 0.0, 0)


def test_noise_of_one_label_of_one_row_is_its_range() -> None:
    runs = [Logits(np.array([[value]], dtype=np.float32)) for value in (1, 3, 2)]
    found = measure_noise(runs, multi_label=False)
    assert found.max_abs_logit == 2.0
    assert (found.max_abs_probability, found.rows_changed) == (0.0, 1)  # the softmax of one label is 1


@pytest.mark.parametrize("shape", [(0, 2), (3,)], ids=["no-rows", "one-dimension"])
def test_answers_without_rows_and_labels_are_refused(shape: tuple[int, ...]) -> None:
    nothing = Logits(np.zeros(shape, dtype=np.float32))
    with pytest.raises(ValueError, match=r"one shape \(rows, labels\)"):
        measure_noise([nothing, nothing], multi_label=True)
