"""Activations of a graph compared with the reference's: in rows or by text, with a constant still to be added or without."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftgate.arrays import BoolArray, FloatArray

Activations = NDArray[np.float32]
"""(batch, sequence, width), or (batch, width) behind the choice of a token."""

_BY_TOKEN = 3
_UNLIKE = 1.0
"""The relative error beyond which a tensor is not taken for the reference's."""

_LAYOUTS = ("batch", "sequence first", "batch first", "first token")


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """How a tensor of the graph becomes comparable.

    Args:
        layout: one of `_LAYOUTS`. `offset`: what the graph adds later, float32, (width,); None for nothing.
    """

    layout: str
    offset: NDArray[np.float32] | None

    def apply(self, found: NDArray[np.float32], reference: Activations) -> Activations | None:
        """`found` in the shape of the reference's; None where it does not fit."""
        arranged = _arrange(found, reference, self.layout)
        return arranged if arranged is None or self.offset is None else arranged + self.offset


def align(
    found: NDArray[np.float32], reference: Activations, tokens: BoolArray, offsets: Iterable[NDArray[np.float32]]
) -> Alignment | None:
    """The way in which `found` is closest to the reference's; None where it is far from it in each.

    Args:
        found: activations of the graph, float32.
        tokens: which positions are tokens, bool, (batch, sequence).
        offsets: constants that may be missing, float32, (width,).
    """
    best, least = None, _UNLIKE
    fitting = [offset for offset in offsets if offset.shape == reference.shape[-1:]]
    for layout in _LAYOUTS:
        for offset in (None, *fitting):
            candidate = Alignment(layout, offset)
            arranged = candidate.apply(found, reference)
            if arranged is None:
                continue
            error = Deviation.of(arranged, reference, tokens).relative_error
            if error < least:
                best, least = candidate, error
    return best


def _arrange(found: NDArray[np.float32], reference: Activations, layout: str) -> Activations | None:
    if layout == "batch":
        return found if found.shape == reference.shape else None
    if layout == "first token":
        return found[:, 0] if found.ndim == _BY_TOKEN and found[:, 0].shape == reference.shape else None
    if found.size != reference.size or reference.ndim != _BY_TOKEN:
        return None
    batch, sequence, width = reference.shape
    if layout == "batch first":
        return found.reshape(reference.shape)
    return found.reshape(sequence, batch, width).transpose(1, 0, 2)


def real_tokens(activations: Activations, tokens: BoolArray) -> FloatArray:
    """Those of tokens, without padding: float64, (tokens, width)."""
    kept = activations[tokens] if activations.ndim == _BY_TOKEN else activations
    return np.asarray(kept, np.float64)


@dataclass(frozen=True, slots=True)
class Deviation:
    """Sums over real tokens, to which others can be added: of squared errors, squares of either side, and products."""

    squared_error: float = 0.0
    squared_reference: float = 0.0
    squared_found: float = 0.0
    product: float = 0.0

    @classmethod
    def of(cls, found: Activations, reference: Activations, tokens: BoolArray) -> "Deviation":
        """Of activations of one batch."""
        ours, theirs = real_tokens(found, tokens), real_tokens(reference, tokens)
        difference = ours - theirs
        return cls(
            float(np.vdot(difference, difference)),
            float(np.vdot(theirs, theirs)),
            float(np.vdot(ours, ours)),
            float(np.vdot(ours, theirs)),
        )

    def __add__(self, other: "Deviation") -> "Deviation":
        return Deviation(
            self.squared_error + other.squared_error,
            self.squared_reference + other.squared_reference,
            self.squared_found + other.squared_found,
            self.product + other.product,
        )

    @property
    def relative_error(self) -> float:
        """Root mean square error, relative to the root mean square of the reference's."""
        if not self.squared_reference:
            return 0.0 if not self.squared_error else float("inf")
        return float(np.sqrt(self.squared_error / self.squared_reference))

    @property
    def cosine(self) -> float:
        """Between both, over all tokens and channels."""
        size = float(np.sqrt(self.squared_reference * self.squared_found))
        return self.product / size if size else 1.0
