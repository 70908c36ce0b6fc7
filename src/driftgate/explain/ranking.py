"""The products of a backend by what each adds to drift alone, and the rows of a search: some to search on, others to judge on."""

from dataclasses import dataclass

import numpy as np

from driftgate.backends import BackendSpec
from driftgate.errors import CorpusError
from driftgate.explain.inspection import Subject
from driftgate.explain.trials import SampledRows, Trials
from driftgate.inputs.batches import pad_rows
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.tokens import TokenizedTexts
from driftgate.judge.confidence import levels
from driftgate.pipeline import OpenBackends

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


_ROWS = 120


@dataclass(frozen=True, slots=True)
class RankedProduct:
    """A product whose form a recipe can change.

    Args:
        path: of its module, as recipes name it. `table`: whether it looks up embeddings.
        weights: how many numbers its matrix has.
        drift: what there is if only this product is as the backend has it: mean of each text's largest |probability difference|.
    """

    path: str
    table: bool
    weights: int
    drift: float


def rank_products(backends: OpenBackends, spec: BackendSpec, tokens: TokenizedTexts) -> list[RankedProduct]:
    """Products by their drift alone on up to 120 rows drawn at random, the largest first; those that are exact are left out.

    Calls of one module, where layers share weights, are one product, with the drift of the worst of them.

    Raises:
        OptionError: a backend without an ONNX graph.
    """
    subject = Subject(backends, spec, pad_rows(tokens, [0]))
    trials = Trials(subject, tokens, SampledRows.draw_evenly(len(tokens), _ROWS))
    found: dict[str, RankedProduct] = {}
    for match in subject.matches.found:
        if match.exact:
            continue
        alone = trials.ask([other for other in subject.matches.found if other is not match]).effect.drift
        path = match.call.path
        if path not in found or alone > found[path].drift:
            found[path] = RankedProduct(path, match.call.table, match.call.weight.size, alone)
    return sorted(found.values(), key=lambda product: -product.drift)
