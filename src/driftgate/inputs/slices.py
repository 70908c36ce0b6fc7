"""Which rows of a corpus are long, truncated, padded, or written in other than plain letters (of a pair, either text)."""

from collections.abc import Iterable

import numpy as np
import regex

from driftgate.arrays import BoolArray
from driftgate.edges.escape import for_terminal
from driftgate.inputs.batches import TokenBatch
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.texts import parts_of
from driftgate.inputs.tokens import TokenizedTexts

_LENGTHS = ((1, 16), (17, 32), (33, 64), (65, 128))
_PADDING_SHARES = ((0.0, 0.05), (0.05, 0.25), (0.25, 1.0))
_EMOJI = regex.compile(r"\p{Extended_Pictographic}|\p{Regional_Indicator}")


def slice_rows(
    encoder: Encoder, corpus: Corpus, tokens: TokenizedTexts, batches: Iterable[TokenBatch]
) -> dict[str, BoolArray]:
    """Name of a slice to its rows, bool, (rows,); slices without rows are there too.

    Args:
        encoder: names the labels.
        corpus: whose rows; `tokens` are its own.
        batches: all batches of the run's plan; how much of a row is padding depends on the other rows of its batch.
    """
    lengths = tokens.lengths
    truncated = np.array(tokens.truncated)
    slices = {f"length {low}-{high}": (lengths >= low) & (lengths <= high) for low, high in _LENGTHS}
    slices[f"length over {_LENGTHS[-1][1]}"] = (lengths > _LENGTHS[-1][1]) & ~truncated
    slices["truncated"] = truncated
    slices["emoji"] = np.array([any(map(_EMOJI.search, parts_of(text))) for text in corpus.texts])
    slices["non-ASCII"] = np.array([not all(map(str.isascii, parts_of(text))) for text in corpus.texts])
    share = np.zeros(len(tokens))
    for batch in batches:
        share[list(batch.rows)] = 1 - batch.attention_mask.mean(axis=1)
    for low, high in _PADDING_SHARES:
        slices[f"padding {low:.0%}-{high:.0%}"] = (share >= low) & (share < high)
    if corpus.labels is not None:
        slices |= {
            for_terminal(f"label {label}"): corpus.labels[:, column] for column, label in enumerate(encoder.labels)
        }
    return slices
