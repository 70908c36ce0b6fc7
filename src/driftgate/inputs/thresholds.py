"""Decision thresholds that a user gives: one number for all labels, or a JSON file with one for each."""

import json
from pathlib import Path
from typing import Any

from driftgate.edges.spelling import option
from driftgate.errors import OptionError
from driftgate.inputs.encoder import Encoder, ProblemType


def read_thresholds(given: str, encoder: Encoder) -> tuple[float, ...]:
    """A threshold for each label, in the encoder's order.

    Args:
        given: a probability such as "0.3", or a JSON file: a list in label order, `{label: threshold}`, or that under
            "thresholds", as in `thresholds.json`.

    Raises:
        OptionError: neither, labels that are not the encoder's, values that are not between 0 and 1, or an encoder of one
            answer a text, which takes no thresholds.
    """
    if encoder.problem_type is ProblemType.SINGLE_LABEL:
        raise OptionError(
            f"{option('thresholds')} {given}: {encoder.name} gives each text its most probable label, and no threshold changes "
            "that"
        )
    try:
        values: Any = (float(given),) * len(encoder.labels)
    except ValueError:
        values = _read_file(Path(given), encoder.labels)
    for label, value in zip(encoder.labels, values, strict=True):
        if isinstance(value, bool) or not isinstance(value, float | int) or not 0 <= value <= 1:
            raise OptionError(
                f"{option('thresholds')} {given}: the threshold of {label!r} is {value!r}; expected a probability from 0 to 1"
            )
    return tuple(float(value) for value in values)


def _read_file(path: Path, labels: tuple[str, ...]) -> list[Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(
            f"{option('thresholds')} {path}: expected a probability from 0 to 1 or a JSON file ({error.strerror})"
        ) from error
    except ValueError as error:
        raise OptionError(f"{option('thresholds')} {path}: not valid JSON ({error})") from error
    if isinstance(content, dict) and isinstance(content.get("thresholds"), dict) and "thresholds" not in labels:
        content = content["thresholds"]
    if isinstance(content, list) and len(content) == len(labels):
        return content
    if isinstance(content, dict) and set(content) == set(labels):
        return [content[label] for label in labels]
    found = f"{len(content)} values" if isinstance(content, list) else type(content).__name__
    if isinstance(content, dict):
        missing = [label for label in labels if label not in content]
        unknown = [label for label in content if label not in labels]
        found = (
            f"unknown labels: {', '.join(unknown[:5]) or 'none'}; without threshold: {', '.join(missing[:5]) or 'none'}"
        )
    raise OptionError(
        f"{option('thresholds')} {path}: expected a threshold for each of the encoder's {len(labels)} labels "
        f"({', '.join(labels[:5])}{', ...' if len(labels) > 5 else ''}), found {found}"
    )
