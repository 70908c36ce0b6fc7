"""What can be compared row by row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def require_same_shape(*arrays: NDArray[Any]) -> None:
    """Refuse arrays that are not all of one shape, (rows, labels), with something in them.

    Raises:
        ValueError: with the shapes.
    """
    first = arrays[0]
    if any(array.shape != first.shape for array in arrays) or first.ndim != 2 or not first.size:
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
