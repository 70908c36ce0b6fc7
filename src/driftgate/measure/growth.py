"""Whether a session's memory keeps growing."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Growth:
    """Memory growth after the warm-up: the Theil-Sen slope, and last minus first, which one step can make."""

    bytes_per_thousand_runs: float
    total_bytes: int
    cycles: int


def memory_growth(resident_bytes: Sequence[int], runs_per_cycle: int) -> Growth:
    """Growth over equal cycles, from the resident memory in bytes after each.

    The slope is the median over all pairs of cycles (Sen 1968), so that an allocator that grows once is not a leak.

    Raises:
        ValueError: fewer than 8 cycles, no runs in a cycle, or a system that does not tell resident memory.
    """
    if len(resident_bytes) < 8 or runs_per_cycle < 1 or min(resident_bytes) <= 0:
        raise ValueError(
            f"expected at least 8 cycles of at least one run, each with its resident bytes, found {runs_per_cycle} runs a "
            f"cycle and {list(resident_bytes)}"
        )
    from scipy import stats  # slow to import, and every pytest run imports the plugin

    slope = float(stats.theilslopes(np.asarray(resident_bytes, dtype=np.float64)).slope)
    return Growth(slope / runs_per_cycle * 1000, resident_bytes[-1] - resident_bytes[0], len(resident_bytes))
