"""The rows with the largest drift: which module each owes it to, and which tokens."""

from collections.abc import Mapping, Sequence

import numpy as np

from driftgate.arrays import FloatArray
from driftgate.explain.explanation import RowFinding
from driftgate.explain.reference_calls import Call, output_site
from driftgate.explain.trials import Trial, removed_share
from driftgate.inputs.corpus import Corpus

_WORST_ROWS = 10
_TOKENS = 3


def explain_rows(
    as_is: Trial, restored: Mapping[str, Trial], calls: tuple[Call, ...], rows: Sequence[int], corpus: Corpus
) -> tuple[RowFinding, ...]:
    """The rows of the sample with the largest drift, with the module that each owes most of it to.

    Args:
        restored: answers if a module alone is exact, by module.
        rows: of the corpus, those that were sampled.
    """
    found = []
    for place in np.argsort(-as_is.drift, kind="stable")[:_WORST_ROWS].tolist() if restored else ():
        before = float(as_is.drift[place])
        best = min(restored, key=lambda name: restored[name].drift[place])
        removed = removed_share(before, float(restored[best].drift[place]))
        errors = _token_errors(as_is, output_site(calls, best), place)
        worst = tuple(int(position) for position in np.argsort(-errors, kind="stable")[:_TOKENS])
        found.append(RowFinding(corpus.row_ids[rows[place]], before, best, removed, worst))
    return tuple(found)


def _token_errors(as_is: Trial, site: int | None, place: int) -> FloatArray:
    """Relative error of each token of a row, float64, (tokens,); none behind the choice of a token."""
    errors = None if site is None else as_is.token_errors.get(site)
    return np.zeros(0) if errors is None else errors[place]
