"""An encoder's tokenizer without transformers, which takes seconds to import: what it had loaded, kept in the cache.

`tokenizer.json` alone does not say what transformers makes of it. Classes rewrite its normalizer or its template from
`tokenizer_config.json`, differently from release to release. So the first job with an encoder asks transformers, writes down the
tokenizer that it loaded (the tokenizers library's own serialization) and checks that the copy gives the same ids; later jobs load
the copy with the tokenizers library alone. Tokenizers written in Python are not recorded: transformers loads them each time.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

from driftgate.edges.cache_folder import cache_folder
from driftgate.files import parse_json, write_whole
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.model_folder import CONFIG
from driftgate.inputs.texts import Text
from driftgate.inputs.tokens import load_tokenizer

_SCHEMA = 1
_FOLDER = "tokenizers"

_PROBES: tuple[str, ...] = (
    "Thanks, that made my day!",
    " two  spaces\tand\na line \r\n end ",
    "Ünïcödé naïve ÀÉ \ufb01 \u017f \u0130\u0131 ß",
    "日本語のテキスト 한국어 العربية עברית ไทย",
    "👩‍👩‍👧‍👦 🏳️‍🌈 \u200b\u200d\ufeff \u0301\u0300",
    "\x00\x07\x1b[0m \ue000 \U0010ffff",
    "[CLS] [SEP] <s> </s> <mask> [MASK] <pad> [UNK] <unk> <|endoftext|>",
    "http://example.org/a?b=c&d=%20 @user #tag 1,234.5e-6 don't I'M",
    "a" * 100,
    "word " * 60,
)
"""Texts on which a record must answer as transformers does, besides pairs of them."""
_PROBE_LIMIT = 12


@dataclass(frozen=True, slots=True, eq=False)
class RecordedTokenizer:
    """Answers as the transformers tokenizer that it was recorded from, as far as `driftgate.inputs.tokens` asks.

    Args:
        backend: `tokenizers.Tokenizer`. What follows is what transformers adds to its state.
        segments: whether the model takes token_type_ids.
        splits_special_tokens: whether a special token's spelling in a text is taken as text.
    """

    backend: Any
    pad_token_id: int
    pad_token_type_id: int
    padding_side: str
    truncation_side: str
    segments: bool
    splits_special_tokens: bool

    def __post_init__(self) -> None:
        self.backend.no_padding()
        self.backend.encode_special_tokens = self.splits_special_tokens

    def __call__(
        self,
        texts: Sequence[Text],
        *,
        truncation: bool = False,
        max_length: int = 0,
        **_usual: Any,
    ) -> Mapping[str, list[list[int]]]:
        """Token ids, and segments where the model takes them; special tokens added, nothing padded."""
        if truncation:
            self.backend.enable_truncation(
                max_length, stride=0, strategy="longest_first", direction=self.truncation_side
            )
        else:
            self.backend.no_truncation()
        encoded = self.backend.encode_batch_fast(list(texts), add_special_tokens=True)
        found = {"input_ids": [one.ids for one in encoded]}
        if self.segments:
            found["token_type_ids"] = [one.type_ids for one in encoded]
        return found

    def num_special_tokens_to_add(self, *, pair: bool) -> int:
        """As transformers has it."""
        return int(self.backend.num_special_tokens_to_add(pair))


def open_tokenizer(encoder: Encoder) -> Any:
    """The encoder's tokenizer: its record where there is one, else transformers', recorded for the next time if it can be.

    Raises:
        EncoderError, UnsafeFileError: see `load_tokenizer`.
    """
    path = _record_path(encoder)
    recorded = _read(path) if path else None
    if recorded is not None:
        return recorded
    loaded = load_tokenizer(encoder)
    if path is not None:
        _record(loaded, path)
    return loaded


def _record_path(encoder: Encoder) -> Path | None:
    """Where the record is or would be; None for a tokenizer with code of its own."""
    if encoder.trust_remote_code:
        return None
    files = tuple((str(path), path.stat().st_mtime_ns) for path in (*encoder.tokenizer_files, encoder.path / CONFIG))
    return cache_folder() / _FOLDER / f"{_digest(files)}.json"


@lru_cache(maxsize=16)
def _digest(files: tuple[tuple[str, int], ...]) -> str:
    """Of the files' names and contents, and of the libraries; times tell whether to read them again."""
    versions = [_SCHEMA, version("transformers"), version("tokenizers")]
    digest = hashlib.sha256(json.dumps(versions).encode())
    for name, _ in files:
        digest.update(f"{Path(name).name}\0".encode())
        digest.update(hashlib.sha256(Path(name).read_bytes()).digest())
    return digest.hexdigest()[:32]


@lru_cache(maxsize=4)
def _read(path: Path) -> RecordedTokenizer | None:
    """The record at `path`; None where there is none, or one that was damaged."""
    from tokenizers import Tokenizer

    try:
        content = parse_json(path.read_text(encoding="utf-8"))
        state = content["tokenizer"]
        if hashlib.sha256(state.encode()).hexdigest() != content["sha256"]:
            return None
        return RecordedTokenizer(Tokenizer.from_str(state), **content["facts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _record(loaded: Any, path: Path) -> None:
    """Write the record, if a copy loaded from it answers alike; a cache that cannot be written is done without."""
    state = _state(loaded)
    if state is None:
        return
    from tokenizers import Tokenizer

    facts = {
        "pad_token_id": loaded.pad_token_id,
        "pad_token_type_id": loaded.pad_token_type_id,
        "padding_side": loaded.padding_side,
        "truncation_side": loaded.truncation_side,
        "segments": "token_type_ids" in loaded.model_input_names,
        "splits_special_tokens": bool(loaded.split_special_tokens),
    }
    if not answers_alike(loaded, RecordedTokenizer(Tokenizer.from_str(state), **facts)):
        return
    record = {"sha256": hashlib.sha256(state.encode()).hexdigest(), "facts": facts, "tokenizer": state}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(record))
    except OSError:
        return
    _read.cache_clear()


def _state(loaded: Any) -> str | None:
    """The tokenizers library's serialization; None for a tokenizer written in Python."""
    backend = getattr(loaded, "backend_tokenizer", None)
    if backend is None or not getattr(loaded, "is_fast", False):
        return None
    state = json.loads(backend.to_str())  # what it was last told to cut and to pad is no part of it
    return json.dumps({**state, "truncation": None, "padding": None}, ensure_ascii=False)


def answers_alike(one: Any, other: Any) -> bool:
    """Whether two tokenizers give the same ids and segments on hostile texts and pairs of them, whole and cut."""
    probes: tuple[Sequence[Text], ...] = (_PROBES, list(pairwise(_PROBES)))
    ways: tuple[dict[str, Any], ...] = ({"truncation": False}, {"truncation": True, "max_length": _PROBE_LIMIT})
    return all(
        _answer(one, texts, options) == _answer(other, texts, options) for texts in probes for options in ways
    ) and all(
        one.num_special_tokens_to_add(pair=pair) == other.num_special_tokens_to_add(pair=pair) for pair in (False, True)
    )


def _answer(tokenizer: Any, texts: Sequence[Text], options: Mapping[str, Any]) -> Any:
    """Its ids and segments, or that it cannot."""
    try:
        answer = tokenizer(list(texts), padding=False, verbose=False, **options)
    except Exception as error:  # noqa: BLE001 - a template that takes no pairs, for one
        return type(error).__name__
    return [[list(ids) for ids in answer[name]] for name in ("input_ids", "token_type_ids") if name in answer]
