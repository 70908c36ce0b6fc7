"""The tokenizer's files as clients need them: they cut at the encoder's limit and pad to the longest of a batch."""

import json
import shutil
from pathlib import Path
from typing import Any

from driftgate.files import parse_json
from driftgate.inputs.encoder import Encoder
from driftgate.inputs.tokens import load_tokenizer

_NAME = "tokenizer.json"


def write_tokenizer(encoder: Encoder, folder: Path) -> None:
    """Copy the tokenizer's files, with the encoder's limit in both configurations and padding in `tokenizer.json`.

    The bare `tokenizers` library does what `tokenizer.json` says: without padding a batch is ragged, without truncation
    a long text has more tokens than the model has positions. transformers goes by `tokenizer_config.json`, and cuts
    nothing, even where asked to, if that states no limit. An encoder that ships only a vocabulary gets the
    `tokenizer.json` that transformers converts it to.
    """
    for path in encoder.tokenizer_files:
        shutil.copy2(path, folder)
    _state_limit(folder / "tokenizer_config.json", encoder.max_tokens)
    target = folder / _NAME
    content = parse_json(target.read_text(encoding="utf-8")) if target.is_file() else _convert(encoder)
    if content is None:
        return
    told = {**content, "truncation": _truncation(content, encoder), "padding": _padding(content, encoder)}
    if told != content or not target.is_file():
        target.write_text(json.dumps(told, ensure_ascii=False, indent=2), encoding="utf-8")


def _state_limit(path: Path, max_tokens: int) -> None:
    content = parse_json(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if content.get("model_max_length") != max_tokens:
        told = {**content, "model_max_length": max_tokens}
        path.write_text(json.dumps(told, ensure_ascii=False, indent=2), encoding="utf-8")


def _convert(encoder: Encoder) -> dict[str, Any] | None:
    """The fast tokenizer that transformers makes of a vocabulary; None for a family without one."""
    backend = getattr(load_tokenizer(encoder), "backend_tokenizer", None)
    if backend is None:
        return None
    return {**json.loads(backend.to_str()), "truncation": None, "padding": None}  # not what its last call set


def _truncation(content: dict[str, Any], encoder: Encoder) -> dict[str, Any]:
    usual = {"direction": "Right", "strategy": "LongestFirst", "stride": 0}
    return {**usual, **(content.get("truncation") or {}), "max_length": encoder.max_tokens}


def _padding(content: dict[str, Any], encoder: Encoder) -> dict[str, Any]:
    given = content.get("padding")
    if given is None:
        tokenizer = load_tokenizer(encoder)
        given = {
            "direction": tokenizer.padding_side.capitalize(),
            "pad_to_multiple_of": None,
            "pad_id": tokenizer.pad_token_id,
            "pad_type_id": tokenizer.pad_token_type_id,
            "pad_token": tokenizer.pad_token,
        }
    return {**given, "strategy": "BatchLongest"}
