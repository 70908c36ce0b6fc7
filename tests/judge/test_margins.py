"""Margins at the edges: flips by hand, and thresholds and logits where a sigmoid rounds."""

import re

import numpy as np
import pytest

from driftgate.arrays import Logits
from driftgate.judge.flips import Margins, count_flips, measure_margins
from driftgate.judge.probabilities import decide, to_probabilities


def column(*values: float) -> Logits:
    return Logits(np.array(values, dtype=np.float32)[:, None])


def test_predicted_flips_are_those_of_any_row_with_any_drift() -> None:
    """Margins 1, 3, -2; drifts -2, 0, 2. Row 0 flips under one of the three, row 2 just so under one, row 1 under none."""
    found = measure_margins(column(1, 3, -2), column(-1, 3, 0), 0.5)
    assert found.predicted_flips == pytest.approx(2 / 3)
    assert found.observed_flips == 2


def test_each_label_flips_with_its_own_drift_only() -> None:
    """Label 0 is close and still, label 1 far and moving: pooled, label 0 would seem to flip."""
    reference = Logits(np.array([[0.1, 50.0], [-0.1, 50.0]], dtype=np.float32))
    backend = Logits(reference + np.array([0, -5], dtype=np.float32))
    found = measure_margins(reference, backend, 0.5)
    assert (found.predicted_flips, found.observed_flips, found.at_risk) == (0, 0, 0.5)


@pytest.mark.parametrize("threshold", [0.0, 1.0, 1 - 1e-16], ids=["zero", "one", "just-under-one"])
def test_flips_seen_are_those_counted_where_a_sigmoid_rounds_to_one(threshold: float) -> None:
    reference, backend = column(40, 40, 36), column(10, 41, 38)
    sides = (
        decide(to_probabilities(side, multi_label=True), threshold, multi_label=True) for side in (reference, backend)
    )
    found = measure_margins(reference, backend, threshold)
    assert found.observed_flips == count_flips(*sides, ("a",)).total
    assert np.isfinite([found.drift_logit, found.at_risk, found.predicted_flips]).all()


def test_one_row_predicts_itself() -> None:
    assert measure_margins(column(1), column(-1), 0.5) == Margins(2.0, 1.0, 1.0, 1)


@pytest.mark.parametrize(
    ("backend", "threshold", "message"),
    [
        pytest.param(
            column(1, 2), 0.5, "one shape (rows, labels), none of them empty, found (1, 1), (2, 1)", id="other-rows"
        ),
        pytest.param(column(np.nan), 0.5, "expected finite logits", id="nan"),
        pytest.param(column(1), 1.5, "expected thresholds between 0 and 1", id="no-probability"),
    ],
)
def test_what_has_no_margin_is_refused(backend: Logits, threshold: float, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        measure_margins(column(1), backend, threshold)
