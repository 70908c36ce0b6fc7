"""Types of the arrays that travel between stages.

Shape vocabulary: rows (texts, in corpus order), labels (in `id2label` order), batch (rows of one batch), sequence (token
positions of one batch, padding included).
"""

from typing import NewType

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

Logits = NewType("Logits", NDArray[np.float32])
"""What a model answers: float32, (rows, labels), before sigmoid or softmax."""

Probabilities = NewType("Probabilities", NDArray[np.float64])
"""Label probabilities in [0, 1]: float64, (rows, labels)."""

Decisions = NewType("Decisions", NDArray[np.bool_])
"""Predicted labels: bool, (rows, labels)."""

LabelMatrix = NewType("LabelMatrix", NDArray[np.bool_])
"""True labels: bool, (rows, labels)."""
