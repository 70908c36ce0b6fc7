"""Whether two folders' tokenizers give a model the same tokens, and what is different where they do not."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from driftgate.errors import EncoderError
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.named_files import read_json
from driftgate.inputs.texts import Text, join_texts
from driftgate.inputs.tokens import TokenizedTexts, load_tokenizer, tokenize

TEXTS = 200
"""Of the corpus: so many are tokenized both ways."""
_FILE = "tokenizer.json"
_SHOWN = 3
_NO_LIMIT = 10**15
"""transformers stands for no limit by a number far beyond this one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it was expected to be."""

    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: expected {self.expected}, found {self.found}"


def compare_tokenizers(encoder: Encoder, other: Encoder, corpus: Corpus) -> Iterator[Difference]:
    """How the tokenizer of `other` differs from the encoder's: where it cuts and pads, and the ids it gives `TEXTS` texts.

    Nothing but the limit is compared where both are the same files.

    Raises:
        EncoderError: one of them does not load, or has no padding token.
    """
    ours, theirs = load_tokenizer(encoder), load_tokenizer(other)
    # A tokenizer that states no limit cuts nothing, even where it is asked to.
    stated = theirs.model_max_length
    limit = other.max_tokens if stated in (ours.model_max_length, encoder.max_tokens) else stated
    if limit != encoder.max_tokens:
        yield Difference("limit of tokens", str(encoder.max_tokens), str(limit) if limit < _NO_LIMIT else "none")
    if _read_files(encoder) == _read_files(other) and encoder.model_type == other.model_type:
        return
    for name in ("truncation_side", "padding_side", "pad_token", "pad_token_id", "pad_token_type_id"):
        expected, found = getattr(ours, name), getattr(theirs, name)
        if found != expected:
            yield Difference(name, repr(expected), repr(found))
    yield from _compare_sections(encoder, other)
    yield from _compare_ids(encoder, other, corpus)


def _read_files(encoder: Encoder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in encoder.tokenizer_files}


def _compare_sections(encoder: Encoder, other: Encoder) -> Iterator[Difference]:
    """How tokenizer.json says to cut and pad, which the tokenizers library goes by; that it says nothing is no difference."""
    ours = load_tokenizer(encoder)
    as_loaded = {
        "truncation": {"max_length": encoder.max_tokens, "direction": ours.truncation_side},
        "padding": {"pad_id": ours.pad_token_id, "pad_token": ours.pad_token, "direction": ours.padding_side},
    }
    for name, expected in as_loaded.items():
        own, found = (_read_section(one, name, expected) for one in (encoder, other))
        if found not in (None, own, expected):
            shown = (", ".join(f"{key} {value}" for key, value in side.items()) for side in (expected, found or {}))
            yield Difference(f"{name} in {_FILE}", *shown)


def _read_section(encoder: Encoder, name: str, keys: Mapping[str, Any]) -> dict[str, Any] | None:
    """Those keys of a section of tokenizer.json; None without the file or the section."""
    path = encoder.path / _FILE
    section = read_json(path).get(name) if path.is_file() else None
    if not section:
        return None
    return {key: section.get(key) for key in keys} | {"direction": str(section.get("direction", "Right")).lower()}


def _compare_ids(encoder: Encoder, other: Encoder, corpus: Corpus) -> Iterator[Difference]:
    """As transformers tokenizes, and as the tokenizers library does, which may read other files of the same folder."""
    sample = corpus.sample(TEXTS)
    too_long = join_texts(list(islice(cycle(sample.texts), encoder.max_tokens + 1)))
    texts, names = (*sample.texts, too_long), (*sample.row_ids, "a text beyond the limit")
    tokens = [tokenize(one, texts) for one in (encoder, other)]
    expected, found = ([_row(side, row) for row in range(len(side))] for side in tokens)
    yield from _name_rows("token ids", names, expected, found)
    if (other.path / _FILE).is_file():
        segments = tokens[0].token_type_ids is not None
        whole = (_encode_whole(one, texts, segments=segments) for one in (encoder, other))
        yield from _name_rows(f"token ids by {_FILE}", names, *whole)


def _name_rows(what: str, names: Sequence[str], expected: Sequence[Any], found: Sequence[Any]) -> Iterator[Difference]:
    differing = [name for name, one, other in zip(names, expected, found, strict=True) if one != other]
    if differing:
        rows = ", ".join(differing[:_SHOWN]) + (", ..." if len(differing) > _SHOWN else "")
        yield Difference(
            what, f"the encoder's for all {len(names)} texts", f"others for {len(differing)} of them ({rows})"
        )


def _encode_whole(encoder: Encoder, texts: Sequence[Text], *, segments: bool) -> list[list[list[int]]]:
    """Ids of whole texts by tokenizer.json alone, or by transformers where there is none; with `segments` those behind them.

    The tokenizers library always gives segments, meant or not.
    """
    from tokenizers import Tokenizer

    path = encoder.path / _FILE
    if not path.is_file():
        whole = load_tokenizer(encoder)(list(texts), truncation=False, padding=False, verbose=False)
        given = [whole["input_ids"], *([whole["token_type_ids"]] if segments else [])]
        return [list(row) for row in zip(*given, strict=True)]
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing more specific
        raise EncoderError(f"{path}: it does not load ({error}); save the tokenizer again") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [[encoded.ids, *([encoded.type_ids] if segments else [])] for encoded in tokenizer.encode_batch(list(texts))]


def _row(tokens: TokenizedTexts, row: int) -> tuple[bytes, bytes | None]:
    """Ids and segments of a row, which are compared as they are."""
    types = tokens.token_type_ids
    return tokens.input_ids[row].tobytes(), None if types is None else types[row].tobytes()
