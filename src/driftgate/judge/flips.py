"""Decisions that differ from the reference's."""

from dataclasses import dataclass

import numpy as np

from driftgate.arrays import Decisions


@dataclass(frozen=True, slots=True)
class Flips:
    """Label decisions that changed, out of `decisions` = rows x labels.

    Args:
        gained: the backend says yes where the reference says no. `lost`: the reverse.
        rows: texts whose set of labels changed.
        per_label: flips of each label, by name.
    """

    decisions: int
    gained: int
    lost: int
    rows: int
    per_label: dict[str, int]

    @property
    def total(self) -> int:
        return self.gained + self.lost

    @property
    def rate(self) -> float:
        """Share of label decisions that changed."""
        return self.total / self.decisions


def count_flips(reference: Decisions, backend: Decisions, labels: tuple[str, ...]) -> Flips:
    """Compare decisions, bool, (rows, labels).

    Raises:
        ValueError: different shapes, or no decisions.
    """
    if reference.shape != backend.shape or not reference.size:
        raise ValueError(
            f"expected two arrays of one shape (rows, labels), found {reference.shape} and {backend.shape}"
        )
    changed = reference != backend
    return Flips(
        decisions=int(changed.size),
        gained=int((backend & ~reference).sum()),
        lost=int((reference & ~backend).sum()),
        rows=int(np.count_nonzero(changed.any(axis=1))),
        per_label=dict(zip(labels, changed.sum(axis=0).tolist(), strict=True)),
    )
