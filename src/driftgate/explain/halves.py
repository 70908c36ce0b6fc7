"""Rows to search on, and other rows to judge on."""

from dataclasses import dataclass

import numpy as np

from driftgate.errors import CorpusError
from driftgate.inputs.corpus import Corpus
from driftgate.judge.confidence import levels

_SEARCHED_ROWS = 1000
_SEED = 0


@dataclass(frozen=True, slots=True)
class Halves:
    """Rows of a corpus: those that a search sees, and those that its results are judged on."""

    searched: list[int]
    judged: list[int]

    @classmethod
    def of(cls, corpus: Corpus) -> "Halves":
        """At random, with a fixed seed; equal texts are in the same half.

        Raises:
            CorpusError: too few different texts to judge drift on either half.
        """
        different = sorted(set(corpus.texts), key=repr)
        if len(different) < 2 * levels.DRIFT_ROWS:
            raise CorpusError(
                f"corpus {corpus.name}: expected at least {2 * levels.DRIFT_ROWS} different texts, {levels.DRIFT_ROWS} to search "
                f"on and as many to judge on, found {len(different)}; give more"
            )
        order = np.random.default_rng(_SEED).permutation(len(different))
        first = {different[place] for place in order[: len(different) // 2].tolist()}
        sides = [text in first for text in corpus.texts]
        searched = [row for row, inside in enumerate(sides) if inside]
        return cls(searched[:_SEARCHED_ROWS], [row for row, inside in enumerate(sides) if not inside])
