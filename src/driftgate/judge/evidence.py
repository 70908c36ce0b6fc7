"""The arrays that a backend is judged by, each asked for when a measurement needs it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from driftgate.arrays import BoolArray, Decisions, FloatArray, IntArray, LabelMatrix, Logits, Probabilities
from driftgate.judge.drift import LengthAnswers
from driftgate.judge.probabilities import decide, to_probabilities

SLICE_THRESHOLD = 0.5
"""Of the decisions that slices count."""

Thresholds = FloatArray | float
"""One threshold for all labels, or float64, (labels,)."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """What the numbers of a row stand for.

    Args:
        labels: their names, in the order of the logits.
        policies: decision thresholds by name, such as "at 0.5"; none for a score.
        gives_score: whether the one logit is the answer itself: there are no probabilities and no decisions.
    """

    labels: tuple[str, ...]
    multi_label: bool
    policies: Mapping[str, Thresholds]
    gives_score: bool = False

    def probabilities(self, logits: Logits) -> Probabilities:
        """By sigmoid or softmax, as the head has it: float64, (rows, labels)."""
        return to_probabilities(logits, multi_label=self.multi_label)


@dataclass(frozen=True, eq=False)
class Evidence:
    """One backend's answers and the reference's.

    What costs time to find is given as a function, which remembers what it found.

    Args:
        truth: true labels, bool, (rows, labels); None where nobody labelled the texts.
        reference, backend: logits, float32, (rows, labels).
        slices: rows of each slice, bool, (rows,), by name.
        exact: some rows by number, and the reference's logits for them in float64, (those rows, labels).
        variations: logits of the same rows in several runs, by what was varied ("batch", "padding").
        long_texts: answers to texts of some lengths up to the encoder's limit, and why other lengths were left out.
        different: how many of the texts are different; None for all.
        targets: scores that people gave the rows, float64, (rows,), of an encoder that gives scores; None where nobody did.
        groups: which group each row is a candidate of, int64, (rows,); None where rows are no candidates.
        past: the backend's own logits at an earlier time, float32, (rows, labels); None where they were not kept.
    """

    head: Head
    truth: LabelMatrix | None
    reference: Callable[[], Logits]
    backend: Callable[[], Logits]
    slices: Callable[[], Mapping[str, BoolArray]] = dict
    exact: Callable[[], tuple[list[int], FloatArray] | None] = lambda: None
    variations: Callable[[], Mapping[str, Sequence[Logits]]] = dict
    long_texts: Callable[[], tuple[Sequence[LengthAnswers], Sequence[str]] | None] = lambda: None
    targets: FloatArray | None = None
    groups: IntArray | None = None
    past: Logits | None = None
    different: int | None = None

    @cached_property
    def probabilities(self) -> tuple[Probabilities, Probabilities]:
        """Of the reference and of the backend."""
        return self.head.probabilities(self.reference()), self.head.probabilities(self.backend())

    @cached_property
    def largest_drift(self) -> FloatArray:
        """Each row's largest |probability difference| from the reference, float64, (rows,)."""
        reference, backend = self.probabilities
        return np.asarray(np.abs(backend - reference).max(axis=1), dtype=np.float64)

    @cached_property
    def all_slices(self) -> dict[str, BoolArray]:
        """The given slices, and the rows whose decisions are closest, bool, (rows,), by name."""
        from driftgate.judge.slice_drift import closest_decisions  # SciPy is slow to import

        closest = closest_decisions(self.reference(), SLICE_THRESHOLD, multi_label=self.head.multi_label)
        return {**self.slices(), "closest decisions": closest}

    @cached_property
    def decisions(self) -> dict[str, tuple[Decisions, Decisions]]:
        """Of the reference and of the backend, by decision policy."""
        (reference, backend), multi_label = self.probabilities, self.head.multi_label
        return {
            policy: (
                decide(reference, thresholds, multi_label=multi_label),
                decide(backend, thresholds, multi_label=multi_label),
            )
            for policy, thresholds in self.head.policies.items()
        }
