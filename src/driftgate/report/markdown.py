"""Markdown whose markup is ours, and whose words may be anyone's."""

import re
from collections.abc import Iterable, Sequence
from typing import Any, Self

from markupsafe import Markup

from driftgate.escape import for_markdown

_HARMLESS = re.compile(r"[\w ./@:+,-]+")


class Markdown(Markup):
    """Markdown as it is meant. What `format`, `join` and `+` put into it is escaped, unless it is Markdown itself."""

    @classmethod
    def escape(cls, s: Any, /) -> Self:
        """Words from anywhere as Markdown that shows them."""
        return s if isinstance(s, cls) else cls(for_markdown(s))


def code(text: str) -> Markdown:
    """A name as code; where it has characters that could end the code or mean something outside of it, as escaped text."""
    return Markdown(f"`{text}`") if _HARMLESS.fullmatch(text) else Markdown.escape(text)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Markdown:
    """A table, numbers to the right; cells that are no Markdown are escaped."""
    rule = [Markdown("---"), *(Markdown("---:") for _ in headings[1:])]
    lines = (Markdown("| {} |").format(Markdown(" | ").join(cells)) for cells in (headings, rule, *rows))
    return Markdown("\n").join(lines)
