"""What can be compared row by row, and logits to probabilities to decisions: the only place where the cast to float64 is made."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.arrays import BoolArray, Decisions, FloatArray, Logits, Probabilities


def to_probabilities(logits: Logits, *, multi_label: bool) -> Probabilities:
    """Sigmoid of each logit, or softmax over the labels of a row; float64, (rows, labels)."""
    exact = logits.astype(np.float64)
    # SciPy has both functions, and takes a quarter of a second to import.
    with np.errstate(over="ignore", under="ignore"):  # exp(-x) is infinite where the sigmoid is 0
        if multi_label:
            return Probabilities(np.asarray(1 / (1 + np.exp(-exact)), dtype=np.float64))
        powers = np.exp(exact - exact.max(axis=1, keepdims=True))
        return Probabilities(np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float64))


def decide(probabilities: Probabilities, thresholds: FloatArray | float, *, multi_label: bool) -> Decisions:
    """Labels at or above their threshold; for single-label encoders the most probable label, whatever the thresholds.

    Args:
        thresholds: one for all labels, or float64, (labels,).

    Raises:
        ValueError: another number of thresholds than labels, or one that is not a probability.
    """
    given = np.asarray(thresholds, dtype=np.float64)
    if given.shape not in ((), probabilities.shape[1:]):
        raise ValueError(
            f"expected one threshold or {probabilities.shape[1]}, one for each label, found shape {given.shape}"
        )
    if not ((given >= 0) & (given <= 1)).all():
        raise ValueError(f"expected thresholds between 0 and 1, found {given[~((given >= 0) & (given <= 1))].tolist()}")
    if multi_label:
        return Decisions(np.asarray(probabilities >= thresholds, dtype=np.bool_))
    chosen = np.zeros(probabilities.shape, dtype=np.bool_)
    chosen[np.arange(len(probabilities)), np.argmax(probabilities, axis=1)] = True
    return Decisions(chosen)


def find_flips(reference: Decisions, backend: Decisions, *, multi_label: bool) -> BoolArray:
    """Where decisions differ, bool: (rows, labels) where each label is decided for itself, else (rows,), a decision a row."""
    changed = reference != backend
    return np.asarray(changed if multi_label else changed.any(axis=1))


def require_same_shape(*arrays: NDArray[Any]) -> None:
    """Refuse arrays that are not all of one shape, (rows, labels), with something in them.

    Raises:
        ValueError: with the shapes.
    """
    first = arrays[0]
    if any(array.shape != first.shape for array in arrays) or first.ndim != 2 or not first.size:  # noqa: PLR2004 - rows and labels
        found = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(f"expected arrays of one shape (rows, labels), none of them empty, found {found}")


def require_comparable(*logits: NDArray[Any]) -> None:
    """Refuse other shapes, nothing in them, and NaN or infinity, which never count as small.

    Raises:
        ValueError: says which.
    """
    require_same_shape(*logits)
    if not all(np.isfinite(side).all() for side in logits):
        raise ValueError("expected finite logits, found NaN or infinity")
