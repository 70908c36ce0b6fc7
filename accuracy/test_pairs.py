"""Properties of text pairs: their tokens are the tokenizer's own, and every backend answers them as the reference does.

Collected with `--driftgate-pair-column`. The first part runs no model: reference and backend share their tokens, so that no
comparison of the two would show a second text that is never read. For each property of the second part there is a fault that it
finds: `tests/support/pair_faults.py`.

That answers do not depend on padding, order and the other texts of a batch is tested on pairs in
`test_invariance.py`: its corpus rows are pairs.
"""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, example
from hypothesis import strategies as st

from driftgate.errors import CorpusError
from driftgate.inputs.model_folder import CONFIG
from driftgate.inputs.named_files import read_json
from driftgate.inputs.tokens import tokenize
from driftgate.plugin.profiles import model_property, tokenizer_property
from driftgate.strategies import (
    corpus_text,
    generated_pairs,
    generated_texts,
    lone_surrogate_texts,
    pair_batches,
    wordy_pairs,
)

LIMIT = 10**6
"""Cut at the encoder's own limit, that is."""
SHORT = 16
"""Tokens: fewer than the texts of a long pair have."""
CUTS = st.sampled_from((12, 20, 33))
SEEDS = st.integers(0, 2**16)

pytestmark = pytest.mark.usefixtures("pair_tokenizer")


def rows_of(encoder, texts):
    """Ids of each row, and its segments where the tokenizer gives any."""
    tokens = tokenize(encoder, texts)
    parts = (tokens.input_ids, *([tokens.token_type_ids] if tokens.token_type_ids is not None else []))
    return [[part.tolist() for part in row] for row in zip(*parts, strict=True)]


@pytest.fixture(scope="module")
def short(encoder):
    """The encoder with a limit that pairs reach."""
    return replace(encoder, max_tokens=min(SHORT, encoder.max_tokens))


@example(pairs=[("a few words", "and a few more"), ("", ""), ("one", "two")], limit=LIMIT)
@example(pairs=[("a long text of many words " * 9, "short"), ("short", "a long text of many words " * 9)], limit=SHORT)
@tokenizer_property(
    pairs=st.lists(generated_pairs() | wordy_pairs(1, 24), min_size=1, max_size=6),
    limit=st.sampled_from((10, 11, SHORT, LIMIT)),
)
def test_pairs_are_tokenized_as_the_tokenizer_itself_does(encoder, pair_tokenizer, pairs, limit):
    """Its own template and segments, the longer text cut first, and said to be cut where it is."""
    limited = replace(encoder, max_tokens=min(limit, encoder.max_tokens))
    firsts, seconds = map(list, zip(*pairs, strict=True))
    whole = pair_tokenizer(firsts, seconds, verbose=False)["input_ids"]
    own = pair_tokenizer(firsts, seconds, truncation="longest_first", max_length=limited.max_tokens)
    names = ["input_ids", *(["token_type_ids"] if "token_type_ids" in own else [])]
    assert rows_of(limited, pairs) == [[own[name][row] for name in names] for row in range(len(pairs))]
    cut = tokenize(limited, pairs)
    assert list(cut.truncated) == [len(ids) > limited.max_tokens for ids in whole]
    assert cut.lengths.max() <= limited.max_tokens


@tokenizer_property(pair=wordy_pairs(1, 8))
def test_the_order_of_the_texts_matters(encoder, pair):
    """Who exchanges them asks something else."""
    first, second = pair
    alone = rows_of(encoder, [first, second])
    assume(alone[0] != alone[1])
    given, exchanged = rows_of(encoder, [pair, (second, first)])
    assert given != exchanged


@tokenizer_property(pair=wordy_pairs(1, 8))
def test_a_pair_is_not_its_texts_joined(encoder, pair):
    """Where one text ends and the other begins is in the tokens; a tokenizer without a template for pairs says nothing of it."""
    first, second = pair
    given, *joined = rows_of(encoder, [pair, f"{first} {second}", f"{first}{second}"])
    assert given not in joined


