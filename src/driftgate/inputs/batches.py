"""Which rows go together, and how they are padded; and batches of random tokens, of any shape."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from driftgate.arrays import IntArray
from driftgate.edges.limits import BATCH_SIZE, BATCH_TOKENS, DEFAULT_TOKEN_BUDGET, SEQUENCE_LENGTH, TOKEN_BUDGET
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import TokenizedTexts, load_tokenizer


@dataclass(frozen=True, slots=True)
class ArrivalPlan:
    """Rows in the order given, `batch_size` at a time."""

    batch_size: int

    def __post_init__(self) -> None:
        BATCH_SIZE.require(self.batch_size)

    @property
    def name(self) -> str:
        """As cells and tables call it."""
        return f"b{self.batch_size}"


@dataclass(frozen=True, slots=True)
class BudgetPlan:
    """Rows sorted by length, as many a batch as fit `max_tokens` tokens with padding; a longer row runs alone."""

    max_tokens: int = DEFAULT_TOKEN_BUDGET

    def __post_init__(self) -> None:
        TOKEN_BUDGET.require(self.max_tokens)

    @property
    def name(self) -> str:
        """As cells and tables call it."""
        return "budget"


BatchPlan = ArrivalPlan | BudgetPlan


@dataclass(frozen=True, slots=True, eq=False)
class TokenBatch:
    """One padded batch: int64 arrays of shape (batch, sequence), the mask 1 on tokens and 0 on padding.

    `rows` says which corpus rows it holds, in batch order. Arrays of other integers, or laid out otherwise in memory, are
    copied: runtimes refuse or misread them, each in its own way.

    Raises:
        TypeError: arrays of anything but integers. ValueError: arrays of different shapes.
    """

    rows: tuple[int, ...]
    input_ids: IntArray
    attention_mask: IntArray
    token_type_ids: IntArray | None

    def __post_init__(self) -> None:
        for name, array in self.arrays.items():
            if array.dtype.kind not in "iub":
                raise TypeError(f"{name}: expected integers, found {array.dtype}; tokenize gives int64")
            if array.shape != (len(self.rows), *self.input_ids.shape[1:]) or array.ndim != 2:  # noqa: PLR2004 - rows and tokens
                raise ValueError(
                    f"{name}: expected shape (batch, sequence) with {len(self.rows)} rows and the shape of input_ids, "
                    f"found {array.shape}, where input_ids has {self.input_ids.shape}"
                )
            object.__setattr__(self, name, np.require(array, np.int64, ("C", "W")))

    @property
    def arrays(self) -> dict[str, IntArray]:
        """Its arrays by name, without segments that it does not have."""
        arrays = {"input_ids": self.input_ids, "attention_mask": self.attention_mask}
        return arrays if self.token_type_ids is None else {**arrays, "token_type_ids": self.token_type_ids}

    def take(self, places: Sequence[int]) -> "TokenBatch":
        """The rows at these places of the batch, in the order given, padded as they were."""
        chosen = list(places)
        rows = tuple(self.rows[place] for place in chosen)
        return replace(self, rows=rows, **{name: array[chosen] for name, array in self.arrays.items()})

    @property
    def real_tokens(self) -> int:
        """Tokens that are not padding."""
        return int(self.attention_mask.sum())

    @property
    def padded_tokens(self) -> int:
        """Tokens, padding included."""
        return int(self.attention_mask.size)


def plan_rows(lengths: IntArray, plan: BatchPlan) -> list[tuple[int, ...]]:
    """Group row numbers into batches; every row is in exactly one.

    Args:
        lengths: tokens of each row, int64, (rows,).
        plan: how many rows go together.
    """
    if isinstance(plan, ArrivalPlan):
        rows = range(len(lengths))
        return [tuple(rows[start : start + plan.batch_size]) for start in rows[:: plan.batch_size]]
    batches: list[list[int]] = []
    for row in np.argsort(lengths, kind="stable").tolist():
        # Rows come shortest first, so this row's length is the batch's padded length.
        if not batches or (len(batches[-1]) + 1) * int(lengths[row]) > plan.max_tokens:
            batches.append([])
        batches[-1].append(row)
    return [tuple(batch) for batch in batches]


def pad_rows(tokens: TokenizedTexts, rows: Sequence[int], width: int | None = None) -> TokenBatch:
    """Put `rows` into one batch, padded on the tokenizer's side to the longest of them, or to `width` tokens.

    Raises:
        ValueError: a row is longer than `width`.
    """
    longest = max(len(tokens.input_ids[row]) for row in rows)
    width = longest if width is None else width
    if width < longest:
        raise ValueError(f"expected a width of at least {longest} tokens, the longest of the rows, found {width}")
    shape = (len(rows), width)
    input_ids = np.full(shape, tokens.pad_token_id, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.int64)
    types = None if tokens.token_type_ids is None else np.full(shape, tokens.pad_token_type_id, dtype=np.int64)
    for position, row in enumerate(rows):
        ids = tokens.input_ids[row]
        columns = slice(width - len(ids), width) if tokens.padding_side == "left" else slice(0, len(ids))
        input_ids[position, columns] = ids
        mask[position, columns] = 1
        if types is not None and tokens.token_type_ids is not None:
            types[position, columns] = tokens.token_type_ids[row]
    return TokenBatch(tuple(rows), input_ids, mask, types)


def make_batches(tokens: TokenizedTexts, plan: BatchPlan) -> Iterator[TokenBatch]:
    """The batches of a plan, padded."""
    return (pad_rows(tokens, rows) for rows in plan_rows(tokens.lengths, plan))


def spread_sample(tokens: TokenizedTexts, rows: int, seed: int = 0) -> list[int]:
    """`rows` row numbers whose lengths are evenly spaced quantiles of all lengths, in random but fixed order.

    A plain random sample of a few dozen comments would miss the long ones, which cost most.
    """
    order = np.argsort(tokens.lengths, kind="stable")
    chosen: list[int] = np.random.default_rng(seed).permutation(order[evenly_spaced(len(order), rows)]).tolist()
    return chosen


def evenly_spaced(length: int, count: int) -> list[int]:
    """At most `count` places of `length`: the middles of as many equal parts."""
    count = min(count, length)
    places: list[int] = ((np.arange(count) + 0.5) / max(count, 1) * length).astype(np.int64).tolist()
    return places


@dataclass(frozen=True, slots=True)
class Shape:
    """Rows of a batch, and the tokens of each, special ones included; nothing is padded."""

    batch_size: int
    sequence_length: int

    def __post_init__(self) -> None:
        BATCH_SIZE.require(self.batch_size)
        SEQUENCE_LENGTH.require(self.sequence_length)
        BATCH_TOKENS.require(self.batch_size * self.sequence_length)

    @property
    def name(self) -> str:
        """Such as "b4_s128", as ONNX Runtime's benchmark calls it."""
        return f"b{self.batch_size}_s{self.sequence_length}"


def random_batch(encoder: Encoder, shape: Shape, seed: int = 0) -> TokenBatch:
    """Ids drawn evenly from the encoder's vocabulary, special tokens left out; a mask of ones.

    Seed and shape say which ids they are. Segments are all 0, and there only where the encoder's tokenizer gives them.
    """
    tokenizer = load_tokenizer(encoder)
    vocabulary = np.setdiff1d(np.arange(encoder.vocab_size, dtype=np.int64), tokenizer.all_special_ids)
    size = shape.batch_size, shape.sequence_length
    input_ids = np.random.default_rng([seed, *size]).choice(vocabulary, size=size)
    types = np.zeros_like(input_ids) if "token_type_ids" in tokenizer.model_input_names else None
    return TokenBatch(tuple(range(shape.batch_size)), input_ids, np.ones_like(input_ids), types)
