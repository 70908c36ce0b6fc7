"""What sentence-transformers writes into the configuration of a cross-encoder: what becomes of its one logit."""

from pathlib import Path
from typing import Any

from driftgate.errors import EncoderError
from driftgate.inputs.model_folder import CONFIG, is_own_file
from driftgate.inputs.named_files import read_json

CROSS_ENCODER_CONFIG = "config_sentence_transformers.json"

_PROBLEM_TYPES = {"Identity": "regression", "Sigmoid": "multi_label_classification"}


def read_score_type(folder: Path, config: dict[str, Any]) -> str | None:
    """The problem type that the activation of a cross-encoder with one output means; None where no activation is named.

    The name is looked up in a table. sentence-transformers imports what is named there; nothing is imported here.

    Raises:
        EncoderError: another activation than the identity and the sigmoid.
    """
    if (len(config.get("id2label") or ()) or int(config.get("num_labels", 2))) != 1:
        return None
    path, named = _find_activation(folder, config)
    if named is None:
        return None
    found = _PROBLEM_TYPES.get(str(named).rpartition(".")[2]) if str(named).startswith("torch.nn.") else None
    if found is None:
        raise EncoderError(
            f"{path}: the activation of the cross-encoder is {str(named)!r}; expected torch's Identity or Sigmoid"
        )
    return found


def _find_activation(folder: Path, config: dict[str, Any]) -> tuple[Path, Any]:
    """Where sentence-transformers has written it: from version 5.4 on in a file of its own, from 4, and before."""
    path = folder / CROSS_ENCODER_CONFIG
    own = read_json(path) if is_own_file(path, folder) else {}
    if own.get("model_type") == "CrossEncoder" and own.get("activation_fn"):
        return path, own["activation_fn"]
    section = config.get("sentence_transformers")
    named = section.get("activation_fn") if isinstance(section, dict) else None
    return folder / CONFIG, named or config.get("sbert_ce_default_activation_function")
