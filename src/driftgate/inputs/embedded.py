"""What comes with driftgate: the labelled comments, and the throughput corpora made from them."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from driftgate.errors import CorpusError
from driftgate.inputs.corpus import Corpus, load_corpus
from driftgate.inputs.corpus_files import Columns, read_rows
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.inputs.texts import Text, pair_with_next

THROUGHPUT_CORPORA = ("normal", "long")
THROUGHPUT_ROWS = 2000
_SEED = 20261121
_COMMENTS = "emotions.jsonl"


def corpora_folder() -> Path:
    """`fixtures/corpora`: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).parents[1]
    candidates = (package / "fixtures/corpora", package.parents[1] / "fixtures/corpora")
    return next((folder for folder in candidates if folder.is_dir()), candidates[0])


def embedded_comments(encoder: Encoder) -> Corpus:
    """The embedded comments: with their emotions for a multi-label encoder that knows all of them, else texts alone.

    Each with the next one for an encoder that takes pairs.
    """
    path = corpora_folder() / _COMMENTS
    comments, _ = read_rows(path, Columns())
    known = {label for comment in comments for label in comment.labels} <= set(encoder.labels)
    labelled = known and encoder.problem_type is ProblemType.MULTI_LABEL and not encoder.takes_pairs
    corpus = load_corpus(path, encoder, private=False, labelled=labelled)
    if encoder.takes_pairs:
        return replace(corpus, name="emotions-pairs", texts=pair_with_next(comment.text for comment in comments))
    return corpus


@cache
def throughput_corpus(name: str, *, pairs: bool = False) -> Corpus:
    """2,000 unlabelled texts whose lengths follow a measured distribution of Reddit comments.

    `normal` follows a random sample, `long` one of comments over 200 characters (`length_quantiles.json` says whose).
    Each target length is a quantile of the distribution; a text of that length is made of whole comments of the
    embedded corpus, drawn with a fixed seed, joined and cut at a word. The same on every machine.

    Args:
        pairs: each text with the next one, as `normal-pairs` and `long-pairs`, for encoders that take pairs.

    Raises:
        CorpusError: another name.
    """
    if name not in THROUGHPUT_CORPORA:
        raise CorpusError(f"throughput corpus {name!r}: expected {' or '.join(THROUGHPUT_CORPORA)}")
    folder = corpora_folder()
    quantiles = json.loads((folder / "length_quantiles.json").read_text(encoding="utf-8"))[name]["char_quantiles"]
    generator = np.random.default_rng([_SEED, THROUGHPUT_CORPORA.index(name)])
    lengths = _lengths(quantiles, generator)
    comments = [comment.text for comment in read_rows(folder / _COMMENTS, Columns())[0]]
    alone = tuple(_text_of_length(int(length), comments, generator) for length in lengths)
    rows = tuple(f"{name} {row}" for row in range(len(alone)))
    texts: tuple[Text, ...] = pair_with_next(alone) if pairs else alone
    return Corpus(f"{name}-pairs" if pairs else name, texts, rows, labels=None, private=False)


def _lengths(quantiles: dict[str, float], generator: np.random.Generator) -> np.ndarray:
    """Target characters of each text: evenly spaced quantiles, log-linear between the known ones, in random order."""
    shares = np.array([float(share) for share in quantiles])
    known = np.log(np.array(list(quantiles.values()), dtype=np.float64))
    middles = (np.arange(THROUGHPUT_ROWS) + 0.5) / THROUGHPUT_ROWS
    return generator.permutation(np.rint(np.exp(np.interp(middles, shares, known))))


def _text_of_length(length: int, comments: list[str], generator: np.random.Generator) -> str:
    text = ""
    while len(text) < length:
        comment = comments[int(generator.integers(len(comments)))]
        text = f"{text} {comment}" if text else comment
    if len(text) == length:
        return text
    cut = text[:length].rstrip()
    at_word = cut[: cut.rfind(" ")].rstrip() if " " in cut and not text[length].isspace() else cut
    # A cut at a word may cost a tenth of the length, never more: the distribution matters, the last word does not.
    return at_word if len(at_word) >= 0.9 * length else cut
