"""A backend's answers to property tests, checked and remembered, and what a search for counterexamples saw."""

from dataclasses import dataclass, field

import numpy as np

from driftgate.arrays import Logits
from driftgate.inputs.batches import TokenBatch
from driftgate.judge.bounds import MetricVerdict
from driftgate.run.backend import Backend

_REMEMBERED_ANSWERS = 2048
"""More than the properties of one backend ask of the reference, so that it answers once for all of them."""


class Answers:
    """One backend's logits, float32, (batch, labels), by content of the batch: checked, and remembered."""

    def __init__(self, backend: Backend, labels: int) -> None:
        self.backend = backend
        self._labels = labels
        self._remembered: dict[bytes, Logits] = {}

    def of(self, batch: TokenBatch) -> Logits:
        """The answer, from memory where the same arrays were asked before."""
        arrays = (batch.input_ids, batch.attention_mask, batch.token_type_ids)
        key = b"".join(b"none" if array is None else repr(array.shape).encode() + array.tobytes() for array in arrays)
        if key not in self._remembered:
            if len(self._remembered) >= _REMEMBERED_ANSWERS:
                del self._remembered[next(iter(self._remembered))]
            self._remembered[key] = self.anew(batch)
        return self._remembered[key]

    def anew(self, batch: TokenBatch) -> Logits:
        """The answer, computed.

        Raises:
            AssertionError: a shape other than (batch, labels), NaN or infinity.
        """
        logits = self.backend.prepare(batch)()
        expected = (len(batch.input_ids), self._labels)
        if logits.shape != expected:
            raise AssertionError(f"{self.backend.spec.name}: expected logits of shape {expected}, found {logits.shape}")
        bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
        if bad.size:
            raise AssertionError(
                f"{self.backend.spec.name}: NaN or infinite logits in rows {bad.tolist()} of a batch of shape "
                f"{batch.input_ids.shape}"
            )
        return logits


@dataclass(slots=True)
class Searched:
    """What one property saw on one backend."""

    examples: int = 0
    largest_logit_change: float = 0.0
    largest_probability_change: float = 0.0
    refusals: int = 0

    def see(self, logit_change: float, probability_change: float) -> None:
        """Take in one example."""
        self.largest_logit_change = max(self.largest_logit_change, logit_change)
        self.largest_probability_change = max(self.largest_probability_change, probability_change)


@dataclass(slots=True)
class Failure:
    """The counterexamples found so far, so that shrinking can end and still replay them."""

    since: float
    examples: set[str] = field(default_factory=set)
    broken: MetricVerdict | None = None
