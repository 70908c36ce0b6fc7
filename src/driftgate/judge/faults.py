"""Faults of a backend, as they show in its logits: what bounds are tried on before anyone relies on them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from driftgate.arrays import Logits
from driftgate.judge.evidence import Head

_NEVER = -20.0
_SHIFT = 0.3
_MOVED_ROWS = 0.02


def make_faults(head: Head, reference: Logits, backend: Logits) -> Mapping[str, Logits]:
    """The backend's logits with one fault each, float32, (rows, labels), by what the fault is.

    Drift twice and three times as large; the two most probable labels swapped, the first of them never given, its logits lower;
    some rows answered as others. What needs two labels or rows is left out where there is one.
    """
    common = np.argsort(-head.probabilities(reference).mean(axis=0), kind="stable")
    first = head.labels[common[0]]
    drift = backend - reference
    faults = {
        "drift doubled": reference + 2 * drift,
        "drift tripled": reference + 3 * drift,
        f"{first!r} never given": _with_column(backend, common[0], min(_NEVER, float(backend.min()) - 1)),
        f"logits of {first!r} {_SHIFT} lower": _with_column(backend, common[0], backend[:, common[0]] - _SHIFT),
    }
    if len(common) > 1:
        order = np.arange(len(common))
        order[common[:2]] = common[1::-1]
        faults[f"{first!r} and {head.labels[common[1]]!r} swapped"] = backend[:, order]
    if (count := max(2, round(_MOVED_ROWS * len(backend)))) <= len(backend):
        rows = np.random.default_rng(0).choice(len(backend), count, replace=False)
        moved = backend.copy()
        moved[rows] = backend[np.roll(rows, 1)]
        faults[f"{_MOVED_ROWS:.0%} of the rows answered as others"] = moved
    return {name: Logits(np.asarray(logits, dtype=np.float32)) for name, logits in faults.items()}


def _with_column(logits: Logits, column: int, values: NDArray[np.float32] | float) -> NDArray[np.float32]:
    changed = logits.copy()
    changed[:, column] = values
    return changed
