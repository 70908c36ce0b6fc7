"""Texts that no encoding can carry, and how errors name rows."""

import re
from collections.abc import Sequence

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_NAMED_IN_ERRORS = 10


def has_lone_surrogate(text: str) -> bool:
    """Half of a UTF-16 pair: Python holds it, UTF-8 does not, and the tokenizers library fails on it."""
    return _LONE_SURROGATE.search(text) is not None


def name_rows(rows: Sequence[str]) -> str:
    """The first few, for an error message."""
    return ", ".join(rows[:_NAMED_IN_ERRORS]) + (" ..." if len(rows) > _NAMED_IN_ERRORS else "")
