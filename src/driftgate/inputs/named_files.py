"""Files that the configurations of an encoder name: transformers opens many of them, wherever on the machine they are.

What transformers opens was read in its source and tried out, in 4.57.6 and 5.23.0. Weights that PEFT would load from elsewhere,
because of an adapter_config.json, are not looked for: driftgate does not install PEFT.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

from driftgate.errors import EncoderError, UnsafeFileError
from driftgate.files import parse_json
from driftgate.inputs.model_folder import CONFIG, is_own_file, own_files

VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model", "spm.model")
"""Files that a tokenizer's vocabulary is in, alone or with the rest of it."""
_TOKENIZER_FILES = (
    *VOCABULARIES, "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"
)  # fmt: skip
# What the classes of transformers read besides: tokenizer.model, bpe.codes, source.spm and so on. Listed by kind, since every
# family has names of its own.
_OTHER_VOCABULARIES = ("[!.]*.model", "[!.]*.spm", "[!.]*.codes", "[!.]*.bpe", "[!.]*.vocab")

_USUAL_POSITIONS = 512
MOST_BYTES = 1 << 30
"""Configurations and tokenizers are read as a whole; the largest ones known have some 40 MB."""

_CHAT_TEMPLATES = "additional_chat_templates"  # the only folder below an encoder's that transformers looks into

# Every key of these two becomes an argument of the tokenizer's class, and the class opens what these arguments name: all of
# them in 4.57; in 5 `vocab`, `merges`, and whatever special_tokens_map.json has.
_TOKENIZER_CONFIG = "tokenizer_config.json"
_TOKENIZER_CONFIGS = (_TOKENIZER_CONFIG, "special_tokens_map.json")
_NAMES_A_FILE = re.compile("[a-z_]+_(file|spm)|vocab|merges")
# Opened as seen from the encoder's folder, unlike those above.
_NAMES_FILES_BESIDE_IT = ("fast_tokenizer_files", "gguf_file")
# Neither release opens these. Older releases saved paths of the author's machine in them: refusing those would refuse good
# encoders of the hub.
_LEFT_OVER = frozenset(
    {
        "added_tokens_file",
        "chat_template_file",
        "full_tokenizer_file",
        "special_tokens_map_file",
        "tokenizer_config_file",
    }
)


def require_own_files(folder: Path) -> None:
    """Refuse an encoder's folder from which transformers would read what lies elsewhere.

    Every file counts that is not hidden, because the classes of transformers choose what they read, and so does every file
    that a configuration names.

    Raises:
        UnsafeFileError: names the first such file, or the key that names one, or a file that is too large to be what it
            is called.
        EncoderError: a configuration is no JSON object.
    """
    own_files(folder, "[!.]*", f"{_CHAT_TEMPLATES}/*")
    for path in own_files(folder, CONFIG):
        _check_names(path, "transformers_weights", read_json(path).get("transformers_weights"))
    for path in own_files(folder, "*.safetensors.index.json", "*.bin.index.json"):
        shards = read_json(path).get("weight_map")
        _check_names(path, "weight_map", list(shards.values()) if isinstance(shards, dict) else None)
    for path in own_files(folder, *_TOKENIZER_CONFIGS):
        for key in _NAMES_FILES_BESIDE_IT:
            _check_names(path, key, read_json(path).get(key))
    name_tokenizer_files(folder)
    for path in find_tokenizer(folder):
        _require_readable(path)


def find_tokenizer(folder: Path) -> list[Path]:
    """The files that its tokenizer is loaded from: of the usual names and kinds, and those that its configurations name."""
    usual = [folder / name for name in _TOKENIZER_FILES if (folder / name).is_file()]
    others = own_files(folder, *_OTHER_VOCABULARIES)
    return list(dict.fromkeys([*usual, *others, *name_tokenizer_files(folder).values()]))


def has_tokenizer(folder: Path) -> bool:
    """Whether a tokenizer's vocabulary is there, in a file of its own or with the rest.

    Raises:
        UnsafeFileError: it leads out of the folder.
    """
    return any(is_own_file(folder / name, folder) for name in VOCABULARIES)