@tokenizer_property(pair=wordy_pairs(SHORT, 2 * SHORT))
def test_of_a_pair_that_is_too_long_both_texts_are_kept(short, pair):
    """Cut to the limit exactly, and neither text away whole."""
    first, second = pair
    given, without_second, without_first = rows_of(short, [pair, (first, ""), ("", second)])
    assert len(given[0]) == short.max_tokens
    assert given not in (without_second, without_first)


@tokenizer_property(texts=st.lists(generated_pairs() | generated_texts(), min_size=1, max_size=6))
def test_a_pair_tokenizes_alone_as_in_company(encoder, texts):
    """Beside other pairs, and beside single texts."""
    assert rows_of(encoder, texts) == [rows_of(encoder, [text])[0] for text in texts]


@tokenizer_property(good=generated_pairs(), bad=lone_surrogate_texts(), first=st.booleans())
def test_a_lone_surrogate_in_either_text_is_refused_with_its_row(encoder, good, bad, first):
    """An error that names the row, not one from inside a library."""
    with pytest.raises(CorpusError, match=r"lone surrogate.* rows 1, "):
        tokenize(encoder, [good, (bad, good[1]) if first else (good[0], bad)])


def test_segments_that_the_model_tells_apart_are_fed(encoder, pair_tokenizer):
    """transformers 5 forgot the segments of some families (ALBERT, XLNet, RemBERT): every pair is asked as one segment there."""
    segments = read_json(encoder.path / CONFIG).get("type_vocab_size") or 0
    given = pair_tokenizer("a few words", "and a few more", return_token_type_ids=True)["token_type_ids"]
    if segments > 1 and any(given) and "token_type_ids" not in pair_tokenizer.model_input_names:
        names = ", ".join(f'"{name}"' for name in ("input_ids", "token_type_ids", "attention_mask"))
        pytest.fail(
            f"{encoder.name}: the model has {segments} segments and the tokenizer's template puts second texts into another, but "
            f"this transformers does not feed them; see what it was trained with, and if with segments, add "
            f'"model_input_names": [{names}] to tokenizer_config.json',
            pytrace=False,
        )


# What always is tried: ordinary pairs, the longest, and those of which one text is nothing.
ORDINARY = [corpus_text(row) for row in range(8)]
LONGEST = [corpus_text(0, "repeat 80"), ("a few words", "more " * 400), ("more " * 400, "a few words")]
HALF_EMPTY = [("", "a few words"), ("a few words", ""), ("", ""), corpus_text(0)]


@model_property(
    {"texts": ORDINARY, "cut": LIMIT},
    {"texts": LONGEST, "cut": LIMIT},
    {"texts": HALF_EMPTY, "cut": LIMIT},
    texts=pair_batches(),
    cut=CUTS,
)
def test_pairs_are_answered_as_the_reference_answers_them(hold, texts, cut):
    """Of the corpus, generated, up to the encoder's limit: no pair moves a logit or a probability beyond the class's bound."""
    hold.agrees(hold.tokens(texts, cut))


@model_property({"row": 0, "rows": 8, "cut": LIMIT}, row=st.integers(0, 10_000), rows=st.integers(1, 4), cut=CUTS)
def test_exchanged_texts_are_answered_as_the_reference_answers_them(hold, row, rows, cut):
    """In one batch with the pairs as they are: what tells them apart is the order alone."""
    texts = [corpus_text(row + number, *changes) for number in range(rows) for changes in ((), ("exchange",))]
    hold.agrees(hold.tokens(texts, cut))


@model_property({"texts": ORDINARY, "cut": LIMIT, "seed": 0}, texts=pair_batches(), cut=CUTS, seed=SEEDS)
def test_segments_mean_what_they_mean_to_the_reference(hold, texts, cut, seed):
    """Also where they are not those of the two texts: a graph that works them out itself, or has none, differs here."""
    for batch in hold.batches(hold.tokens(texts, cut)):
        if batch.token_type_ids is None:
            pytest.skip(f"the tokenizer of {hold.encoder.name} gives no segments")
        drawn = np.random.default_rng(seed).integers(0, 2, batch.input_ids.shape)
        hold.agrees_on(replace(batch, token_type_ids=drawn))
