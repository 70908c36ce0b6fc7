"""What a cause is found from, and what is said of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from driftgate.arrays import BoolArray, FloatArray, IntArray

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The likely cause of a failure.

    Args:
        cause: a name that stays the same from version to version, such as "labels-exchanged", or "unknown".
        sentence: the cause in words.
        certain: False where something else may look the same; the sentence then says "perhaps".
        explained: the share of the squared difference between reference and backend that the cause accounts for, 0 to 1.
    """

    cause: str
    sentence: str
    certain: bool
    explained: float


@dataclass(frozen=True, slots=True, eq=False)
class Suspect:
    """A cause that can be tried: what the backend would answer if it were the cause.

    Args:
        answers: logits, float64, (rows, labels).
        fitted: how many numbers were chosen to bring the answers near the backend's; then only a near perfect match says
            anything, and of two that match, the one with fewer such numbers is taken.
    """

    cause: str
    sentence: str
    answers: FloatArray
    fitted: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """The answers of both sides to questions that tell causes apart.

    Args:
        labels: their names, in the order of the logits.
        reference, backend: logits, float64, (rows, labels), finite.
        groups: which rows were asked in which way, bool, (rows,), by name: "alone" (a text a batch, without padding), "together"
            (texts of different lengths), "again" (the first batch of "together" with its rows in reverse order), "front" (padded
            in front), "holes" (a mask with zeros in the text), "long" (at the limit).
        batches: rows of each batch, int64, in the order in which the backend was asked.
        suspects: what the reference answers when it is asked in the wrong way, by the cause that it imitates.
    """

    labels: tuple[str, ...]
    multi_label: bool
    reference: FloatArray
    backend: FloatArray
    groups: Mapping[str, BoolArray]
    batches: Sequence[IntArray]
    suspects: Sequence[Suspect] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if self.reference.shape != self.backend.shape:
            raise ValueError(f"expected logits of one shape, found {self.reference.shape} and {self.backend.shape}")
        if not (np.isfinite(self.reference).all() and np.isfinite(self.backend).all()):
            raise ValueError("expected finite logits")

    def rms(self, group: str) -> float:
        """Root of the mean squared difference of a group's logits; 0 where nothing was asked in this way."""
        rows = self.groups.get(group)
        if rows is None or not rows.any():
            return 0.0
        return float(np.sqrt(np.mean((self.centred(self.backend) - self.centred(self.reference))[rows] ** 2)))

    def centred(self, logits: FloatArray) -> FloatArray:
        """Of a single-label head without the constant of each row, which its softmax does not see."""
        return logits if self.multi_label else logits - logits.mean(axis=1, keepdims=True)
