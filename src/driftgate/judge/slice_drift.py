"""Drift and flips on parts of a corpus."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from driftgate.arrays import BoolArray, FloatArray, Logits
from driftgate.judge.probabilities import decide, find_flips, require_comparable, to_probabilities

CLOSEST_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class SliceDrift:
    """One slice: largest probability difference of each text (mean, 99th percentile, maximum), and flips as in `Flips`."""

    rows: int
    mean_of_largest: float
    p99_of_largest: float
    max_abs_probability: float
    flips: int
    flip_rate: float


def measure_slices(
    reference: Logits,
    backend: Logits,
    slices: Mapping[str, BoolArray],
    thresholds: FloatArray | float,
    *,
    multi_label: bool,
) -> dict[str, SliceDrift]:
    """Drift of each slice.

    Args:
        reference, backend: logits, float32, (rows, labels).
        slices: rows of each slice by name, bool, (rows,). Those without rows are left out.

    Raises:
        ValueError: shapes that do not fit, or values that are not finite.
    """
    require_comparable(reference, backend)
    p = [to_probabilities(side, multi_label=multi_label) for side in (reference, backend)]
    before, after = (decide(side, thresholds, multi_label=multi_label) for side in p)
    flipped = find_flips(before, after, multi_label=multi_label)
    largest = np.abs(p[1] - p[0]).max(axis=1)
    found = {}
    for name, rows in slices.items():
        if rows.shape != largest.shape or rows.dtype != np.bool_:  # numbers would pick rows by position
            raise ValueError(
                f"slice {name}: expected a mask of shape {largest.shape}, bool, found {rows.shape}, {rows.dtype}"
            )
        if rows.any():
            own = largest[rows]
            found[name] = SliceDrift(
                rows=int(rows.sum()),
                mean_of_largest=float(own.mean()),
                p99_of_largest=float(np.percentile(own, 99)),
                max_abs_probability=float(own.max()),
                flips=int(flipped[rows].sum()),
                flip_rate=float(flipped[rows].mean()),
            )
    return found


def closest_decisions(reference: Logits, thresholds: FloatArray | float, *, multi_label: bool) -> BoolArray:
    """The tenth of the rows whose closest decision is closest, bool, (rows,).

    Closeness is the smallest distance of a logit to its threshold; for single-label encoders that between the two most
    probable labels. Ties with the last of them are in too, so that row order says nothing.
    """
    logits = reference.astype(np.float64)
    if multi_label:
        margin = np.abs(logits - logit(np.asarray(thresholds, dtype=np.float64))).min(axis=1)
    elif logits.shape[1] > 1:
        first, second = np.sort(logits, axis=1)[:, [-1, -2]].T
        margin = first - second
    else:
        margin = np.zeros(len(logits))
    return np.asarray(margin <= np.quantile(margin, CLOSEST_SHARE, method="lower"), dtype=np.bool_)
