"""Slices of a corpus, and the variations a row is answered in."""

from pathlib import Path

import numpy as np
import pytest

from driftgate.arrays import LabelMatrix, Logits
from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.inputs.batches import ArrivalPlan, TokenBatch, make_batches, pad_rows
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import load_encoder
from driftgate.inputs.slices import slice_rows
from driftgate.inputs.tokens import TokenizedTexts, tokenize
from driftgate.run.backend import BATCH_SIZES, InForce, Prepared, answer_in_random_batches, answer_with_padding

TEXTS = ("hello there", "café au lait", "so happy \U0001f600", "flag \U0001f1e9\U0001f1ea", "what a game! " * 30)


@pytest.fixture(scope="module")
def slices(tiny_encoder: Path) -> dict[str, np.ndarray]:
    encoder = load_encoder(tiny_encoder)
    labels = np.zeros((len(TEXTS), 4), dtype=np.bool_)
    labels[1, 2] = True
    corpus = Corpus("c", TEXTS, TEXTS, LabelMatrix(labels))
    tokens = tokenize(encoder, TEXTS)
    return slice_rows(encoder, corpus, tokens, make_batches(tokens, ArrivalPlan(len(TEXTS))))


def rows(mask: np.ndarray) -> list[int]:
    return np.flatnonzero(mask).tolist()


def test_emoji_are_told_from_other_characters_outside_ascii(slices: dict[str, np.ndarray]) -> None:
    assert rows(slices["emoji"]) == [2, 3]
    assert rows(slices["non-ASCII"]) == [1, 2, 3]


def test_every_row_is_in_one_length_slice_or_truncated(slices: dict[str, np.ndarray]) -> None:
    assert rows(slices["truncated"]) == [4]
    lengths = sum(mask.astype(int) for name, mask in slices.items() if name.startswith("length"))
    assert lengths.tolist() == [1, 1, 1, 1, 1]


def test_a_row_without_padding_is_in_the_first_padding_slice(slices: dict[str, np.ndarray]) -> None:
    assert rows(slices["padding 0%-5%"]) == [4]  # the longest of its batch
    assert sum(mask.sum() for name, mask in slices.items() if name.startswith("padding")) == len(TEXTS)


def test_true_labels_are_slices(slices: dict[str, np.ndarray]) -> None:
    assert rows(slices["label surprise"]) == [1]
    assert rows(slices["label joy"]) == []


class WidthBackend:
    """Answers with the size of the batch it was asked in."""

    spec = BackendSpec("width", Precision.FP32, Runtime.TORCH)
    in_force = InForce("cpu", "float32", 1)

    def prepare(self, batch: TokenBatch) -> Prepared:
        shape = np.array(batch.input_ids.shape, dtype=np.float32)
        return lambda: Logits(np.tile(shape, (len(batch.rows), 1)))


def tokens_of(*lengths: int) -> TokenizedTexts:
    return TokenizedTexts(tuple(np.arange(length) for length in lengths), None, (False,) * len(lengths), 0)


def test_random_batches_have_each_of_the_sizes() -> None:
    answers = answer_in_random_batches(WidthBackend(), tokens_of(*range(1, 17)))
    assert [answer[:, 0].tolist() for answer in answers] == [[float(size)] * 16 for size in BATCH_SIZES]


def test_padding_goes_up_to_the_limit_and_not_beyond() -> None:
    answers = answer_with_padding(WidthBackend(), tokens_of(3, 19), 20)
    assert [answer[:, 1].tolist() for answer in answers] == [[3, 19], [4, 20], [10, 20], [20, 20], [20, 20]]


def test_a_row_wider_than_the_width_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="width of at least 5 tokens"):
        pad_rows(tokens_of(5), [0], width=4)
