"""A recorded tokenizer answers as the transformers tokenizer that it was recorded from, and is otherwise not used."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_encoders import SENTENCES

from driftgate.inputs import recorded_tokenizer
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.inputs.recorded_tokenizer import RecordedTokenizer, answers_alike, open_tokenizer
from driftgate.inputs.tokens import TokenizedTexts, forget_tokenizers, load_tokenizer, tokenize

FAMILIES = ("bert", "roberta", "xlm-roberta")
HOSTILE = (
    "\x00",
    "\ufeffa",
    "e\u0301",
    "\U0010ffff",
    "<s>",
    "</s> [SEP]",
    "\n\n",
    "\ufb01 \u017f",
    "日本",
    "👩‍👩‍👧",
    "a" * 100,  # a long cut text leaves pieces, and those of a pair are combined: their number grows with the square
)


def draw_texts(seed: int) -> list[str]:
    draw = random.Random(seed)  # noqa: S311
    pieces = [*" ".join(SENTENCES).split(), *HOSTILE]
    return [draw.choice((" ", "")).join(draw.choices(pieces, k=draw.choice((1, 3, 9, 40)))) for _ in range(60)]


def plain(tokens: TokenizedTexts) -> list[Any]:
    types = tokens.token_type_ids
    return [
        [ids.tolist() for ids in tokens.input_ids],
        None if types is None else [ids.tolist() for ids in types],
        tokens.truncated,
        (tokens.pad_token_id, tokens.pad_token_type_id, tokens.padding_side),
    ]


@pytest.fixture
def roberta(tiny_encoder: Path, empty_cache: Path) -> Encoder:
    return load_encoder(tiny_encoder)


def records(cache: Path) -> list[Path]:
    return sorted((cache / "tokenizers").glob("*.json"))


@pytest.mark.parametrize("family", FAMILIES)
def test_ids_segments_and_cuts_are_those_of_transformers(
    family: str, make_tiny_encoder: Callable[..., Path], tmp_path: Path, empty_cache: Path
) -> None:
    encoder = load_encoder(make_tiny_encoder(tmp_path / family, family))
    assert not isinstance(open_tokenizer(encoder), RecordedTokenizer)
    recorded = open_tokenizer(encoder)
    assert isinstance(recorded, RecordedTokenizer)
    texts = draw_texts(1)
    for limit in (9, 17, encoder.max_tokens):
        cut = replace(encoder, max_tokens=limit)
        assert plain(tokenize(cut, texts, recorded)) == plain(tokenize(cut, texts))
        pairs = list(zip(texts, reversed(texts), strict=True))
        asked = replace(cut, takes_pairs=True)
        assert plain(tokenize(asked, pairs, recorded)) == plain(tokenize(asked, pairs))


@pytest.mark.parametrize("change", [{"truncation_side": "left"}, {"padding_side": "left"}, {"add_prefix_space": True}])
def test_what_tokenizer_config_says_is_in_force_and_makes_another_record(
    change: dict[str, Any], copy_encoder: Callable[..., Path], empty_cache: Path
) -> None:
    folder = copy_encoder()
    open_tokenizer(load_encoder(folder))
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, **change}), encoding="utf-8")
    forget_tokenizers()
    encoder = replace(load_encoder(folder), max_tokens=9)
    assert not isinstance(open_tokenizer(encoder), RecordedTokenizer)
    recorded = open_tokenizer(encoder)
    assert isinstance(recorded, RecordedTokenizer)
    assert len(records(empty_cache)) == 2
    assert plain(tokenize(encoder, draw_texts(2), recorded)) == plain(tokenize(encoder, draw_texts(2)))


@pytest.mark.parametrize("damage", ["{", "{}", None])
def test_a_damaged_record_is_made_again(damage: str | None, roberta: Encoder, empty_cache: Path) -> None:
    open_tokenizer(roberta)
    (path,) = records(empty_cache)
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole.replace("merges", "mErges") if damage is None else damage, encoding="utf-8")
    recorded_tokenizer._read.cache_clear()
    assert not isinstance(open_tokenizer(roberta), RecordedTokenizer)
    assert path.read_text(encoding="utf-8") == whole
    assert isinstance(open_tokenizer(roberta), RecordedTokenizer)


def test_a_cache_that_cannot_be_written_is_done_without(
    roberta: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("DRIFTGATE_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        assert not isinstance(open_tokenizer(roberta), RecordedTokenizer)


def test_a_tokenizer_written_in_python_is_never_recorded(
    roberta: Encoder, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        is_fast = False

    monkeypatch.setattr(recorded_tokenizer, "load_tokenizer", lambda encoder: Slow())
    assert isinstance(open_tokenizer(roberta), Slow)
    assert not records(empty_cache)


def test_a_tokenizer_that_changes_what_its_library_gives_is_not_recorded(
    roberta: Encoder, empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = load_tokenizer(roberta)

    class Changing(type(true)):  # type: ignore[misc]
        def _encode_plus(self, text: Any, *arguments: Any, **options: Any) -> Any:
            changed = [one.upper() if isinstance(one, str) else one for one in text]
            return super()._encode_plus(changed, *arguments, **options)

        _batch_encode_plus = _encode_plus

    changing = Changing.from_pretrained(roberta.path)
    assert answers_alike(true, true)
    assert not answers_alike(true, changing)
    monkeypatch.setattr(recorded_tokenizer, "load_tokenizer", lambda encoder: changing)
    open_tokenizer(roberta)
    assert not records(empty_cache)
