"""Properties of every backend: what should not change its answers, and that they are the reference's on any text.

Each example is a batch of rows of unequal lengths: corpus rows, changed corpus rows and generated Unicode. A backend is held to
what it declares of an invariance (`BackendSpec.guarantee`): equal bits, the bound of its class, or a refusal. On a tiny encoder
these are tests of its family's code; on a real one, of the numbers. For each test there is a fault that only it and its like
find: `tests/support/faulty_backends.py`.

Each test names the properties it is (P1 to P28). Those that need no model are in `test_tokenization.py` (P10, P11, P16 to
P21, P24) and `test_batching.py` (P1, P2, P4 to P6, P8 to P10, P13, P23 with an exact stub).

Left out of P7: a fresh session. It would open every backend twice, minutes for those that compile; artifacts are checked
by digest when they are loaded. Left out of P20: that whitespace changes nothing. It may change the ids, by design; what
must not differ is what two backends make of them. P22: every batch has its arrays copied to one layout before a backend sees
them (`tests/inputs/test_batches.py`). Left out of P25: `torch.compile` with static shapes, which is no backend. P26 and P28
follow from P27: where no logit moves further than the bound, labels stand in their columns, and no decision flips further
from its threshold than that.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import strategies as st

from driftgate.arrays import Logits
from driftgate.backends import Guarantee, Invariance, Runtime
from driftgate.errors import SequenceTooLongError
from driftgate.inputs.batches import TokenBatch, pad_rows
from driftgate.inputs.texts import join_texts
from driftgate.plugin.profiles import model_property
from driftgate.strategies import (
    EDGE_TEXTS,
    EMOJI,
    corpus_text,
    special_token_texts,
    text_batches,
    unicode_texts,
    whitespace_texts,
)

SEEDS = st.integers(0, 2**16)
CUTS = st.sampled_from((8, 14, 20))
"""Tokens that long texts are cut at, hence the widths of batches: few, so that many batches are tried in the time of one long
text. What a backend makes of long texts is asked by examples of their own."""
LIMIT = 10**6
"""Cut at the encoder's own limit, that is."""

# What Hypothesis would find too seldom. Properties share them, so that each is answered once for several.
NEARLY_EMPTY = [*EDGE_TEXTS, corpus_text(0)]
"""Nothing, whitespace, one character, beside an ordinary row."""
TO_THE_LIMIT = ["a few words", corpus_text(0, "repeat 80")]
MANY = [*EDGE_TEXTS, *(corpus_text(row) for row in range(33 - len(EDGE_TEXTS)))]
"""33 rows, to be cut short: more than a power of two, by one."""
MANY_CUT = 8


