"""Speed as ratios of blocks measured side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Ratio:
    """Speed relative to an anchor over paired blocks: above 1 is faster. `low` and `high` are the extremes seen."""

    median: float
    low: float
    high: float
    blocks: int


def speed_ratio(anchor_seconds: Sequence[float], seconds: Sequence[float]) -> Ratio:
    """Anchor time over own time, block by block; both ran the same rows in the same block.

    Raises:
        ValueError: fewer than three blocks, different counts, or times that are not positive and finite.
    """
    if len(anchor_seconds) != len(seconds) or len(seconds) < 3:
        raise ValueError(f"expected at least 3 paired blocks, found {len(anchor_seconds)} and {len(seconds)}")
    anchor, own = np.asarray(anchor_seconds, dtype=np.float64), np.asarray(seconds, dtype=np.float64)
    if not all(((times > 0) & np.isfinite(times)).all() for times in (anchor, own)):
        raise ValueError(f"expected positive, finite times in seconds, found {anchor.tolist()} and {own.tolist()}")
    ratios = anchor / own
    return Ratio(float(np.median(ratios)), float(ratios.min()), float(ratios.max()), len(ratios))
