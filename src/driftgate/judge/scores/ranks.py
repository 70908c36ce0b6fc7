"""The order of candidates within groups of rows, such as the passages of one query, of a backend against the reference."""

from dataclasses import dataclass

import numpy as np

from driftgate.arrays import FloatArray, IntArray, Logits
from driftgate.judge.agreement import kendall_of_rows
from driftgate.judge.probabilities import require_comparable

TOP = 3


@dataclass(frozen=True, slots=True)
class Ranks:
    """Order within groups.

    Args:
        groups: that have an order: two rows or more, to which the reference gives different scores. `rows`: in them.
        left_out: groups that have none.
        rank_correlation: mean over groups of Kendall's tau-b of both sides' scores.
        best_changed: share of groups whose best candidate is another one.
        top3_overlap: mean over groups of more than three rows of the shared part (Jaccard) of the three best; None without
            such groups.
    """

    groups: int
    rows: int
    left_out: int
    rank_correlation: float
    best_changed: float
    top3_overlap: float | None


@dataclass(frozen=True, slots=True, eq=False)
class GroupChanges:
    """The same group by group.

    Args:
        rank_losses: 1 - tau-b of each group, from 0 to 2, float64, (groups,).
        best_changed: whether its best candidate is another one, float64 of 0 and 1, (groups,).
        top3_losses: 1 - overlap of the three best, from 0 to 1, float64, (groups of more than three rows,).
        rows: in all of them. `left_out`: groups without an order.
    """

    rank_losses: FloatArray
    best_changed: FloatArray
    top3_losses: FloatArray
    rows: int
    left_out: int


def measure_ranks(reference: Logits, backend: Logits, groups: IntArray) -> Ranks | None:
    """Compare the order of scores, float32, (rows, 1), in groups, int64, (rows,); None where no group has an order.

    Raises:
        ValueError: different shapes, no rows, or values that are not finite.
    """
    found = compare_groups(reference, backend, groups)
    if not found.rank_losses.size:
        return None
    return Ranks(
        groups=found.rank_losses.size,
        rows=found.rows,
        left_out=found.left_out,
        rank_correlation=1 - float(found.rank_losses.mean()),
        best_changed=float(found.best_changed.mean()),
        top3_overlap=1 - float(found.top3_losses.mean()) if found.top3_losses.size else None,
    )


def compare_groups(reference: Logits, backend: Logits, groups: IntArray) -> GroupChanges:
    """How the order of each group changed, of scores, float32, (rows, 1), and groups, int64, (rows,).

    A backend that gives all rows of a group one score has no order in common with it.

    Raises:
        ValueError: see `measure_ranks`.
    """
    require_comparable(reference, backend)
    before, after = (side[:, 0].astype(np.float64) for side in (reference, backend))
    losses, changed, tops, rows, left_out = [], [], [], 0, 0
    order = np.argsort(groups, kind="stable")  # rows of a group stay in the order of the corpus
    for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        first, second = before[members], after[members]
        if len(members) < 2 or np.ptp(first) == 0:  # noqa: PLR2004 - one row has no order
            left_out += 1
            continue
        rows += len(members)
        tau = kendall_of_rows(first[None], second[None])[0]
        losses.append(1.0 if np.isnan(tau) else 1 - float(tau))
        # Of candidates that the reference calls equally good, any may come first; all of one score have no first.
        changed.append(float(first[second.argmax()] < first.max() or np.ptp(second) == 0))
        if len(members) > TOP:
            best, chosen = (set(np.argsort(-side, kind="stable")[:TOP].tolist()) for side in (first, second))
            tops.append(1 - len(best & chosen) / len(best | chosen))
    rank_losses, best_changed, top3_losses = (np.array(each, dtype=np.float64) for each in (losses, changed, tops))
    return GroupChanges(rank_losses, best_changed, top3_losses, rows, left_out)
