"""Scores of single texts by encoders whose one logit is the answer: regressions and rerankers."""

from dataclasses import dataclass
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class TextScores:
    """One backend's scores of some texts, in the encoder's own unit."""

    backend: str
    scores: tuple[float, ...]


def tabulate_text_scores(texts: list[str], found: tuple[TextScores, ...]) -> Table:
    """A row a text, a column a backend, and each one's difference from the first."""
    first, *others = found
    table = Table(box=None)
    for one in found:
        table.add_column(one.backend if others else "score", justify="right")
    for one in others:
        table.add_column(f"{one.backend} - {first.backend}", justify="right")
    table.add_column("text", overflow="fold")
    for row, text in enumerate(texts):
        differences = (f"{one.scores[row] - first.scores[row]:+.1e}" for one in others)
        table.add_row(*(f"{one.scores[row]:.6f}" for one in found), *differences, text)
    return table


def describe_text_scores(text: str, found: tuple[TextScores, ...], row: int) -> dict[str, Any]:
    """Text `row` as JSON has it: its score, or each backend's and the largest difference from the first."""
    first, *others = found
    if not others:
        return {"text": text, "score": first.scores[row]}
    differences = {one.backend: one.scores[row] - first.scores[row] for one in others}
    backend = max(differences, key=lambda name: abs(differences[name]))
    return {
        "text": text,
        "scores": {one.backend: one.scores[row] for one in found},
        "largest_difference": {"backend": backend, "value": differences[backend]},
    }
