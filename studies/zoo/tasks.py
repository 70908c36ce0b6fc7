"""What the encoders of the zoo are trained for: texts that people wrote and their labels, split into rows to learn and to judge.

All texts come from a folder with `goemotions/{train,dev}.tsv` (text, comma-separated label numbers, comment id; no header),
`goemotions/labels.txt` and `reddit/random_sample_10k.csv.gz` (id, subreddit, body). None of them is part of this repository.
"""

import csv
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from driftgate.arrays import LabelMatrix

SENTIMENTS: Mapping[str, Sequence[str]] = {
    "positive": (
        "amusement", "excitement", "joy", "love", "desire", "optimism", "caring", "pride", "admiration", "gratitude",
        "relief", "approval",
    ),
    "negative": (
        "fear", "nervousness", "remorse", "embarrassment", "disappointment", "sadness", "grief", "disgust", "anger",
        "annoyance", "disapproval",
    ),
    "other": ("realization", "surprise", "curiosity", "confusion", "neutral"),
}  # fmt: skip
EKMAN: Mapping[str, Sequence[str]] = {
    "anger": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "joy": SENTIMENTS["positive"],
    "sadness": ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
    "surprise": ("surprise", "realization", "confusion", "curiosity"),
    "neutral": ("neutral",),
}
"""The groups of emotions of Demszky et al. 2020 (arXiv 2005.00547), which follow Ekman's six basic ones."""
MULTI_LABEL = ("emotions", "groups")
"""Tasks in which a text may have several labels."""
SUBREDDITS: Mapping[str, Sequence[str]] = {
    "games": (
        "gaming", "leagueoflegends", "starcraft", "minecraft", "tf2", "skyrim", "wow", "dota2", "magictcg", "games", "diablo",
        "guildwars2", "halo",
    ),
    "sport": (
        "nfl", "nba", "soccer", "hockey", "baseball", "mma", "cfb", "squaredcircle", "fantasyfootball", "formula1", "sports",
    ),
    "debate": (
        "politics", "worldnews", "atheism", "christianity", "news", "technology", "science", "libertarian", "mensrights",
        "conspiracy",
    ),
    "leisure": ("trees", "gonewild", "food", "cooking", "music", "guns", "cars", "drugs", "fitness", "beer"),
}  # fmt: skip
"""Groups of subreddits: one alone has too few comments in the sample to learn from."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Texts and their labels, bool, (rows, labels)."""

    texts: list[str]
    labels: LabelMatrix


@dataclass(frozen=True, slots=True)
class Task:
    """A head's labels; the rows that it learns, and those that it has not seen."""

    labels: tuple[str, ...]
    multi_label: bool
    train: Rows
    unseen: Rows


def load_task(name: str, data: Path) -> Task:
    """One of `emotions` (28 labels), `groups` (7 labels), `sentiment` (3 classes), `ekman` (7), `neutral` (2), `subreddits` (4).

    Rows of single-label tasks are those that have one class.
    """
    if name == "subreddits":
        return _subreddits(data / "reddit/random_sample_10k.csv.gz")
    emotions = tuple((data / "goemotions/labels.txt").read_text(encoding="utf-8").split())
    if name == "emotions":
        groups: Mapping[str, Sequence[str]] = {emotion: (emotion,) for emotion in emotions}
    elif name in ("ekman", "groups"):
        groups = EKMAN
    elif name == "sentiment":
        groups = SENTIMENTS
    else:
        groups = {"emotional": [one for one in emotions if one != "neutral"], "neutral": ("neutral",)}
    multi_label = name in MULTI_LABEL
    train, unseen = (
        _grouped(data / f"goemotions/{part}.tsv", emotions, groups, multi_label=multi_label)
        for part in ("train", "dev")
    )
    return Task(tuple(groups), multi_label, train, unseen)


def _grouped(path: Path, emotions: Sequence[str], groups: Mapping[str, Sequence[str]], *, multi_label: bool) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    member = np.array([[emotion in group for group in groups.values()] for emotion in emotions])
    labels = np.stack([member[[int(number) for number in numbers.split(",")]].any(axis=0) for _, numbers, _ in rows])
    kept = np.flatnonzero(np.ones(len(rows), bool) if multi_label else labels.sum(axis=1) == 1)
    return Rows([rows[row][0] for row in kept], LabelMatrix(labels[kept]))


def _subreddits(path: Path) -> Task:
    groups = {subreddit: number for number, group in enumerate(SUBREDDITS.values()) for subreddit in group}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = [(row["body"], groups[row["subreddit"]]) for row in csv.DictReader(file) if row["subreddit"] in groups]
    order = np.random.default_rng(0).permutation(len(rows))
    one_hot = np.eye(len(SUBREDDITS), dtype=bool)
    train, unseen = (
        Rows([rows[row][0] for row in part], LabelMatrix(one_hot[[rows[row][1] for row in part]]))
        for part in np.split(order, [2 * len(rows) // 3])
    )
    return Task(tuple(SUBREDDITS), False, train, unseen)
