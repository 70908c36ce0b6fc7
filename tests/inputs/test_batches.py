"""Tokens, batch plans and padding."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from driftgate.errors import EncoderError, OptionError
from driftgate.inputs.batches import (
    ArrivalPlan,
    BatchPlan,
    BudgetPlan,
    TokenBatch,
    make_batches,
    pad_rows,
    plan_rows,
)
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.tokens import TokenizedTexts, tokenize

CopyEncoder = Callable[..., Path]

PAD = 1
LONG = "thank you so much, this made my day " * 40

row_lengths = st.lists(st.integers(1, 60), max_size=80).map(lambda lengths: np.array(lengths, dtype=np.int64))
plans = st.one_of(st.integers(1, 40).map(ArrivalPlan), st.integers(1, 300).map(BudgetPlan))


def tokens_of(*lengths: int, side: str = "right", segments: bool = False, pad_segment: int = 0) -> TokenizedTexts:
    """Rows of distinct ids, none of them the padding id; segment ids 1, or none."""
    starts = np.cumsum([100, *lengths])
    return TokenizedTexts(
        input_ids=tuple(np.arange(start, start + length) for start, length in zip(starts, lengths, strict=False)),
        token_type_ids=tuple(np.ones(length, dtype=np.int64) for length in lengths) if segments else None,
        truncated=(False,) * len(lengths),
        pad_token_id=PAD,
        pad_token_type_id=pad_segment,
        padding_side=side,
    )


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path) -> Encoder:
    """Takes 64 tokens."""
    return load_encoder(tiny_encoder)


def with_tokenizer(folder: Path, **changes: object) -> Encoder:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changes), encoding="utf-8")
    return load_encoder(folder)


# Plans


@pytest.mark.parametrize("size", [0, -1])
@pytest.mark.parametrize("plan", [ArrivalPlan, BudgetPlan])
def test_a_plan_of_nothing_is_refused(plan: Callable[[int], BatchPlan], size: int) -> None:
    with pytest.raises(OptionError, match=f"{size}: expected a whole number from 1 to"):
        plan(size)


def test_plans_are_named_for_benchmark_groups() -> None:
    assert (ArrivalPlan(8).name, BudgetPlan(512).name) == ("b8", "budget")


@given(row_lengths, plans)
def test_every_row_is_in_exactly_one_batch(lengths: np.ndarray, plan: BatchPlan) -> None:
    assert sorted(row for batch in plan_rows(lengths, plan) for row in batch) == list(range(len(lengths)))


@given(row_lengths, plans)
def test_no_batch_is_empty(lengths: np.ndarray, plan: BatchPlan) -> None:
    assert all(plan_rows(lengths, plan))


@given(row_lengths, st.integers(1, 40))
def test_an_arrival_plan_keeps_the_order_given(lengths: np.ndarray, size: int) -> None:
    rows = [row for batch in plan_rows(lengths, ArrivalPlan(size)) for row in batch]
    assert rows == list(range(len(lengths)))


@given(row_lengths, st.integers(1, 40))
def test_only_the_last_batch_of_an_arrival_plan_may_be_smaller(lengths: np.ndarray, size: int) -> None:
    sizes = [len(batch) for batch in plan_rows(lengths, ArrivalPlan(size))]
    assert all(rows == size for rows in sizes[:-1])
    assert all(rows <= size for rows in sizes)


@given(row_lengths, st.integers(1, 300))
def test_a_batch_keeps_the_token_budget_unless_its_row_runs_alone(lengths: np.ndarray, budget: int) -> None:
    for batch in plan_rows(lengths, BudgetPlan(budget)):
        assert len(batch) == 1 or len(batch) * lengths[list(batch)].max() <= budget


@given(row_lengths, st.integers(1, 300))
def test_a_budget_plan_never_closes_a_batch_that_had_room(lengths: np.ndarray, budget: int) -> None:
    for batch, following in pairwise(plan_rows(lengths, BudgetPlan(budget))):
        assert (len(batch) + 1) * lengths[following[0]] > budget


@given(row_lengths, st.integers(1, 300))
def test_a_budget_plan_runs_shorter_rows_first_and_equal_ones_in_corpus_order(lengths: np.ndarray, budget: int) -> None:
    rows = [row for batch in plan_rows(lengths, BudgetPlan(budget)) for row in batch]
    assert rows == sorted(rows, key=lambda row: (lengths[row], row))


# Padding


def test_a_batch_is_as_wide_as_its_longest_row() -> None:
    assert pad_rows(tokens_of(3, 5, 9), [0, 1]).input_ids.shape == (2, 5)


def test_padding_goes_to_the_right() -> None:
    batch = pad_rows(tokens_of(2, 4, side="right"), [0, 1])
    assert batch.input_ids.tolist() == [[100, 101, PAD, PAD], [102, 103, 104, 105]]
    assert batch.attention_mask.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1]]


def test_padding_goes_to_the_left_where_the_tokenizer_says_so() -> None:
    batch = pad_rows(tokens_of(2, 4, side="left"), [0, 1])
    assert batch.input_ids.tolist() == [[PAD, PAD, 100, 101], [102, 103, 104, 105]]
    assert batch.attention_mask.tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20), st.sampled_from(["left", "right"]), plans)
def test_the_mask_gives_every_row_back(lengths: list[int], side: str, plan: BatchPlan) -> None:
    tokens = tokens_of(*lengths, side=side)
    for batch in make_batches(tokens, plan):
        assert np.isin(batch.attention_mask, (0, 1)).all()
        assert (batch.input_ids[batch.attention_mask == 0] == PAD).all()
        for position, row in enumerate(batch.rows):
            kept = batch.input_ids[position][batch.attention_mask[position] == 1]
            assert kept.tolist() == tokens.input_ids[row].tolist()


def test_the_padding_id_inside_a_text_is_not_masked() -> None:
    tokens = TokenizedTexts((np.array([5, PAD, 6]),), None, (False,), PAD)
    assert pad_rows(tokens, [0]).attention_mask.tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(
    ("side", "expected"), [("right", [[1, 1, 7, 7], [1, 1, 1, 1]]), ("left", [[7, 7, 1, 1], [1, 1, 1, 1]])]
)
def test_segments_are_padded_with_their_own_id_on_the_same_side(side: str, expected: list[list[int]]) -> None:
    batch = pad_rows(tokens_of(2, 4, side=side, segments=True, pad_segment=7), [0, 1])
    assert batch.token_type_ids is not None
    assert batch.token_type_ids.tolist() == expected


def test_models_without_segments_get_none() -> None:
    assert pad_rows(tokens_of(2, 4), [0, 1]).token_type_ids is None


def test_rows_keep_the_order_asked_for() -> None:
    batch = pad_rows(tokens_of(2, 2, 2), [2, 0])
    assert batch.rows == (2, 0)
    assert batch.input_ids.tolist() == [[104, 105], [100, 101]]


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "int32": lambda array: array.astype(np.int32),
    "big-endian": lambda array: array.astype(">i8"),
    "column-major": np.asfortranarray,
    "sliced": lambda array: np.repeat(array, 2, axis=1)[:, ::2],
    "reversed": lambda array: array[:, ::-1].copy()[:, ::-1],
    "read-only": lambda array: np.frombuffer(array.tobytes(), dtype=array.dtype).reshape(array.shape),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_laid_out_otherwise_are_copied(layout: str) -> None:
    """No backend sees another layout: torch refuses some of them, and ONNX Runtime reads them as they lie."""
    batch, change = pad_rows(tokens_of(2, 4, segments=True), [0, 1]), LAYOUTS[layout]
    assert batch.token_type_ids is not None
    changed = TokenBatch(
        batch.rows, change(batch.input_ids), change(batch.attention_mask), change(batch.token_type_ids)
    )
    for name in ("input_ids", "attention_mask", "token_type_ids"):
        array, expected = getattr(changed, name), getattr(batch, name)
        assert array.tobytes() == expected.tobytes()
        assert array.dtype == np.dtype("int64")
        assert array.flags.c_contiguous
        assert array.flags.writeable


def test_every_array_of_a_batch_is_int64() -> None:
    batch = pad_rows(tokens_of(2, 4, segments=True), [0, 1])
    assert {array.dtype for array in (batch.input_ids, batch.attention_mask, batch.token_type_ids)} == {
        np.dtype("int64")
    }


def test_real_and_padded_tokens_are_counted() -> None:
    batch: TokenBatch = pad_rows(tokens_of(2, 4), [0, 1])
    assert (batch.real_tokens, batch.padded_tokens) == (6, 8)


# Tokens


def test_tokens_are_those_of_the_encoders_own_tokenizer(encoder: Encoder) -> None:
    from transformers import AutoTokenizer

    texts = ["thank you so much", "the bus was late again"]
    assert [ids.tolist() for ids in tokenize(encoder, texts).input_ids] == [
        AutoTokenizer.from_pretrained(encoder.path)(text)["input_ids"] for text in texts
    ]


def test_batches_are_those_of_the_encoders_own_tokenizer(encoder: Encoder) -> None:
    from transformers import AutoTokenizer

    texts = ["thank you so much", "the bus was late again and it rained", LONG]
    (batch,) = make_batches(tokenize(encoder, texts), ArrivalPlan(3))
    own = AutoTokenizer.from_pretrained(encoder.path)(texts, padding=True, truncation=True, max_length=64)
    assert batch.input_ids.tolist() == own["input_ids"]
    assert batch.attention_mask.tolist() == own["attention_mask"]


def test_a_long_text_is_truncated_at_the_limit_and_flagged(encoder: Encoder) -> None:
    tokens = tokenize(encoder, ["thank you", LONG, "the bus"])
    assert tokens.truncated == (False, True, False)
    assert tokens.lengths[1] == encoder.max_tokens == 64


def test_a_truncated_text_still_ends_as_the_others_do(encoder: Encoder) -> None:
    short, cut = tokenize(encoder, ["thank you", LONG]).input_ids
    assert (cut[0], cut[-1]) == (short[0], short[-1])


def test_a_text_at_the_limit_is_not_flagged(encoder: Encoder) -> None:
    exact = next(
        text for text in (LONG[:end] for end in range(len(LONG))) if tokenize(encoder, [text]).lengths[0] == 64
    )
    assert tokenize(encoder, [exact]).truncated == (False,)


def test_a_row_does_not_depend_on_its_neighbours(encoder: Encoder) -> None:
    alone = tokenize(encoder, ["thank you"]).input_ids[0]
    among = tokenize(encoder, [LONG, "thank you", "the bus was late"]).input_ids[1]
    assert alone.tolist() == among.tolist()


def test_a_tokenizer_saved_with_truncation_and_padding_on_changes_nothing(
    copy_encoder: CopyEncoder, encoder: Encoder
) -> None:
    from tokenizers import Tokenizer

    folder = copy_encoder()
    stored = Tokenizer.from_file(str(folder / "tokenizer.json"))
    stored.enable_truncation(4)
    stored.enable_padding(length=32, pad_id=1, pad_token="<pad>")  # noqa: S106 - not a password
    stored.save(str(folder / "tokenizer.json"))
    texts = ["thank you so much, this made my day", LONG]
    expected = [ids.tolist() for ids in tokenize(encoder, texts).input_ids]
    assert [ids.tolist() for ids in tokenize(load_encoder(folder), texts).input_ids] == expected


def test_the_tokenizers_padding_id_and_side_are_kept(copy_encoder: CopyEncoder) -> None:
    tokens = tokenize(with_tokenizer(copy_encoder(), padding_side="left"), ["thank you"])
    assert (tokens.pad_token_id, tokens.padding_side) == (1, "left")


def test_a_tokenizer_with_segments_gives_segments(copy_encoder: CopyEncoder) -> None:
    names = ["input_ids", "token_type_ids", "attention_mask"]
    tokens = tokenize(with_tokenizer(copy_encoder(), model_input_names=names), ["thank you", LONG])
    assert tokens.token_type_ids is not None
    assert [len(types) for types in tokens.token_type_ids] == tokens.lengths.tolist()


def test_a_tokenizer_without_segments_gives_none(encoder: Encoder) -> None:
    assert tokenize(encoder, ["thank you"]).token_type_ids is None


def test_a_tokenizer_without_a_padding_token_is_refused(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    (folder / "special_tokens_map.json").write_text("{}", encoding="utf-8")
    encoder = with_tokenizer(folder, pad_token=None, tokenizer_class="PreTrainedTokenizerFast")
    with pytest.raises(EncoderError, match="its tokenizer has no padding token"):
        tokenize(encoder, ["thank you"])


def test_a_tokenizer_changed_in_place_is_loaded_again(copy_encoder: CopyEncoder) -> None:
    folder = copy_encoder()
    assert tokenize(load_encoder(folder), ["thank you"]).padding_side == "right"
    assert tokenize(with_tokenizer(folder, padding_side="left"), ["thank you"]).padding_side == "left"


def test_tokenizing_does_not_warn_about_long_texts(encoder: Encoder, caplog: pytest.LogCaptureFixture) -> None:
    import transformers

    transformers.logging.enable_propagation()
    try:
        tokenize(encoder, [LONG])
    finally:
        transformers.logging.disable_propagation()
    assert not caplog.records


def test_the_length_of_tokens_is_their_rows() -> None:
    assert len(tokens_of(2, 4, 6)) == 3


def test_lengths_count_special_tokens(encoder: Encoder) -> None:
    tokens = tokenize(encoder, ["thank you"])
    assert tokens.lengths.tolist() == [len(tokens.input_ids[0])]
    assert {tokens.input_ids[0][0], tokens.input_ids[0][-1]} == {0, 2}


@pytest.mark.parametrize("segments", [False, True], ids=["plain", "segments"])
def test_take_gives_the_rows_in_the_order_asked_for(segments: bool) -> None:
    tokens = tokens_of(2, 4, 6, segments=segments)
    taken = tokens.take([2, 0])
    assert [ids.tolist() for ids in taken.input_ids] == [tokens.input_ids[2].tolist(), tokens.input_ids[0].tolist()]
    assert (taken.token_type_ids is not None) == segments
    if taken.token_type_ids is not None:
        assert [len(types) for types in taken.token_type_ids] == [6, 2]


def test_take_keeps_flags_and_padding() -> None:
    ids = (np.array([5, 6]), np.array([7]))
    taken = TokenizedTexts(ids, None, (True, False), PAD, 3, "left").take([1, 0])
    assert (taken.truncated, taken.pad_token_id, taken.pad_token_type_id, taken.padding_side) == (
        (False, True),
        PAD,
        3,
        "left",
    )
