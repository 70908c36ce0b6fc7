"""Properties of batch plans and padding, on any encoder's tokenizer.

The model is a stub whose answer is a digest of the unmasked ids, so that every comparison is exact: what fails here is
batching, whatever the backend. The same properties of real backends are in `test_invariance.py`.
"""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example
from hypothesis import strategies as st

from driftgate.arrays import Logits
from driftgate.backends import BackendSpec, Precision, Runtime
from driftgate.inputs.batches import ArrivalPlan, BudgetPlan, TokenBatch, make_batches, pad_rows, plan_rows
from driftgate.inputs.tokens import tokenize
from driftgate.plugin.profiles import tokenizer_property
from driftgate.run.backend import InForce, predict
from driftgate.strategies import EDGE_TEXTS, generated_batches

LABELS = 4
PLANS = st.builds(ArrivalPlan, st.integers(1, 9)) | st.builds(BudgetPlan, st.integers(1, 200))


class Stub:
    """Answers with a digest of each row's unmasked ids."""

    spec = BackendSpec("stub", Precision.FP32, Runtime.TORCH)
    in_force = InForce("none", "exact", 1)

    def prepare(self, batch):
        kept = zip(batch.input_ids, batch.attention_mask, strict=True)
        logits = np.stack([digest(ids[mask == 1]) for ids, mask in kept])
        return lambda: Logits(logits)


def digest(ids):
    content = hashlib.sha256(np.ascontiguousarray(ids).tobytes()).digest()
    return np.frombuffer(content, dtype=np.uint8)[:LABELS].astype(np.float32)


def answers_by_row(tokens):
    return np.stack([digest(ids) for ids in tokens.input_ids])


@pytest.fixture(scope="module")
def tokens_of(encoder):
    """Texts to tokens, padded on either side, cut early so that ties and full rows are common."""
    short = replace(encoder, max_tokens=min(24, encoder.max_tokens))
    return lambda texts, side="right": replace(tokenize(short, texts), padding_side=side)


@example(texts=[""], plan=BudgetPlan(1))
@example(texts=list(EDGE_TEXTS), plan=BudgetPlan(8))
@example(texts=["a tie", "a tie", "tie a", "a tie"], plan=BudgetPlan(12))
@tokenizer_property(texts=generated_batches(max_size=12), plan=PLANS)
def test_answers_come_back_in_the_order_of_the_texts(tokens_of, texts, plan):
    """P8, P9: under every plan, with ties, empty texts, a single text, and sizes that do not divide the rows."""
    tokens = tokens_of(texts)
    assert np.array_equal(predict(Stub(), tokens, plan), answers_by_row(tokens))


@tokenizer_property(texts=generated_batches(max_size=8), plan=PLANS, side=st.sampled_from(("right", "left")))
def test_answers_do_not_depend_on_plan_or_side(tokens_of, texts, plan, side):
    """P2, P5, P8: another plan and padding on the other side leave the unmasked ids as they are."""
    expected = predict(Stub(), tokens_of(texts), ArrivalPlan(1))
    assert np.array_equal(predict(Stub(), tokens_of(texts, side), plan), expected)


@tokenizer_property(texts=generated_batches(max_size=8), plan=PLANS, data=st.data())
def test_shuffled_texts_give_shuffled_answers(tokens_of, texts, plan, data):
    """P4: the order of the texts is the order of the answers, and nothing else."""
    tokens = tokens_of(texts)
    order = data.draw(st.permutations(range(len(texts))), label="order")
    assert np.array_equal(predict(Stub(), tokens.take(order), plan), predict(Stub(), tokens, plan)[order])


@tokenizer_property(texts=generated_batches(max_size=8), plan=PLANS)
def test_the_same_text_twice_gets_the_same_answer(tokens_of, texts, plan):
    """P6: wherever a plan puts the second one."""
    answers = predict(Stub(), tokens_of([*texts, *texts]), plan)
    assert np.array_equal(answers[: len(texts)], answers[len(texts) :])


@tokenizer_property(texts=generated_batches(max_size=12), plan=PLANS)
def test_every_row_is_in_one_batch_and_batches_keep_the_plan(tokens_of, texts, plan):
    """P8: no row is lost or doubled; a batch is within its size or budget unless its row runs alone."""
    lengths = tokens_of(texts).lengths
    batches = plan_rows(lengths, plan)
    assert sorted(row for rows in batches for row in rows) == list(range(len(texts)))
    for rows in batches:
        size, limit = (
            (len(rows) * int(lengths[list(rows)].max()), plan.max_tokens)
            if isinstance(plan, BudgetPlan)
            else (len(rows), plan.batch_size)
        )
        assert size <= limit or len(rows) == 1


@tokenizer_property(
    texts=generated_batches(max_size=8), side=st.sampled_from(("right", "left")), more=st.sampled_from((0, 1, 7, 8, 64))
)
def test_the_mask_says_what_is_text(tokens_of, texts, side, more):
    """P1, P10, P13: rectangular, contiguous, 0 or 1, one unbroken run of ones as long as the row, pads elsewhere."""
    tokens = tokens_of(texts, side)
    batch = pad_rows(tokens, range(len(texts)), int(tokens.lengths.max()) + more)
    for array in (batch.input_ids, batch.attention_mask):
        assert array.shape == (len(texts), int(tokens.lengths.max()) + more)
        assert array.dtype == np.int64
        assert array.flags.c_contiguous
    assert np.array_equal(batch.attention_mask.sum(1), tokens.lengths)
    assert batch.real_tokens == tokens.lengths.sum()
    in_order = batch.attention_mask if side == "left" else batch.attention_mask[:, ::-1]
    assert (np.diff(in_order, axis=1) >= 0).all()
    assert (batch.input_ids[batch.attention_mask == 0] == tokens.pad_token_id).all()
    for ids, mask, expected in zip(batch.input_ids, batch.attention_mask, tokens.input_ids, strict=True):
        assert np.array_equal(ids[mask == 1], expected)  # a literal padding token in a text keeps its 1


@tokenizer_property(texts=generated_batches(max_size=8), plan=PLANS)
def test_segments_are_padded_like_ids(tokens_of, texts, plan):
    """P13, P23: the same shape where the tokenizer gives segments, none where it gives none."""
    tokens = tokens_of(texts)
    for batch in make_batches(tokens, plan):
        assert (batch.token_type_ids is None) == (tokens.token_type_ids is None)
        if batch.token_type_ids is not None:
            assert batch.token_type_ids.shape == batch.input_ids.shape


@pytest.mark.property
@pytest.mark.parametrize("wrong", ["float ids", "narrow mask", "missing row"])
def test_a_batch_of_wrong_arrays_is_refused(wrong):
    """P13, P22: before a runtime sees it."""
    ids, mask, rows = np.ones((2, 3), dtype=np.int64), np.ones((2, 3), dtype=np.int64), (0, 1)
    changed = {
        "float ids": (rows, ids.astype(np.float64), mask),
        "narrow mask": (rows, ids, mask[:, :2]),
        "missing row": ((0,), ids, mask),
    }
    with pytest.raises((TypeError, ValueError), match="expected"):
        TokenBatch(*changed[wrong], None)