def with_holes(batch, seed):
    """The batch with a mask that is 0 on some tokens of each text, never on its first, from which many families answer."""
    generator = np.random.default_rng(seed)
    mask = batch.attention_mask.copy()
    for row in range(len(mask)):
        inside = np.flatnonzero(mask[row])[1:]
        mask[row, generator.choice(inside, generator.integers(1, 1 + max(1, len(inside) // 2)), replace=False)] = 0
    return replace(batch, attention_mask=mask)


@model_property({"texts": MANY, "cut": MANY_CUT}, texts=text_batches(), cut=CUTS)
def test_repeated_batches_get_the_same_answers(hold, texts, cut):
    """P7: whatever was asked in between."""
    first, *others = hold.batches(hold.tokens(texts, cut))
    if not others:
        others = [first.take(list(range(len(texts)))[::-1])]  # of the same shape: something might be kept for it

    def asked_again():
        for other in others:
            hold.answer_anew(other)
        return hold.answer_anew(first)

    hold.same(Invariance.REPEAT, lambda: hold.answer_anew(first), asked_again)


@model_property(
    {"texts": NEARLY_EMPTY, "cut": 14, "seed": 1},
    {"texts": MANY, "cut": MANY_CUT, "seed": 1},
    texts=text_batches(),
    cut=CUTS,
    seed=SEEDS,
)
def test_shuffled_rows_get_shuffled_answers(hold, texts, cut, seed):
    """P4, P6: a row's answer stands where the row stands, and is the same there; so are those of equal rows."""
    batch = hold.batch(texts, cut)
    twice = min(2, len(texts))
    doubled = batch.take([*range(len(texts)), *range(twice)])
    order = np.random.default_rng(seed).permutation(len(doubled.rows))
    order = order if (np.diff(order) != 1).any() else order[::-1]
    hold.same(
        Invariance.ORDER,
        lambda: Logits(hold.answer(doubled)[order]),
        lambda: hold.answer_anew(doubled.take(order)),
    )
    hold.same(
        Invariance.DUPLICATES,
        lambda: Logits(hold.answer(doubled)[:twice]),
        lambda: Logits(hold.answer(doubled)[-twice:]),
    )


@model_property(
    {"texts": NEARLY_EMPTY, "cut": 14, "rows_per_batch": 1},
    {"texts": TO_THE_LIMIT, "cut": LIMIT, "rows_per_batch": 1},
    {"texts": MANY, "cut": MANY_CUT, "rows_per_batch": 7},
    texts=text_batches(),
    cut=CUTS,
    rows_per_batch=st.integers(1, 3),
)
def test_answers_do_not_depend_on_batch_mates(hold, texts, cut, rows_per_batch):
    """P5, P8, P16: alone, by twos and threes, or together, padding included; nothing or a character beside a long text."""
    tokens = hold.tokens(texts, cut)
    hold.same(
        Invariance.COMPOSITION,
        lambda: hold.answer_in_batches(tokens, rows_per_batch),
        lambda: hold.answer(pad_rows(tokens, range(len(tokens)))),
    )


@model_property(
    {"texts": ["a few words"], "cut": LIMIT, "more": LIMIT, "alone": True},
    {"texts": NEARLY_EMPTY, "cut": 14, "more": 33, "alone": False},
    texts=text_batches(),
    cut=CUTS,
    more=st.sampled_from((1, 7, 8, 17)),
    alone=st.booleans(),
)
def test_padding_behind_the_text_changes_nothing(hold, texts, cut, more, alone):
    """P1, P15: a little more than the longest row needs, or hundreds of masked positions: where the mask overflows float16
    they answer NaN, or count."""
    tokens = hold.tokens(texts, cut)
    rows = [0] if alone or not hold.takes_batches else range(len(tokens))
    longest = max(len(tokens.input_ids[row]) for row in rows)
    width = min(longest + more, hold.encoder.max_tokens)
    hold.same(
        Invariance.PADDING,
        lambda: hold.answer(pad_rows(tokens, rows)),
        lambda: hold.answer_anew(pad_rows(tokens, rows, width)),
    )


@model_property(texts=text_batches(), cut=CUTS)
def test_padding_in_front_of_the_text_means_what_it_means_to_the_reference(hold, texts, cut):
    """P2: graphs that were made for padding after the text differ here. Nothing changes where nothing does for the reference."""
    tokens = hold.tokens(texts, cut)
    behind = pad_rows(tokens, range(len(tokens)))
    front = pad_rows(replace(tokens, padding_side="left"), range(len(tokens)))
    if hold.spec.guarantee(Invariance.PADDING_SIDE) is Guarantee.REFUSED:
        hold.same(Invariance.PADDING_SIDE, lambda: hold.answer(behind), lambda: hold.answer(front))
        return
    if hold.encoder.attends_in_windows:
        pytest.skip(
            f"{hold.encoder.model_type} attends in windows: padding far from the text attends to nothing, and the reference's "
            "answer is then that of torch's attention kernel, not of the model"
        )
    hold.agrees(replace(tokens, padding_side="left"))
    # Seldom: most families answer from the first position, padding or not, or count positions over padding.
    if hold.takes_batches and np.abs(hold.reference(behind) - hold.reference(front)).max() < 1e-5:
        hold.same(Invariance.PADDING_SIDE, lambda: hold.answer(behind), lambda: hold.answer(front))


@model_property({"texts": MANY, "cut": MANY_CUT, "seed": 1}, texts=text_batches(), cut=CUTS, seed=SEEDS)
def test_holes_in_the_mask_mean_what_they_mean_to_the_reference(hold, texts, cut, seed):
    """P3: a mask that is 0 inside the text, or the batch is refused with an error of ours. Graphs that count the tokens of a
    row, or look for its first and its last, differ here."""
    for batch in hold.batches(hold.tokens(texts, cut)):
        holed = with_holes(batch, seed)
        if hold.answer_unless_refused(holed) is not None:
            hold.agrees_on(holed)


@model_property({"texts": NEARLY_EMPTY, "cut": 14, "seed": 1}, texts=text_batches(), cut=CUTS, seed=SEEDS)
def test_masked_ids_are_never_read(hold, texts, cut, seed):
    """P3: any ids may follow the text where the mask is 0."""
    tokens = hold.tokens(texts, cut)
    rows = range(len(tokens)) if hold.takes_batches else [0]
    width = min(max(len(tokens.input_ids[row]) for row in rows) + 3, hold.encoder.max_tokens)
    batch = pad_rows(tokens, rows, width)
    random_ids = np.random.default_rng(seed).integers(0, hold.encoder.vocab_size, batch.input_ids.shape)
    kept = batch.attention_mask == 1
    filled = replace(batch, input_ids=np.where(kept, batch.input_ids, random_ids))
    hold.same(Invariance.MASKED_CONTENT, lambda: hold.answer(batch), lambda: hold.answer_anew(filled))


@model_property(texts=text_batches(more=0), cut=CUTS)
def test_a_row_of_padding_is_finite_and_leaves_the_others_alone(hold, texts, cut):
    """P14: or the batch is refused with an error of ours."""
    batch = hold.batch(texts, cut)
    ids, mask, types = batch.input_ids, batch.attention_mask, batch.token_type_ids
    pad = np.full_like(ids[:1], hold.tokens([""]).pad_token_id)
    padded = TokenBatch(
        (*batch.rows, len(batch.rows)),
        np.concatenate([ids, pad]),
        np.concatenate([mask, np.zeros_like(mask[:1])]),
        None if types is None else np.concatenate([types, np.zeros_like(types[:1])]),
    )
    try:
        hold.reference(padded)
    except AssertionError:
        pytest.skip(
            f"{hold.encoder.model_type} averages over the tokens of a text: the reference itself has no answer to none"
        )
    found = hold.answer_unless_refused(padded)
    if found is not None:
        hold.same(Invariance.COMPOSITION, lambda: hold.answer(batch), lambda: Logits(found[:-1]))


@model_property(
    {"texts": TO_THE_LIMIT, "cut": LIMIT},
    {"texts": MANY, "cut": MANY_CUT},
    {"texts": [corpus_text(2, "repeat 12"), corpus_text(3, "upper"), ""], "cut": LIMIT},
    texts=text_batches(more=3),
    cut=CUTS,
)
def test_answers_are_the_references_on_changed_and_generated_texts(hold, texts, cut):
    """P27: no text of any length moves a logit or a probability further than the class allows."""
    hold.agrees(hold.tokens(texts, cut))


UNUSUAL_TEXTS = unicode_texts() | special_token_texts() | whitespace_texts()


@model_property(
    {"texts": ["one <pad> word", "one [PAD] word", "</s><s>", "[SEP][CLS]", "<mask> and [MASK]", "a\tb\xa0c\n"]},
    {"texts": [*EMOJI, "\x00\x07\x1b[31m", "\u202eabc\u202c", "e\u0301\u0302\u0303"]},
    texts=st.lists(UNUSUAL_TEXTS, min_size=3, max_size=6, unique=True),
)
def test_answers_are_the_references_on_any_unicode(hold, texts):
    """P17, P19, P20: emoji, bidi marks, controls, runs of one character, every kind of space. Whatever a literal `</s>` or a tab
    means to the tokenizer, both are fed the same; a literal padding token has the mask of text and the position of padding."""
    hold.agrees(hold.tokens(texts))


@pytest.fixture(scope="module")
def any_ids(hold):
    """A long row of ordinary ids to cut batches of any shape from: different rows of the corpus, one after the other."""
    text = join_texts(hold.rows[: hold.encoder.max_tokens])  # each has a token at least
    (ids,) = hold.tokens([text], hold.encoder.max_tokens).input_ids
    return ids


def cut_batch(ids, rows, width):
    """`rows` rows of `width` tokens, without padding, each beginning elsewhere in `ids`."""
    filled = np.stack([np.resize(np.roll(ids, row), width) for row in range(rows)])
    return TokenBatch(tuple(range(rows)), filled, np.ones_like(filled), None)


@model_property(
    *({"shape": shape, "shift": 0} for shape in ((1, 2), (2, 2), (2, 3), (17, 5), (64, 7), (32, 16), (5, 33))),
    shape=st.tuples(st.integers(1, 9), st.integers(2, 40)),
    shift=st.integers(0, 8),
)
def test_any_shape_runs_like_the_reference(hold, any_ids, shape, shift):
    """P25: one row or an odd number of them, two tokens or a few more than a power of two."""
    rows, width = shape
    if not hold.takes_batches:
        rows = 1
    hold.agrees_on(hold.with_segments(cut_batch(np.roll(any_ids, shift), rows, min(width, hold.encoder.max_tokens))))


@model_property({"beyond": 1, "rows": 1}, beyond=st.integers(1, 600), rows=st.integers(1, 8))
def test_more_tokens_than_the_limit_are_refused(hold, any_ids, beyond, rows):
    """P12: a runtime that is fed more positions than the table has reads past it, or wraps around."""
    batch = hold.with_segments(cut_batch(any_ids, rows if hold.takes_batches else 1, hold.encoder.max_tokens + beyond))
    with pytest.raises(SequenceTooLongError):
        hold.answer(batch)


@model_property(texts=text_batches(more=0), cut=CUTS)
def test_segments_of_zeros_are_the_same_as_none(hold, texts, cut):
    """P23: left out or zero, where no row has another; pairs may (`test_pairs.py`)."""
    if hold.spec.runtime is Runtime.TORCH_COMPILE:
        pytest.skip(f"{hold.spec.name} compiles a graph for each set of inputs; its module is torch's")
    tokens = hold.tokens(texts, cut)
    if tokens.token_type_ids is not None:
        tokens = tokens.take([row for row, types in enumerate(tokens.token_type_ids) if not types.any()])
    if not len(tokens):
        pytest.skip(f"{hold.encoder.model_type} gives single texts a segment other than 0")
    for batch in hold.batches(tokens):
        zeros = replace(batch, token_type_ids=np.zeros_like(batch.input_ids))
        without = replace(batch, token_type_ids=None)
        hold.same(
            Invariance.REPEAT,
            lambda without=without: hold.answer_anew(without),
            lambda zeros=zeros: hold.answer_anew(zeros),
        )
