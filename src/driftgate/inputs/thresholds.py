"""What a user sets on an encoder: decision thresholds, and a limit of tokens below its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from driftgate.edges.limits import MAX_TOKENS
from driftgate.edges.spelling import option
from driftgate.errors import OptionError
from driftgate.files import parse_json
from driftgate.inputs.encoder import Encoder, ProblemType
from driftgate.inputs.named_files import read_max_tokens
from driftgate.inputs.recorded_tokenizer import open_tokenizer


def read_thresholds(given: str, encoder: Encoder) -> tuple[float, ...]:
    """A threshold for each label, in the encoder's order.

    Args:
        given: a probability such as "0.3", or a JSON file: a list in label order, `{label: threshold}`, or that under
            "thresholds", as in `thresholds.json`.

    Raises:
        OptionError: neither, labels that are not the encoder's, values that are not between 0 and 1, or an encoder of one
            answer a text, which takes no thresholds.
    """
    if encoder.gives_score:
        raise OptionError(f"{option('thresholds')} {given}: {encoder.name} gives a score, which takes no threshold")
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
        content = parse_json(path.read_text(encoding="utf-8"))
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
        lacking = ", ".join(missing[:5]) or "none"
        found = f"unknown labels: {', '.join(unknown[:5]) or 'none'}; labels without a threshold: {lacking}"
    raise OptionError(
        f"{option('thresholds')} {path}: expected a threshold for each of the encoder's {len(labels)} labels "
        f"({', '.join(labels[:5])}{', ...' if len(labels) > 5 else ''}), found {found}"  # noqa: PLR2004 - as many as are named
    )


def require_labels(encoder: Encoder, name: str, value: object) -> None:
    """Refuse an option, where it is given, that means nothing for scores.

    Raises:
        OptionError: the encoder gives a score.
    """
    if value and encoder.gives_score:
        raise OptionError(
            f"{option(name, value)}: expected an encoder of labels, found {encoder.name}, which gives a score; leave it out"
        )


def limit_tokens(encoder: Encoder, max_tokens: int | None) -> Encoder:
    """The encoder with texts cut at `max_tokens` tokens, special ones included; None leaves it at its own limit.

    Whatever is made of its texts is made at this limit: what it is judged and timed on, calibration, golden vectors, and the
    tokenizer that is published with it. Its graph is exported for its own limit, and is the same file.

    Raises:
        OptionError: more than the encoder takes, or no room for a token beside the special ones (of a pair, one of each text).
    """
    if max_tokens is None:
        return encoder
    MAX_TOKENS.require(max_tokens)
    own = read_max_tokens(encoder.path)
    special: int = open_tokenizer(encoder).num_special_tokens_to_add(pair=encoder.takes_pairs)
    least = special + (2 if encoder.takes_pairs else 1)
    if not least <= max_tokens <= own:
        texts = "a token of each text of a pair" if encoder.takes_pairs else "one token of a text"
        raise OptionError(
            f"{option('max_tokens')} {max_tokens}: expected {least} to {own}: {least} leave room for {texts} besides the special "
            f"tokens, and {own} is the longest input of the encoder {encoder.name}"
        )
    return replace(encoder, max_tokens=max_tokens)
