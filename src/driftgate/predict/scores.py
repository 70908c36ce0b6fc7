"""Scores of single texts: one backend's with its decisions, or several backends' side by side."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.table import Table

from driftgate.arrays import Decisions, Logits, Probabilities


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One backend's answers on some texts.

    Args:
        backend: its name.
        labels: in the order of columns.
        logits: float32, (texts, labels). `probabilities`: float64, and `decisions`: bool, of the same shape.
    """

    backend: str
    labels: tuple[str, ...]
    logits: Logits
    probabilities: Probabilities
    decisions: Decisions


@dataclass(frozen=True, slots=True)
class LargestDifference:
    """Where one text's scores differ most from the first backend's; `value` is signed, theirs minus the first's."""

    label: str
    backend: str
    value: float


def largest_difference(scores: tuple[Scores, ...], row: int, *, logits: bool) -> LargestDifference:
    """Over all labels of text `row`, and all backends but the first."""
    first, *others = (_values(one, row, logits=logits) for one in scores)
    differences = np.stack([values - first for values in others])
    backend, label = np.unravel_index(np.abs(differences).argmax(), differences.shape)
    return LargestDifference(
        scores[0].labels[label], scores[1 + int(backend)].backend, float(differences[backend, label])
    )


def flipped_labels(scores: tuple[Scores, ...], row: int) -> list[str]:
    """Labels that not all backends decide alike for text `row`."""
    decisions = np.stack([one.decisions[row] for one in scores])
    return [scores[0].labels[label] for label in np.flatnonzero((decisions != decisions[0]).any(axis=0))]


def tabulate(scores: Scores, row: int, top: int, *, logits: bool, thresholds: tuple[float, ...] | None) -> Table:
    """The `top` most probable labels of text `row`, all for 0.

    Args:
        logits: a column of logits too.
        thresholds: one for each label, said beside decisions; None for single-label encoders.
    """
    table = Table(box=None)
    table.add_column("label")
    if logits:
        table.add_column("logit", justify="right")
    table.add_column("probability", justify="right")
    if thresholds:
        table.add_column("decision")
    for label in _ranked(scores.probabilities[row], top):
        cells = [scores.labels[label], f"{scores.probabilities[row, label]:.4f}"]
        if logits:
            cells.insert(1, f"{scores.logits[row, label]:.6f}")
        if thresholds:
            cells.append(f"yes (>= {thresholds[label]:g})" if scores.decisions[row, label] else "")
        table.add_row(*cells)
    return table


def tabulate_side_by_side(scores: tuple[Scores, ...], row: int, top: int, *, logits: bool) -> Table:
    """A column for each backend and its difference from the first; labels sorted by the first, all of them for `top` 0."""
    table = Table(box=None)
    table.add_column("label")
    names = [one.backend for one in scores]
    for name in names:
        table.add_column(name, justify="right")
    for name in names[1:]:
        table.add_column("difference" if len(names) == 2 else f"{name} - {names[0]}", justify="right")  # noqa: PLR2004 - of the one other backend
    values = np.stack([_values(one, row, logits=logits) for one in scores])
    shown = ".6f" if logits else ".4f"
    for label in _ranked(values[0], top):
        differences = (values[1:, label] - values[0, label]).tolist()
        table.add_row(
            scores[0].labels[label],
            *(f"{value:{shown}}" for value in values[:, label].tolist()),
            *(f"{difference:+.1e}" for difference in differences),
        )
    return table


def describe(text: str, scores: Scores, row: int, top: int, *, logits: bool) -> dict[str, Any]:
    """Text `row` as JSON has it: labels by falling probability, and those decided."""
    record: dict[str, Any] = {"text": text, "probabilities": _by_label(scores, scores.probabilities, row, top)}
    if logits:
        record["logits"] = _by_label(scores, scores.logits, row, top)
    return {**record, "decisions": _decided(scores, row)}


def describe_side_by_side(text: str, scores: tuple[Scores, ...], row: int, top: int, *, logits: bool) -> dict[str, Any]:
    """Text `row` as JSON has it: each backend's scores and decisions, and where they differ most."""
    return {
        "text": text,
        "logits" if logits else "probabilities": {
            one.backend: _by_label(one, one.logits if logits else one.probabilities, row, top) for one in scores
        },
        "decisions": {one.backend: _decided(one, row) for one in scores},
        "largest_difference": asdict(largest_difference(scores, row, logits=logits)),
    }


def _values(scores: Scores, row: int, *, logits: bool) -> Any:
    """Float64, (labels,)."""
    return scores.logits[row].astype(np.float64) if logits else scores.probabilities[row]


def _ranked(values: Any, top: int) -> list[int]:
    ranked: list[int] = np.argsort(-values, kind="stable").tolist()
    return ranked[: top or None]


def _by_label(scores: Scores, values: Any, row: int, top: int) -> dict[str, float]:
    return {scores.labels[label]: float(values[row, label]) for label in _ranked(values[row], top)}


def _decided(scores: Scores, row: int) -> list[str]:
    return [scores.labels[label] for label in np.flatnonzero(scores.decisions[row])]
