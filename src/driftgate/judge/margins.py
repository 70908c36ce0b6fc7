"""How close decisions are to their thresholds, and how many flips that makes drift cost."""

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from driftgate.arrays import FloatArray, Logits
from driftgate.judge.probabilities import decide, require_comparable, to_probabilities

_SHARE = 99


@dataclass(frozen=True, slots=True)
class Margins:
    """Flips explained by margins: a decision flips where its logit moves across its threshold.

    Args:
        drift_logit: 99% of logits move by less. `at_risk`: share of decisions whose margin is smaller than that.
        predicted_flips: expected if a label's drift had nothing to do with its margin. Many more seen than predicted means
            that drift points across thresholds.
    """

    drift_logit: float
    at_risk: float
    predicted_flips: float
    observed_flips: int


def measure_margins(reference: Logits, backend: Logits, thresholds: FloatArray | float) -> Margins:
    """Margins of multi-label decisions.

    Args:
        reference, backend: logits, float32, (rows, labels).
        thresholds: probabilities, one for all labels or float64, (labels,).

    Raises:
        ValueError: different shapes, no rows, values that are not finite, or thresholds that are no probabilities.
    """
    require_comparable(reference, backend)
    # Decided as everywhere: near 1 a sigmoid rounds, and logits would say otherwise.
    was, now = (
        decide(to_probabilities(side, multi_label=True), thresholds, multi_label=True) for side in (reference, backend)
    )
    before, after = reference.astype(np.float64), backend.astype(np.float64)
    cuts = np.broadcast_to(logit(np.asarray(thresholds, dtype=np.float64)), before.shape[1:])
    margin, moved = before - cuts, after - before
    limit = float(np.percentile(np.abs(moved), _SHARE))
    predicted = 0.0
    for column in range(margin.shape[1]):
        drift = np.sort(moved[:, column])
        # A decision is yes at or above the threshold: it is lost below it, gained at it.
        falls_short = np.searchsorted(drift, -margin[:, column], side="left") / len(drift)
        predicted += float(np.where(was[:, column], falls_short, 1 - falls_short).sum())
    return Margins(
        drift_logit=limit,
        at_risk=float((np.abs(margin) < limit).mean()),
        predicted_flips=predicted,
        observed_flips=int((was != now).sum()),
    )
