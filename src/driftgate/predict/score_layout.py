"""What is written of a row: its number, its id, probabilities, logits, decided labels."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from driftgate.arrays import FloatArray, Logits
from driftgate.judge.probabilities import decide, to_probabilities

SCORE = "score"
_OWN = ("row", "id", "labels")


@dataclass(frozen=True, slots=True)
class Scores:
    """What one row is given. Scores are rounded to float32, which nine digits carry.

    Args:
        row: number of the row in the input, from 0.
        id: what the id column holds.
        shown: the labels whose scores are written: all in the model's order, or the most probable first.
        probabilities, logits: of the labels shown; no logits unless asked for.
        decided: labels at or above their threshold; of a single-label model the most probable one.
        score: of an encoder of one score, which has nothing of the above but row and id.
    """

    row: int
    id: Any
    shown: Sequence[str]
    probabilities: list[float]
    logits: list[float] | None
    decided: list[str]
    score: float | None = None

    @property
    def ranked(self) -> Iterator[tuple[Any, ...]]:
        """`Layout.parts` of each label shown."""
        return zip(self.shown, self.probabilities, *([self.logits] if self.logits else []), strict=True)


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns are written.

    Args:
        thresholds: of each label, for decisions.
        top: how many of the most probable labels; 0 for all, a column each.
        logits: whether logits stand beside the probabilities.
        one_score: the logit is the answer, and the only column beside row and id.
    """

    labels: tuple[str, ...]
    multi_label: bool
    thresholds: tuple[float, ...]
    has_ids: bool = False
    top: int = 0
    logits: bool = False
    one_score: bool = False

    @property
    def probability_columns(self) -> list[str]:
        """Named by label; `probability:LABEL` where a label is called as one of our own columns."""
        prefix = "probability:" if set(_OWN) & set(self.labels) else ""
        return [prefix + label for label in self.labels]

    @property
    def logit_columns(self) -> list[str]:
        """Headings of the columns of logits, if there are any."""
        return [f"logit:{label}" for label in self.labels] if self.logits else []

    @property
    def parts(self) -> list[str]:
        """Of each label shown with `top`."""
        return ["label", "probability", *(["logit"] if self.logits else [])]

    @property
    def separator(self) -> str:
        """What stands between decided labels in one field: a comma, or another character that no label has."""
        return next((mark for mark in ",;|" if not any(mark in label for label in self.labels)), "\t")

    def columns(self) -> list[str]:
        """Of CSV and TSV, in order."""
        if self.one_score:
            return ["row", *(["id"] if self.has_ids else []), SCORE]
        if self.top:
            ranks = range(1, min(self.top, len(self.labels)) + 1)
            scores = [f"{part}_{rank}" for rank in ranks for part in self.parts]
        else:
            scores = [*self.probability_columns, *self.logit_columns]
        return ["row", *(["id"] if self.has_ids else []), "labels", *scores]

    def scores(self, numbers: Sequence[int], ids: Sequence[Any], logits: Logits) -> Iterator[Scores]:
        """Scores of each row, from logits, float32, (rows, labels)."""
        if not len(logits):
            return
        if self.one_score:
            for number, row_id, (score,) in zip(numbers, ids, round_to_float32(logits), strict=True):
                yield Scores(number, row_id, (), [], None, [], score)
            return
        probabilities = to_probabilities(logits, multi_label=self.multi_label)
        decisions = decide(probabilities, np.array(self.thresholds), multi_label=self.multi_label)
        decided = [[self.labels[at] for at in np.flatnonzero(row)] for row in decisions]
        shown: list[Sequence[str]] = [self.labels] * len(logits)
        values: FloatArray = probabilities
        beside = logits.astype(np.float64)
        if self.top:
            order = np.argsort(-probabilities, axis=1, kind="stable")[:, : self.top]
            shown = [[self.labels[at] for at in row] for row in order.tolist()]
            values, beside = np.take_along_axis(values, order, 1), np.take_along_axis(beside, order, 1)
        extras = round_to_float32(beside) if self.logits else [None] * len(logits)
        for row in zip(numbers, ids, shown, round_to_float32(values), extras, decided, strict=True):
            yield Scores(*row)


def round_to_float32(values: FloatArray | Logits) -> list[list[float]]:
    """Numbers that print with at most nine digits and are the same float32 when read."""
    return [[float(f"{value:.9g}") for value in row] for row in values.astype(np.float32).tolist()]


def text_id(row_id: Any) -> str | None:
    """An id as text: strings as they are, everything else as JSON, None for a missing one."""
    return row_id if row_id is None or isinstance(row_id, str) else json.dumps(row_id, default=str)
