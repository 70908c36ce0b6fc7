"""A backend against its own past, and which side moved."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from driftgate.arrays import Logits
from driftgate.judge.probabilities import require_comparable, to_probabilities

UNMOVED = 1e-5
"""Largest probability difference that rounding explains: float32 on the same texts."""


@dataclass(frozen=True, slots=True)
class Movement:
    """Largest probability differences, then against now.

    Args:
        reference: of the reference. `backend`: of the backend.
        drift_then: of the backend against the reference in the baseline. `drift_now`: in this run.
        mean_backend, p90_backend: of each row's largest difference of the backend, the mean and the 90th percentile.
        who: "nothing", "the reference", "the backend" or "both".
        changes: what else is different since then, in words.
    """

    reference: float
    backend: float
    mean_backend: float
    p90_backend: float
    drift_then: float
    drift_now: float
    who: str
    changes: tuple[str, ...]


def measure_movement(
    reference_then: Logits,
    reference_now: Logits,
    backend_then: Logits,
    backend_now: Logits,
    *,
    multi_label: bool,
    changes: Sequence[str] = (),
) -> Movement:
    """Compare logits, float32, (rows, labels), of the same texts at two times.

    Raises:
        ValueError: different shapes, or values that are not finite.
    """
    arrays = (reference_then, reference_now, backend_then, backend_now)
    require_comparable(*arrays)
    p = [to_probabilities(array, multi_label=multi_label) for array in arrays]
    largest = np.abs(p[3] - p[2]).max(axis=1)
    reference, backend = float(np.abs(p[1] - p[0]).max()), float(largest.max())
    who = {
        (False, False): "nothing",
        (True, False): "the reference",
        (False, True): "the backend",
        (True, True): "both",
    }[not reference <= UNMOVED, not backend <= UNMOVED]
    return Movement(
        reference=reference,
        backend=backend,
        mean_backend=float(largest.mean()),
        p90_backend=float(np.quantile(largest, 0.9)),
        drift_then=float(np.abs(p[2] - p[0]).max()),
        drift_now=float(np.abs(p[3] - p[1]).max()),
        who=who,
        changes=tuple(changes),
    )
