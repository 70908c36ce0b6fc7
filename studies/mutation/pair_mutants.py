"""Faults that only pairs of texts show; `studies/pairs` judges them on encoders of pairs."""

from collections.abc import Callable
from functools import partial
from typing import Any

import wrong_pairs as pairs
from mutants import Mutant, PipelineFault, asked, replaced

PAIR_MUTANTS = (
    Mutant("good", "nothing: the control", asked(), control=True),
    Mutant("texts-exchanged", "the texts of a pair change places", asked(pairs.exchange_texts)),
    Mutant("second-dropped", "whoever serves the model tokenizes the first text alone", asked(pairs.drop_second)),
    Mutant("texts-joined", "both texts are one, with nothing between them", asked(pairs.join_texts)),
    Mutant("segments-zero", "BERT without segments: they are not fed, or RoBERTa's template is used", asked(pairs.zero_segments)),
    Mutant("separated-once", "RoBERTa with BERT's template: one closing token between the texts", asked(pairs.separate_once)),
)  # fmt: skip
"""Faults that only pairs of texts show, judged on encoders of pairs by `studies/pairs`."""
WITHOUT_EFFECT = {"bert": ("separated-once",), "roberta": ("segments-zero",)}
"""Mutants that change nothing, by family."""


def _of_pairs(change: Callable[[str, str], Any]) -> Callable[[Any], Any]:
    """What is tokenized in the place of pairs."""

    def make(tokenize: Any) -> Any:
        return lambda encoder, texts: tokenize(
            encoder, [text if isinstance(text, str) else change(*text) for text in texts]
        )

    return make


_PAIRS = ("accuracy/test_pairs.py",)
PAIR_PIPELINE_FAULTS = (
    PipelineFault("second-never-read", "the second text of a pair is not tokenized",
                  partial(replaced, "driftgate.inputs.tokens.tokenize", _of_pairs(lambda first, _: first)), _PAIRS),
    PipelineFault("pairs-exchanged", "the second text of a pair is tokenized as the first",
                  partial(replaced, "driftgate.inputs.tokens.tokenize", _of_pairs(lambda first, second: (second, first))),
                  _PAIRS),
    PipelineFault("pairs-joined", "the texts of a pair are tokenized as one",
                  partial(replaced, "driftgate.inputs.tokens.tokenize",
                          _of_pairs(lambda first, second: f"{first} {second}")), _PAIRS),
    PipelineFault("pairs-sorted", "the texts of a pair are tokenized in an order of their own",
                  partial(replaced, "driftgate.inputs.tokens.tokenize",
                          _of_pairs(lambda first, second: (min(first, second), max(first, second)))), _PAIRS),
)  # fmt: skip
