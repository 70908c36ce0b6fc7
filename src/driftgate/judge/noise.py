"""How much a row's answer depends on what it was batched and padded with."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftgate.arrays import Logits
from driftgate.judge.probabilities import require_comparable, to_probabilities


@dataclass(frozen=True, slots=True)
class Noise:
    """Spread of answers over runs: the largest minus the smallest, for each row and label.

    Args:
        max_abs_logit: the largest spread of a logit. `max_abs_probability`: of a probability.
        p99_probability: 99th percentile over rows of each row's largest probability spread.
        rows_changed: rows whose logits are not equal in all runs.
    """

    rows: int
    runs: int
    max_abs_logit: float
    max_abs_probability: float
    p99_probability: float
    rows_changed: int


def measure_noise(answers: Sequence[Logits], *, multi_label: bool) -> Noise:
    """Compare the logits of the same rows from several runs, each float32, (rows, labels).

    Raises:
        ValueError: fewer than two runs, different shapes, no rows, or values that are not finite.
    """
    if len(answers) < 2:
        raise ValueError(f"expected at least two runs to compare, found {len(answers)}")
    require_comparable(*answers)
    logits = np.ptp(np.stack(answers).astype(np.float64), axis=0)
    probabilities = np.ptp(np.stack([to_probabilities(answer, multi_label=multi_label) for answer in answers]), axis=0)
    largest = probabilities.max(axis=1)
    return Noise(
        rows=len(largest),
        runs=len(answers),
        max_abs_logit=float(logits.max()),
        max_abs_probability=float(largest.max()),
        p99_probability=float(np.percentile(largest, 99)),
        rows_changed=int(logits.any(axis=1).sum()),
    )
