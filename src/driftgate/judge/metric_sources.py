"""Where metrics are read that several entries of the registry read alike."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from driftgate.judge.metric_types import Source, each_policy, once
from driftgate.judge.parts import FLIPS, LOSSES, NOISE, QUALITY

if TYPE_CHECKING:
    from driftgate.judge.flips import NegativeFlips
    from driftgate.judge.slice_drift import SliceDrift

MIN_SLICE_ROWS = 100
"""Slices of fewer rows are reported, not gated."""


def worst_slice(slices: "Mapping[str, SliceDrift]") -> "tuple[str, SliceDrift] | None":
    """The slice that drifts most of those large enough to be gated, with its name; None where none is."""
    large = [(name, found) for name, found in slices.items() if found.rows >= MIN_SLICE_ROWS]
    return max(large, key=lambda one: one[1].mean_of_largest, default=None)


def drift_in_worst_slice(slices: "Mapping[str, SliceDrift]") -> float | None:
    """The mean over its rows of the largest probability drift; None where no slice is large enough."""
    found = worst_slice(slices)
    return None if found is None else found[1].mean_of_largest


def against_truth(read: "Callable[[NegativeFlips], float | None]") -> Source:
    """Read from flips that are judged by true labels; None without labels."""
    return each_policy(FLIPS, lambda flips: None if flips.against_truth is None else read(flips.against_truth))


def loss(name: str) -> Source:
    """Read from the paired losses of that name."""
    return each_policy(LOSSES, lambda losses: losses[name].loss)


def quality(name: str) -> Source:
    """Read from the backend's own quality."""
    return each_policy(QUALITY, lambda both: getattr(both.backend, name))


def noise(cause: str, kind: str) -> Source:
    """Read from what `cause` changes in logits or probabilities."""
    return once(NOISE, lambda noise: getattr(noise[cause], f"max_abs_{kind}"))
