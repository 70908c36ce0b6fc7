"""What an encoder is asked about at once: a text, or a pair of texts; and texts that no encoding can carry."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeGuard

Pair = tuple[str, str]
"""A premise and its hypothesis, a query and a passage: the order matters."""
Text = str | Pair
"""As the tokenizers of transformers take them, in one list."""


def is_pair(text: Text) -> TypeGuard[Pair]:
    """Whether the encoder is asked about two texts at once."""
    return isinstance(text, tuple)


def parts_of(text: Text) -> tuple[str, ...]:
    """The text alone, or both of a pair."""
    return text if isinstance(text, tuple) else (text,)


def map_parts(change: Callable[[str], str], text: Text) -> Text:
    """The text changed, or both of a pair."""
    return (change(text[0]), change(text[1])) if isinstance(text, tuple) else change(text)


def join_texts(texts: Sequence[Text]) -> Text:
    """One text of many, with spaces between; of pairs, the first texts before the second ones.

    Args:
        texts: at least one, all of them alone or all of them pairs.
    """
    first, *second = (" ".join(side) for side in zip(*map(parts_of, texts), strict=True))
    return (first, second[0]) if second else first


def pair_with_next(texts: Iterable[str]) -> tuple[Pair, ...]:
    """Each text with the one after it, the last with the first: pairs whose halves are as long as the texts are."""
    listed = list(texts)
    return tuple(zip(listed, [*listed[1:], *listed[:1]], strict=True))


def on_one_line(text: Text) -> str:
    """For people: the texts of a pair with a bar between them."""
    return " | ".join(parts_of(text))


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_NAMED_IN_ERRORS = 10


def has_lone_surrogate(text: str) -> bool:
    """Half of a UTF-16 pair: Python holds it, UTF-8 does not, and the tokenizers library fails on it."""
    return _LONE_SURROGATE.search(text) is not None


def name_rows(rows: Sequence[str]) -> str:
    """The first few, for an error message."""
    return ", ".join(rows[:_NAMED_IN_ERRORS]) + (" ..." if len(rows) > _NAMED_IN_ERRORS else "")
