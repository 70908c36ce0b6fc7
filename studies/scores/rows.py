"""What the encoders of one score are trained for: comments that people wrote, split into those to learn and those to judge on.

Everything comes from `goemotions/{train,dev}.tsv` (text, comma-separated label numbers, comment id; no header) and
`goemotions/labels.txt`. None of it is part of this repository.
"""

import csv
import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "zoo"))

from tasks import EKMAN

VALENCE: Mapping[str, int] = {
    "love": 3, "joy": 3, "excitement": 3, "gratitude": 3,
    "admiration": 2, "amusement": 2, "pride": 2, "relief": 2,
    "optimism": 1, "caring": 1, "approval": 1, "desire": 1,
    "neutral": 0, "realization": 0, "surprise": 0, "curiosity": 0,
    "confusion": -1, "nervousness": -1, "disapproval": -1, "embarrassment": -1,
    "annoyance": -2, "disappointment": -2, "remorse": -2, "fear": -2,
    "sadness": -3, "grief": -3, "anger": -3, "disgust": -3,
}  # fmt: skip
"""How pleasant an emotion is, set by hand from -3 to 3: a scale to learn, not a finding about people."""
CANDIDATES = 10
LEAST_RELEVANT, MOST_RELEVANT = 2, 6
BASIC = tuple(EKMAN)


@dataclass(frozen=True, slots=True)
class Comments:
    """Texts, and which emotions each has: bool, (rows, emotions)."""

    texts: list[str]
    has: np.ndarray


@dataclass(frozen=True, slots=True)
class Scored:
    """What one encoder reads, and what it should answer.

    Args:
        texts: alone, or pairs of a query and a passage.
        truth: float32, (rows,).
        groups: int64, (rows,): the rows of one query at one time; None where rows are not ranked.
    """

    texts: list[str] | list[tuple[str, str]]
    truth: np.ndarray
    groups: np.ndarray | None


def load_comments(data: Path) -> tuple[tuple[str, ...], Comments, Comments]:
    """The emotions, the comments to learn from, and those that nothing is trained on."""
    emotions = tuple((data / "goemotions/labels.txt").read_text(encoding="utf-8").split())
    train, unseen = (_read(data / f"goemotions/{part}.tsv", len(emotions)) for part in ("train", "dev"))
    return emotions, train, unseen


def rate(comments: Comments, emotions: Sequence[str]) -> Scored:
    """Every comment, and the mean valence of its emotions."""
    valence = np.array([VALENCE[emotion] for emotion in emotions], np.float32)
    return Scored(comments.texts, (comments.has @ valence) / comments.has.sum(axis=1, dtype=np.float32), None)


def group(comments: Comments, emotions: Sequence[str]) -> Comments:
    """With Ekman's basic emotions and "neutral" in the place of the 28."""
    member = np.array([[emotion in EKMAN[basic] for basic in BASIC] for emotion in emotions])
    return Comments(comments.texts, comments.has.astype(np.int64) @ member > 0)


def rank(comments: Comments, groups: int, seed: int) -> Scored:
    """Queries such as "joy or anger", with ten comments each: two to six have an emotion that it names (1), others none (0)."""
    queries = [(one,) for one in range(len(BASIC))] + list(itertools.combinations(range(len(BASIC)), 2))
    generator = np.random.default_rng(seed)
    pairs: list[tuple[str, str]] = []
    truth = np.zeros((groups, CANDIDATES), np.float32)
    for group in range(groups):
        query = queries[generator.integers(len(queries))]
        relevant = comments.has[:, query].any(axis=1)
        hits = int(generator.integers(LEAST_RELEVANT, MOST_RELEVANT + 1))
        chosen = np.concatenate([
            generator.choice(np.flatnonzero(relevant), hits, replace=False),
            generator.choice(np.flatnonzero(~relevant), CANDIDATES - hits, replace=False),
        ])  # fmt: skip
        order = generator.permutation(CANDIDATES)
        truth[group] = (order < hits).astype(np.float32)
        asked = " or ".join(BASIC[basic] for basic in query)
        pairs += [(asked, comments.texts[row]) for row in chosen[order].tolist()]
    return Scored(pairs, truth.ravel(), np.repeat(np.arange(groups), CANDIDATES))


def _read(path: Path, emotions: int) -> Comments:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    has = np.zeros((len(rows), emotions), np.bool_)
    for row, (_, numbers, _) in enumerate(rows):
        has[row, [int(number) for number in numbers.split(",")]] = True
    return Comments([text for text, _, _ in rows], has)
