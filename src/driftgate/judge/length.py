"""Drift of inputs of one length each, up to the longest that an encoder takes."""

from collections.abc import Iterable
from dataclasses import dataclass

from driftgate.arrays import Logits
from driftgate.judge.drift import Distribution, measure_drift


@dataclass(frozen=True, slots=True, eq=False)
class LengthAnswers:
    """Both sides' logits, float32, (rows, labels), for rows of `tokens` tokens each; `name` is of the length."""

    name: str
    tokens: int
    reference: Logits
    backend: Logits


@dataclass(frozen=True, slots=True)
class LengthDrift:
    """Drift of rows that all have the same number of tokens.

    Args:
        name: what part of the encoder's limit they have: "quarter", "half" or "limit".
        rows: how many.
        tokens: of each row, special ones included.
        largest_per_text: over the rows, of each row's largest |probability difference|.
    """

    name: str
    rows: int
    tokens: int
    largest_per_text: Distribution

    def __str__(self) -> str:
        mean = self.largest_per_text.mean
        return f"{self.name}: mean drift {mean:.2g} of {self.rows} texts of {self.tokens:,} tokens each"


@dataclass(frozen=True, slots=True)
class LongTexts:
    """Drift of every length that could be judged.

    Args:
        left_out: why the others could not, a sentence for each.
    """

    lengths: tuple[LengthDrift, ...]
    left_out: tuple[str, ...]

    @property
    def largest_mean(self) -> float | None:
        """Mean drift of the length that drifts most; None where no length could be judged."""
        return max((length.largest_per_text.mean for length in self.lengths), default=None)


def measure_long_texts(answers: Iterable[LengthAnswers], left_out: Iterable[str], *, multi_label: bool) -> LongTexts:
    """Compare both sides' answers, length by length.

    Raises:
        ValueError: different shapes, no rows, or values that are not finite.
    """
    return LongTexts(tuple(_measure(one, multi_label=multi_label) for one in answers), tuple(left_out))


def _measure(answers: LengthAnswers, *, multi_label: bool) -> LengthDrift:
    columns = tuple(str(column) for column in range(answers.reference.shape[1]))
    drift = measure_drift(answers.reference, answers.backend, columns, multi_label=multi_label)
    return LengthDrift(answers.name, drift.rows, answers.tokens, drift.largest_per_text)
