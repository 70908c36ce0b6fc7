"""The encoder: a local folder or hub id with a sequence-classification head, checked before anything is built of it."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from driftgate.edges.escape import for_terminal
from driftgate.edges.spelling import option
from driftgate.errors import EncoderError, UnsafeFileError
from driftgate.inputs.encoder_labels import THRESHOLDS, read_labels, read_own_thresholds
from driftgate.inputs.encoder_scores import CROSS_ENCODER_CONFIG, read_score_type
from driftgate.inputs.hub.hub_encoder import download_encoder, snapshot_commit
from driftgate.inputs.model_folder import CONFIG, is_own_file
from driftgate.inputs.named_files import (
    POSITIONS_AFTER_PADDING,
    VOCABULARIES,
    find_tokenizer,
    has_tokenizer,
    read_json,
    read_max_tokens,
    require_own_files,
    require_types,
)


class ProblemType(StrEnum):
    """How logits become probabilities: softmax over labels, or a sigmoid for each label.

    Of a regression there are none: its one logit is the score.
    """

    SINGLE_LABEL = "single_label_classification"
    MULTI_LABEL = "multi_label_classification"
    REGRESSION = "regression"


@dataclass(frozen=True, slots=True)
class Encoder:
    """A source model that passed every check.

    Args:
        path: the folder that holds it.
        name: what reports call it: the folder's name or the hub id, what cannot be seen in it escaped.
        model_type: transformers' architecture name, such as "roberta".
        labels: label names in `id2label` order.
        problem_type: from the configuration, given, or inferred (then `problem_type_inferred`).
        max_tokens: where texts are cut, special tokens included: the longest input it takes, unless `limit_tokens` made it less.
        vocab_size: rows of the token embedding table.
        thresholds: decision threshold of each label, or None where the encoder ships none.
        sha256: digest over the names and contents of its files: weights, configuration, tokenizer, thresholds.
        attends_in_windows: in some layer a token attends only to those near it. Padding that is further from the text than
            that attends to nothing, and what torch computes for it depends on its attention kernel.
        revision: commit of the hub's repository that it was fetched from; None for a folder of the user's own.
        takes_pairs: it is asked about pairs of texts. No file says so: whoever names a column of second texts does.
    """

    path: Path
    name: str
    model_type: str
    labels: tuple[str, ...]
    problem_type: ProblemType
    problem_type_inferred: bool
    max_tokens: int
    vocab_size: int
    thresholds: tuple[float, ...] | None
    sha256: str
    allow_pickle: bool = False
    trust_remote_code: bool = False
    attends_in_windows: bool = False
    revision: str | None = None
    takes_pairs: bool = False

    @property
    def gives_score(self) -> bool:
        """Whether its one logit is its answer: it has no probabilities, no thresholds and no decisions."""
        return self.problem_type is ProblemType.REGRESSION

    @property
    def positions_skip_padding(self) -> bool:
        """Whether positions are counted over tokens that are not padding: padding in front moves none of them."""
        return self.model_type in POSITIONS_AFTER_PADDING

    @property
    def weights(self) -> tuple[Path, ...]:
        """The files that hold its weights."""
        return tuple(_find_weights(self.path, allow_pickle=self.allow_pickle))

    @property
    def tokenizer_files(self) -> tuple[Path, ...]:
        """The files that its tokenizer is made of."""
        return tuple(find_tokenizer(self.path))


def load_encoder(
    source: str | Path,
    *,
    problem_type: str | None = None,
    revision: str | None = None,
    allow_pickle: bool = False,
    trust_remote_code: bool = False,
    needs_weights: bool = True,
) -> Encoder:
    """Check the encoder at `source`, a local folder or a hub id; no weights are loaded yet.

    Args:
        needs_weights: False where an ONNX file answers: weights are neither looked for nor in the digest.

    Raises:
        EncoderError: nothing there, not an encoder, no classification head, labels that do not fit, a regression with
            several outputs.
        UnsafeFileError: only pickled weights and not `allow_pickle`; code of its own and not `trust_remote_code`; a file that
            lies outside its folder.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = download_encoder(str(source), revision, allow_pickle=allow_pickle)
    config = _read_config(folder)
    require_own_files(folder)
    _refuse_code(folder, config, trust_remote_code=trust_remote_code)
    weights = _find_weights(folder, allow_pickle=allow_pickle) if needs_weights else []
    _require_classification_head(folder, config)
    labels = read_labels(folder, config, weights)
    stated = problem_type or config.get("problem_type") or read_score_type(folder, config)
    resolved, inferred = _resolve_problem_type(folder, stated, labels)
    _require_tokenizer(folder)
    code = folder.glob("*.py") if trust_remote_code else ()
    return Encoder(
        path=folder,
        name=for_terminal(source if not Path(source).is_dir() else folder.resolve().name),
        model_type=config["model_type"],
        labels=labels,
        problem_type=resolved,
        problem_type_inferred=inferred,
        max_tokens=read_max_tokens(folder, config),
        vocab_size=int(config["vocab_size"]),
        thresholds=read_own_thresholds(folder, labels),
        sha256=_digest(folder, [*weights, *code, *_find_settings(folder, weights), *find_tokenizer(folder)]),
        allow_pickle=allow_pickle,
        trust_remote_code=trust_remote_code,
        attends_in_windows="local_attention" in config or "sliding_attention" in config.get("layer_types", ()),
        revision=snapshot_commit(folder),
    )


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not is_own_file(path, folder):
        found = ", ".join(sorted(item.name for item in folder.iterdir())[:8]) or "an empty folder"
        raise EncoderError(
            f"{folder}: expected an encoder in the Hugging Face layout (config.json, model.safetensors, "
            f"tokenizer.json), found {found}; save it with save_pretrained()"
        )
    config = read_json(path)
    require_types(path, config)
    if config.get("model_type") is None or config.get("vocab_size") is None:
        raise EncoderError(
            f"{path}: expected model_type and vocab_size, found {sorted(config)}; is it a transformers model?"
        )
    return config


