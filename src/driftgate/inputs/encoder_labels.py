"""Labels of an encoder, checked against its head, and the decision thresholds that come with it."""

import json
from pathlib import Path
from typing import Any

from driftgate.errors import EncoderError
from driftgate.inputs.named_files import read_json

THRESHOLDS = "thresholds.json"

_HEADS = ("classifier.out_proj.weight", "classifier.weight", "score.weight")


def read_labels(folder: Path, config: dict[str, Any], weights: list[Path]) -> tuple[str, ...]:
    """Label names in `id2label` order, as many as the head has outputs.

    Raises:
        EncoderError: labels that are not numbered from 0, not distinct, or not as many as the outputs.
    """
    id2label = config.get("id2label") or {str(index): f"LABEL_{index}" for index in range(config.get("num_labels", 2))}
    if not isinstance(id2label, dict) or set(id2label) != {str(index) for index in range(len(id2label))}:
        raise EncoderError(
            f'{folder / "config.json"}: id2label should number its labels from 0, as in {{"0": "joy", "1": "anger"}}, '
            f"found {json.dumps(id2label)[:100]}"
        )
    labels = tuple(str(id2label[str(index)]) for index in range(len(id2label)))
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated:
        raise EncoderError(
            f"{folder / 'config.json'}: id2label names a label twice: {', '.join(map(repr, repeated))}; "
            "each label needs a different name"
        )
    head_rows = _head_rows(weights)
    if head_rows is not None and head_rows != len(labels):
        raise EncoderError(
            f"{folder}: id2label has {len(labels)} labels, the classification head has {head_rows} outputs; "
            "correct config.json or the weights"
        )
    return labels


def _head_rows(weights: list[Path]) -> int | None:
    """Outputs of the classification head, or None where its tensor has another name or is pickled."""
    from safetensors import SafetensorError, safe_open

    for path in weights:
        if path.suffix != ".safetensors":
            continue
        try:
            with safe_open(path, framework="numpy") as tensors:
                for name in _HEADS:
                    if name in tensors.keys():  # noqa: SIM118 - not a mapping
                        return int(tensors.get_slice(name).get_shape()[0])
        except SafetensorError as error:
            raise EncoderError(f"{path}: not a complete safetensors file ({error}); fetch it again") from error
    return None


def read_own_thresholds(folder: Path, labels: tuple[str, ...]) -> tuple[float, ...] | None:
    """The thresholds in `thresholds.json`, in the order of the labels; None without such a file.

    Raises:
        EncoderError: they are not one probability for each label.
    """
    path = folder / THRESHOLDS
    if not path.is_file():
        return None
    thresholds = read_json(path).get("thresholds")
    if not isinstance(thresholds, dict) or set(thresholds) != set(labels):
        raise EncoderError(
            f'{path}: expected {{"thresholds": {{label: number}}}} for exactly the labels of config.json'
        )
    for label, value in thresholds.items():
        if not isinstance(value, float) or not 0 < value < 1:
            raise EncoderError(
                f"{path}: the threshold of {label!r} is {value!r}; "
                "expected a probability between 0 and 1, both excluded"
            )
    return tuple(thresholds[label] for label in labels)
