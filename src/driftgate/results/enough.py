"""How many rows would have been enough for the verdicts of a run."""

from collections.abc import Iterable

from driftgate.judge.bounds import MetricVerdict, Outcome
from driftgate.judge.confidence.levels import DRIFT_ROWS, rows_enough

_WORTH_SAYING = 0.5
"""Share of the rows: a run on more than that is short enough."""


def count_enough(verdicts: Iterable[MetricVerdict], rows: int) -> int | None:
    """Of `rows` rows of a corpus, how many would have shown every bound to be kept, about.

    Returns:
        None where a bound is not shown to be kept, nothing was inferred from rows, or it takes more than half of them.
    """
    found = list(verdicts)
    if any(verdict.verdict is not Outcome.PASS for verdict in found):
        return None
    enough = [rows_enough(verdict.limits, verdict.limit) for verdict in found if verdict.bound.at_most]
    needed = [number for number in enough if number is not None]
    most = max(needed, default=0)
    return max(most, DRIFT_ROWS) if needed and max(most, DRIFT_ROWS) <= _WORTH_SAYING * rows else None