def _refuse_code(folder: Path, config: dict[str, Any], *, trust_remote_code: bool) -> None:
    tokenizer_config = folder / "tokenizer_config.json"
    configs = [config, *([read_json(tokenizer_config)] if tokenizer_config.is_file() else [])]
    if any("auto_map" in entry for entry in configs) and not trust_remote_code:
        raise UnsafeFileError(
            f"{folder}: the model comes with code of its own (auto_map), which is not run unless you allow it; "
            f"read it, then pass {option('trust_remote_code', True)}"
        )


def _find_weights(folder: Path, *, allow_pickle: bool) -> list[Path]:
    safe = sorted(folder.glob("model*.safetensors"))
    if safe:
        return safe
    pickled = sorted(folder.glob("pytorch_model*.bin"))
    if pickled and not allow_pickle:
        raise UnsafeFileError(
            f"{pickled[0]}: expected model.safetensors, found pickled weights, which can run code when loaded; "
            f"convert them (save_pretrained writes safetensors) or pass {option('allow_pickle', True)}"
        )
    if not pickled:
        raise EncoderError(
            f"{folder}: expected weights in model.safetensors, found none; save them with save_pretrained(), or pass "
            f"{option('allow_pickle', True)} where a hub model has only pytorch_model.bin"
        )
    return pickled


def _require_classification_head(folder: Path, config: dict[str, Any]) -> None:
    architectures = config.get("architectures") or []
    if not any(name.endswith("ForSequenceClassification") for name in architectures):
        found = ", ".join(architectures) or "no architectures"
        raise EncoderError(
            f"{folder / 'config.json'}: expected an architecture ending in ForSequenceClassification, found {found}; "
            "driftgate judges text classifiers, fine-tune or choose a model with a classification head"
        )


def _resolve_problem_type(folder: Path, stated: Any, labels: tuple[str, ...]) -> tuple[ProblemType, bool]:
    if stated is not None and stated not in list(ProblemType):
        raise EncoderError(f"{folder}: problem_type {stated!r}; expected {' or '.join(ProblemType)}")
    if stated == ProblemType.REGRESSION and len(labels) > 1:
        raise EncoderError(
            f"{folder}: problem_type 'regression' with {len(labels)} outputs; expected one output, which is the score"
        )
    if stated is not None:
        return ProblemType(stated), False
    # As transformers' text-classification pipeline does with a head that says nothing: softmax over several labels, a
    # sigmoid for one.
    return (ProblemType.MULTI_LABEL if len(labels) == 1 else ProblemType.SINGLE_LABEL), True


def _require_tokenizer(folder: Path) -> None:
    if not has_tokenizer(folder):
        found = ", ".join(sorted(path.name for path in folder.iterdir())[:8])
        raise EncoderError(
            f"{folder}: expected tokenizer files (tokenizer.json), found none, nor {', '.join(VOCABULARIES[1:])}; "
            f"there is {found}; save the tokenizer beside the model, with its save_pretrained()"
        )


def _find_settings(folder: Path, weights: list[Path]) -> list[Path]:
    """What decides, beside weights and tokenizer, how the encoder answers: also which of several weight files has a tensor."""
    indexes = folder.glob("*.index.json") if weights else ()
    return [folder / CONFIG, folder / CROSS_ENCODER_CONFIG, folder / THRESHOLDS, *indexes]


def _digest(folder: Path, paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        if path.is_file():
            digest.update(f"{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
