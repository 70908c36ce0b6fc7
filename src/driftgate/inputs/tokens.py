"""Texts to token ids, once per corpus."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np

from driftgate.arrays import IntArray
from driftgate.errors import CorpusError, EncoderError
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.named_files import name_tokenizer_files
from driftgate.inputs.texts import Text, has_lone_surrogate, name_rows, parts_of

# Truncation is state of the tokenizer: in another thread's call it would raise "Already borrowed", or cut its texts
# (tokenizers #537). Threads lose little, since a call uses every core itself.
_ONE_AT_A_TIME = Lock()


@dataclass(frozen=True, slots=True, eq=False)
class TokenizedTexts:
    """Token ids of each text, special tokens included, truncated at the encoder's limit, unpadded.

    Args:
        input_ids: one int64 array, (tokens,), for each row.
        token_type_ids: likewise, or None for models without segments.
        truncated: bool, (rows,): the text, or the texts of a pair together, were longer than the limit.
        pad_token_id: id that fills a batch up.
        pad_token_type_id: segment id that fills a batch up.
        padding_side: "right" or "left", the tokenizer's own.
    """

    input_ids: tuple[IntArray, ...]
    token_type_ids: tuple[IntArray, ...] | None
    truncated: tuple[bool, ...]
    pad_token_id: int
    pad_token_type_id: int = 0
    padding_side: str = "right"

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def lengths(self) -> IntArray:
        """Tokens of each row, int64, (rows,)."""
        return np.array([len(ids) for ids in self.input_ids], dtype=np.int64)

    def take(self, rows: Sequence[int]) -> "TokenizedTexts":
        """The given rows, in the order given."""
        types = self.token_type_ids
        return replace(
            self,
            input_ids=tuple(self.input_ids[row] for row in rows),
            token_type_ids=None if types is None else tuple(types[row] for row in rows),
            truncated=tuple(self.truncated[row] for row in rows),
        )


def tokenize(encoder: Encoder, texts: Sequence[Text], tokenizer: Any = None) -> TokenizedTexts:
    """Tokenize as the encoder's own tokenizer does, truncating at `encoder.max_tokens`.

    A pair gets the special tokens and segments of the tokenizer's own template. Of one that is too long, the longer text is cut
    first ("longest_first", which transformers does unless told otherwise), at the end that the tokenizer cuts.

    Args:
        tokenizer: what answers, see `recorded_tokenizer.open_tokenizer`; None for transformers' own.

    Raises:
        CorpusError: lone surrogates, with the rows. The tokenizers library fails on them without saying which text it was.
    """
    _refuse_lone_surrogates(texts)
    if tokenizer is None:
        tokenizer = load_tokenizer(encoder)
    with _ONE_AT_A_TIME:
        encoded = tokenizer(list(texts), add_special_tokens=True, truncation=False, padding=False, verbose=False)
        long_rows = [row for row, ids in enumerate(encoded["input_ids"]) if len(ids) > encoder.max_tokens]
        long_texts = [texts[row] for row in long_rows]
        cut = tokenizer(long_texts, truncation=True, max_length=encoder.max_tokens, padding=False) if long_rows else {}
    found = {}
    for name in {"input_ids", "token_type_ids"} & encoded.keys():
        kept = list(encoded[name])
        for row, ids in zip(long_rows, cut.get(name, ()), strict=True):
            kept[row] = ids
        found[name] = tuple(np.asarray(ids, dtype=np.int64) for ids in kept)
    too_long = set(long_rows)
    return TokenizedTexts(
        found["input_ids"],
        found.get("token_type_ids"),
        tuple(row in too_long for row in range(len(texts))),
        tokenizer.pad_token_id,
        tokenizer.pad_token_type_id,
        tokenizer.padding_side,
    )


def _refuse_lone_surrogates(texts: Sequence[Text]) -> None:
    bad = [str(row) for row, text in enumerate(texts) if any(map(has_lone_surrogate, parts_of(text)))]
    if bad:
        raise CorpusError(
            f"{len(bad)} of {len(texts)} texts have a lone surrogate, which no encoding can carry: rows {name_rows(bad)}, "
            "counted from 0; correct or remove them"
        )


def tokenize_alike(one: Encoder, other: Encoder) -> bool:
    """Whether two encoders' tokenizers are the same function, whatever they were last told to pad or truncate."""
    described = []
    for encoder in (one, other):
        tokenizer = load_tokenizer(encoder)
        backend = getattr(tokenizer, "backend_tokenizer", None)
        content = json.loads(backend.to_str()) if backend else {"vocabulary": tokenizer.get_vocab()}
        described.append({**content, "truncation": None, "padding": None, "pad": tokenizer.pad_token_id})
    return described[0] == described[1]


def load_tokenizer(encoder: Encoder) -> Any:
    """The encoder's transformers tokenizer; loaded once, whatever it is asked about and wherever texts are cut.

    Raises:
        EncoderError: it does not load, or has no padding token. UnsafeFileError: see `name_tokenizer_files`.
    """
    return _load_tokenizer(replace(encoder, max_tokens=0, takes_pairs=False))


def forget_tokenizers() -> None:
    """Load each again when it is next asked for: what was loaded keeps the limit of its last call."""
    _load_tokenizer.cache_clear()


@lru_cache(maxsize=4)
def _load_tokenizer(encoder: Encoder) -> Any:
    from transformers import AutoTokenizer

    named = {argument: str(path) for argument, path in name_tokenizer_files(encoder.path).items()}
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            encoder.path, trust_remote_code=encoder.trust_remote_code, local_files_only=True, **named
        )
    except Exception as error:  # tokenizers raises a bare Exception for a damaged file
        raise EncoderError(
            f"{encoder.path}: its tokenizer does not load ({error}); save it again beside the model"
        ) from error
    if tokenizer.pad_token_id is None:
        raise EncoderError(
            f"{encoder.path}: its tokenizer has no padding token, so texts cannot share a batch; give it one"
        )
    return tokenizer
