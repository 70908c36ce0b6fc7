"""How far a backend's probabilities are from the reference's on the same texts, also on texts of one length each."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from driftgate.arrays import FloatArray, Logits
from driftgate.judge.probabilities import require_comparable, to_probabilities

PERCENTILES = (25, 50, 75, 90, 95, 99, 99.9)
WORST_ROWS = 10
# Of the quantiles that reports draw: enough for a curve, and no row can be read off them in a large corpus.
_STEPS = 200
ALIKE = 1e-4
"""The spread of logits or scores, relative to their size, below which rows do not differ."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Summary of one number per text. `percentiles` maps "p25" ... "p99.9" to values; `std` divides by n."""

    mean: float
    std: float
    min: float
    max: float
    median: float
    percentiles: dict[str, float]


@dataclass(frozen=True, slots=True)
class WorstRow:
    """One of the rows with the largest drift: its probabilities by label, both sides, float64."""

    row: int
    max_abs_drift: float
    label: str
    reference: tuple[float, ...]
    backend: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Drift:
    """Drift of one backend.

    Args:
        largest_per_text: over texts, of each text's largest |probability difference|. The mean of it is what the
            encoder-optimization guide calls "mean label probability difference".
        quantiles_of_largest: of the same numbers, from their minimum to their maximum in equal steps of their share.
        largest_logit_per_text: the same in logits, where drift near 0 and 1 does not hide.
        mean_abs: mean |probability difference| over all rows and labels.
        per_label_mean_abs: the same for each label, by name.
        per_label_max_abs: largest for each label, by name. `per_label_p99`: the 99th percentile.
        per_label_bias: mean signed probability difference of each label: drift that has a direction.
        max_abs_logit: largest |logit difference|; |Δp| <= |Δz| / 4 under a sigmoid.
        rms_logit: root mean square logit difference.
        relative_logit_error: see `squared_relative_errors`; None where the reference gives all rows the same logits.
        worst: the rows with the largest drift, worst first.
    """

    rows: int
    largest_per_text: Distribution
    quantiles_of_largest: tuple[float, ...]
    largest_logit_per_text: Distribution
    mean_abs: float
    per_label_mean_abs: dict[str, float]
    per_label_max_abs: dict[str, float]
    per_label_p99: dict[str, float]
    per_label_bias: dict[str, float]
    max_abs_logit: float
    rms_logit: float
    relative_logit_error: float | None
    worst: tuple[WorstRow, ...]


def measure_drift(reference: Logits, backend: Logits, labels: tuple[str, ...], *, multi_label: bool) -> Drift:
    """Compare two sets of logits, float32, (rows, labels), row by row.

    Raises:
        ValueError: different shapes, no rows, or values that are not finite (those never count as small).
    """
    require_comparable(reference, backend)
    if len(labels) != reference.shape[1]:
        raise ValueError(f"expected {reference.shape[1]} label names, found {len(labels)}")
    p_reference, p_backend = (to_probabilities(side, multi_label=multi_label) for side in (reference, backend))
    signed = p_backend - p_reference
    moved = np.abs(signed)
    logit_moved = np.abs(backend.astype(np.float64) - reference.astype(np.float64))
    largest = moved.max(axis=1)
    squares = squared_relative_errors(reference, backend, multi_label=multi_label)
    worst = np.argsort(-largest, kind="stable")[:WORST_ROWS].tolist()
    return Drift(
        rows=len(reference),
        largest_per_text=summarize(largest),
        quantiles_of_largest=tuple(np.quantile(largest, np.linspace(0, 1, _STEPS + 1)).tolist()),
        largest_logit_per_text=summarize(logit_moved.max(axis=1)),
        mean_abs=float(moved.mean()),
        per_label_mean_abs=dict(zip(labels, moved.mean(axis=0).tolist(), strict=True)),
        per_label_max_abs=dict(zip(labels, moved.max(axis=0).tolist(), strict=True)),
        per_label_p99=dict(zip(labels, np.percentile(moved, 99, axis=0).tolist(), strict=True)),
        per_label_bias=dict(zip(labels, signed.mean(axis=0).tolist(), strict=True)),
        max_abs_logit=float(logit_moved.max()),
        rms_logit=float(np.sqrt((logit_moved**2).mean())),
        relative_logit_error=None if squares is None else float(np.sqrt(squares.mean())),
        worst=tuple(
            WorstRow(
                row,
                float(largest[row]),
                labels[int(moved[row].argmax())],
                tuple(p_reference[row].tolist()),
                tuple(p_backend[row].tolist()),
            )
            for row in worst
        ),
    )


def squared_relative_errors(reference: Logits, backend: Logits, *, multi_label: bool) -> FloatArray | None:
    """Each row's mean square logit difference, in multiples of the variance of the reference's logits, float64, (rows,).

    Their variance is that of a label over the rows, the mean over labels: what tells one text from another, whatever an encoder's
    logits are as such. Under softmax only differences between the labels of a row count, so that the row's mean is taken off.

    Returns:
        None where the rows do not differ, or by rounding alone: there is nothing to compare with.
    """
    before, after = reference.astype(np.float64), backend.astype(np.float64)
    if not multi_label:
        before, after = (side - side.mean(axis=1, keepdims=True) for side in (before, after))
    variance = float(before.var(axis=0).mean())
    return ((after - before) ** 2).mean(axis=1) / variance if variance > ALIKE**2 * (before**2).mean() else None


def summarize(values: FloatArray) -> Distribution:
    """Describe one number per text, float64, (rows,)."""
    quantiles = np.percentile(values, PERCENTILES)
    return Distribution(
        mean=float(values.mean()),
        std=float(values.std()),
        min=float(values.min()),
        max=float(values.max()),
        median=float(np.median(values)),
        percentiles={f"p{share}": float(value) for share, value in zip(PERCENTILES, quantiles, strict=True)},
    )


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
    lengths = []
    for one in answers:
        require_comparable(one.reference, one.backend)
        before, after = (to_probabilities(side, multi_label=multi_label) for side in (one.reference, one.backend))
        largest = summarize(np.abs(after - before).max(axis=1))
        lengths.append(LengthDrift(one.name, len(before), one.tokens, largest))
    return LongTexts(tuple(lengths), tuple(left_out))