def name_tokenizer_files(folder: Path) -> dict[str, Path]:
    """The files that the tokenizer's configurations name, by the argument of transformers' tokenizers that takes them.

    They have to be given to transformers as arguments: 4.57 opens a name as seen from the current folder, not from this one.

    Raises:
        UnsafeFileError: a key names anything but a file in the folder. EncoderError: a configuration is no JSON object.
    """
    found = {}
    for path in own_files(folder, *_TOKENIZER_CONFIGS):
        content = read_json(path)
        ignored = {*_LEFT_OVER, *_NAMES_FILES_BESIDE_IT}
        is_fast = (folder / "tokenizer.json").exists() or "fast_tokenizer_files" in content
        if path.name == _TOKENIZER_CONFIG and not is_fast:
            ignored.add("tokenizer_file")  # left over as well: both releases drop it there
        for key, name in content.items():
            if _NAMES_A_FILE.fullmatch(key) and key not in ignored and isinstance(name, str) and name:
                if not _is_beside(path, key, name):
                    raise _refusal(path, key, name)
                found[key] = folder / name
    return found


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        EncoderError: it is something else. UnsafeFileError: it is too large to be read.
    """
    _require_readable(path)
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EncoderError(f"{path}: not valid JSON ({error}); restore the file") from error
    if not isinstance(content, dict):
        raise EncoderError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def _require_readable(path: Path) -> None:
    if (size := path.stat().st_size) > MOST_BYTES:
        raise UnsafeFileError(
            f"{path}: expected a configuration or a vocabulary, found {size:,} bytes, and all would be read; the limit is "
            f"{MOST_BYTES:,} bytes. Fetch the file again, or take it out of the encoder's folder"
        )


def _check_names(path: Path, key: str, names: Any) -> None:
    """Refuse names, one or a list of them, that lead out of the folder; those of files that are not there are fine."""
    for name in names if isinstance(names, list) else [names]:
        if isinstance(name, str):
            _is_beside(path, key, name)


def _is_beside(path: Path, key: str, name: str) -> bool:
    """Whether a file of that name is beside the configuration `path`, whose `key` names it."""
    if Path(name).name != name:
        raise _refusal(path, key, name)
    return is_own_file(path.parent / name, path.parent)


def _refusal(path: Path, key: str, name: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"{path}: {key} is {name!r}, and transformers would read that file; expected the name of a file in the same folder. "
        "Remove the key, or put the file into the folder and write its name without a path"
    )


# Families whose position ids start after the padding id: max_position_embeddings counts two rows nobody may use.
POSITIONS_AFTER_PADDING = frozenset(
    {
        "roberta",
        "xlm-roberta",
        "xlm-roberta-xl",
        "camembert",
        "mpnet",
        "longformer",
        "data2vec-text",
        "roberta-prelayernorm",
        "ibert",
        "xmod",
        "luke",
        "lilt",
        "markuplm",
        "esm",
    }
)


_READ_AS: Mapping[str, type | UnionType] = {
    "model_type": str, "architectures": list, "layer_types": list, "vocab_size": int, "num_labels": int,
    "max_position_embeddings": int, "pad_token_id": int, "model_max_length": int | float,
}  # fmt: skip


def require_types(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse a configuration in which one of the entries that driftgate itself reads is of another type.

    Raises:
        EncoderError: names the first such entry.
    """
    for key, expected in _READ_AS.items():
        value: Any = content.get(key)
        wrong = isinstance(value, bool) or not isinstance(value, expected)
        wrong = wrong or (expected is list and not all(isinstance(name, str) for name in value))
        if value is not None and (wrong or value != value):  # noqa: PLR0124 - NaN, which JSON may say
            name = "names" if expected is list else getattr(expected, "__name__", "number")
            raise EncoderError(f"{path}: {key} is {value!r:.60}; expected {name}; restore the file")


def read_max_tokens(folder: Path, config: dict[str, Any] | None = None) -> int:
    """The longest input that the encoder in `folder` takes, special tokens included.

    Args:
        config: of config.json, where it is read already.
    """
    config = config or read_json(folder / CONFIG)
    positions = int(config.get("max_position_embeddings") or _USUAL_POSITIONS)
    if config["model_type"] in POSITIONS_AFTER_PADDING:
        padding = config.get("pad_token_id")
        positions -= (1 if padding is None else int(padding)) + 1
    path = folder / _TOKENIZER_CONFIG
    tokenizer_config = read_json(path) if path.is_file() else {}
    require_types(path, tokenizer_config)
    stated = tokenizer_config.get("model_max_length")
    return int(min(positions, stated)) if stated else positions
