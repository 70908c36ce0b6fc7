"""Reading the files around a model: configuration, tokenizer, weights."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from driftgate.doctor.model_facts import Source
from driftgate.errors import EncoderError, UnsafeFileError
from driftgate.files import parse_json
from driftgate.inputs.encoder_scores import read_score_type
from driftgate.inputs.model_folder import CONFIG, is_own_file, own_files

_TOKENIZERS = (
    "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "spm.model"
)  # fmt: skip
_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}


def read_source(folder: Path, refused: str | None) -> Source:
    """The files in `folder`.

    Args:
        refused: why driftgate cannot use the encoder.
    """
    try:
        return _read_files(folder, refused)
    except UnsafeFileError as error:
        return Source(str(folder), False, None, None, None, (), {}, (), (), refused or str(error))


def _read_files(folder: Path, refused: str | None) -> Source:
    config, config_error = _read_config(folder / CONFIG)
    weights, non_finite, broken = _read_weights(folder)
    named = config.get("id2label")
    return Source(
        folder=str(folder),
        has_config=is_own_file(folder / CONFIG, folder),
        config_error=config_error,
        problem_type=_read_problem_type(folder, config),
        labels=tuple(map(str, named.values())) if isinstance(named, dict) and named else None,
        tokenizer=tuple(name for name in _TOKENIZERS if is_own_file(folder / name, folder)),
        weights=weights,
        pickled=tuple(path.name for path in own_files(folder, "pytorch_model*.bin")),
        non_finite=non_finite,
        refused=refused or broken,
    )


def _read_problem_type(folder: Path, config: dict[str, Any]) -> str | None:
    """As config.json says it, or a cross-encoder's activation; an activation that is refused is for loading to say."""
    if config.get("problem_type") is not None:
        return str(config["problem_type"])
    try:
        return read_score_type(folder, config)
    except EncoderError:
        return None


def _read_config(path: Path) -> tuple[dict[str, Any], str | None]:
    if not is_own_file(path, path.parent):
        return {}, None
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        return {}, str(error)
    return (content, None) if isinstance(content, dict) else ({}, f"a JSON {type(content).__name__}, not an object")


def _read_weights(folder: Path) -> tuple[dict[str, int], tuple[str, ...], str | None]:
    """Bytes by type, names of tensors with NaN or infinity, and what is wrong with a file."""
    from safetensors import SafetensorError

    sizes: Counter[str] = Counter()
    non_finite: list[str] = []
    for path in own_files(folder, "model*.safetensors"):
        try:
            for name, kind, content in _tensors(path):
                sizes[kind] += len(content)
                if not _is_finite(kind, content):
                    non_finite.append(name)
        except (SafetensorError, OSError) as error:
            return dict(sizes), tuple(non_finite), f"{path}: not a complete safetensors file ({error}); fetch it again"
    return dict(sorted(sizes.items())), tuple(non_finite), None


def _tensors(path: Path) -> Iterator[tuple[str, str, NDArray[np.uint8]]]:
    """Name, type and bytes of each tensor, as they lie in the file: NumPy has no bfloat16 to read them into."""
    from safetensors import safe_open

    with safe_open(path, framework="np"):  # checks that the header fits the file
        pass
    content: NDArray[np.uint8] = np.memmap(path, np.uint8, "r")
    start = 8 + int.from_bytes(content[:8].tobytes(), "little")
    for name, entry in parse_json(content[8:start].tobytes()).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            yield name, str(entry["dtype"]), content[start + first : start + last]


def _is_finite(kind: str, content: NDArray[np.uint8]) -> bool:
    if kind == "BF16":  # all bits of the exponent, as in float32
        return not ((content.view("<u2") & 0x7F80) == 0x7F80).any()  # noqa: PLR2004 - bfloat16's exponent
    return kind not in _FLOATS or bool(np.isfinite(content.view(_FLOATS[kind])).all())
