"""Pairs of texts become the tokens that transformers makes of them, whatever the family; and what pairs are otherwise."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_encoders import SENTENCES, TRANSFORMERS_5

from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.long_texts import make_long_texts
from driftgate.inputs.texts import join_texts, map_parts, on_one_line, pair_with_next
from driftgate.inputs.tokens import forget_tokenizers, load_tokenizer, tokenize
from driftgate.verify.tokenizer_differences import compare_tokenizers

FAMILIES = ("bert", "roberta", "albert", "deberta-v2", "xlm-roberta", "modernbert")
SEGMENTS = {
    "bert": True,
    "roberta": False,
    "albert": not TRANSFORMERS_5,  # transformers #48128: seven families lost them
    "deberta-v2": True,
    "xlm-roberta": False,
    "modernbert": False,
}
PAIRS_DRAWN = 90


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def encoder(family: str, make_tiny_encoder: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    folder = make_tiny_encoder(tmp_path_factory.mktemp("pairs") / family, family)
    return replace(load_encoder(folder), takes_pairs=True)


def draw_pairs(seed: int = 0) -> list[tuple[str, str]]:
    """Of nothing, a word, and up to sixty words on either side."""
    draw = random.Random(seed)  # noqa: S311
    words = " ".join(SENTENCES).split()

    def text() -> str:
        return " ".join(draw.choices(words, k=draw.choice((0, 1, 2, 5, 9, 20, 21, 60))))

    return [(text(), text()) for _ in range(PAIRS_DRAWN)]


def by_transformers(encoder: Encoder, pairs: list[tuple[str, str]], **options: Any) -> dict[str, Any]:
    firsts, seconds = map(list, zip(*pairs, strict=True))
    return dict(load_tokenizer(encoder)(firsts, seconds, **options))


@pytest.mark.parametrize("limit", [9, 10, 16, 33, 48])
@pytest.mark.parametrize("side", ["right", "left"])
def test_ids_masks_and_segments_are_those_of_transformers(
    encoder: Encoder, limit: int, side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_tokenizer(encoder), "truncation_side", side)
    pairs = draw_pairs(limit)
    found = tokenize(replace(encoder, max_tokens=limit), pairs)
    own = by_transformers(encoder, pairs, truncation="longest_first", max_length=limit)
    whole = by_transformers(encoder, pairs)
    assert [ids.tolist() for ids in found.input_ids] == own["input_ids"]
    assert [[1] * len(ids) for ids in found.input_ids] == own["attention_mask"]
    assert found.truncated == tuple(len(ids) > limit for ids in whole["input_ids"])
    assert 10 < sum(found.truncated) < PAIRS_DRAWN
    if found.token_type_ids is None:
        assert "token_type_ids" not in own
    else:
        assert [types.tolist() for types in found.token_type_ids] == own["token_type_ids"]


def test_segments_tell_the_texts_apart_where_the_family_has_any(encoder: Encoder, family: str) -> None:
    tokens = tokenize(encoder, [("thank you", "so much"), "thank you"])
    if not SEGMENTS[family]:
        assert tokens.token_type_ids is None or not any(types.any() for types in tokens.token_type_ids)
        return
    assert tokens.token_type_ids is not None
    pair, single = tokens.token_type_ids
    assert not single.any()
    assert set(np.diff(pair).tolist()) == {0, 1}  # zeros, then ones


def test_roberta_closes_twice_between_the_texts(tiny_encoder: Path) -> None:
    tokenizer = load_tokenizer(load_encoder(tiny_encoder))
    (ids,) = tokenize(load_encoder(tiny_encoder), [("a", "b")]).input_ids
    assert tokenizer.convert_ids_to_tokens(ids.tolist()) == ["<s>", "a", "</s>", "</s>", "b", "</s>"]


def test_a_pair_beside_single_texts_is_the_same_as_alone(encoder: Encoder) -> None:
    texts = ["thank you", ("what a game", "the bus was late"), ("", "so much"), ""]
    together = tokenize(encoder, texts)
    for row, text in enumerate(texts):
        alone = tokenize(encoder, [text])
        assert np.array_equal(together.input_ids[row], alone.input_ids[0])


def test_long_rows_of_pairs_have_both_texts(encoder: Encoder) -> None:
    texts = tuple(f"{sentence} {number}" for number in range(8) for sentence in SENTENCES)
    corpus = Corpus("mine", pair_with_next(texts), tuple(map(str, range(len(texts)))), labels=None)
    made = make_long_texts(encoder, corpus, 40, 12)
    assert set(made.lengths.tolist()) == {40}
    assert len({ids.tobytes() for ids in made.input_ids}) == 12
    closing = made.input_ids[0][-1]
    assert all((ids == closing).sum() >= 2 for ids in made.input_ids)


@pytest.mark.parametrize(
    ("family", "changed"),
    [
        ("bert", {"[CLS] A [SEP] B [SEP]": "segments of zeros"}),
        ("roberta", {"<s> A </s> B </s>": "one closing token"}),
    ],
    ids=["segments-of-zeros", "one-closing-token"],
)
def test_a_folder_whose_template_for_pairs_is_another_one_is_found(
    family: str, changed: dict[str, str], make_tiny_encoder: Callable[..., Path], tmp_path: Path
) -> None:
    """Single texts are the same tokens: only pairs tell."""
    source = load_encoder(make_tiny_encoder(tmp_path / "good", family))
    folder = make_tiny_encoder(tmp_path / "published", family)
    template = next(iter(changed))
    write_template(folder / "tokenizer.json", template)
    forget_tokenizers()
    published = load_encoder(folder)
    texts = tuple(SENTENCES)
    single = Corpus("single", texts, texts, labels=None)
    pairs = Corpus("pairs", pair_with_next(texts), texts, labels=None)
    assert [str(found) for found in compare_tokenizers(source, published, single)] == []
    assert any("token ids by tokenizer.json" in str(found) for found in compare_tokenizers(source, published, pairs))


def write_template(path: Path, template: str) -> None:
    """A template of `A` and `B`, all of it one segment."""
    content = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = content["model"]["vocab"]
    pieces = [
        {"Sequence": {"id": part, "type_id": 0}} if part in "AB" else {"SpecialToken": {"id": part, "type_id": 0}}
        for part in template.split()
    ]
    special = {part for part in template.split() if part not in "AB"}
    opening, closing = template.split(maxsplit=1)[0], template.rsplit(maxsplit=1)[-1]
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": opening, "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": closing, "type_id": 0}},
        ],
        "pair": pieces,
        "special_tokens": {part: {"id": part, "ids": [vocabulary[part]], "tokens": [part]} for part in special},
    }
    path.write_text(json.dumps(content), encoding="utf-8")


# Pairs themselves


def test_texts_are_joined_on_their_own_side() -> None:
    assert join_texts(["a", "b", "c"]) == "a b c"
    assert join_texts([("a", "b"), ("c", "d")]) == ("a c", "b d")


def test_each_text_is_paired_with_the_next_and_the_last_with_the_first() -> None:
    assert pair_with_next("abc") == (("a", "b"), ("b", "c"), ("c", "a"))


def test_both_texts_of_a_pair_are_changed_and_shown() -> None:
    assert map_parts(str.upper, ("a", "b")) == ("A", "B")
    assert map_parts(str.upper, "a") == "A"
    assert (on_one_line(("a", "b")), on_one_line("a")) == ("a | b", "a")
