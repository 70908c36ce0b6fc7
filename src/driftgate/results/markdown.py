"""Markdown whose markup is ours, and whose words may be anyone's."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Self

from markupsafe import Markup

from driftgate.edges.escape import for_markdown

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


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], words: Collection[str] = ()) -> Markdown:
    """A table; cells that are no Markdown are escaped.

    Args:
        words: headings of columns besides the first that are no numbers, and stand to the left.
    """
    left, right = Markdown("---"), Markdown("---:")
    rule = [left if number == 0 or heading in words else right for number, heading in enumerate(headings)]
    lines = (Markdown("| {} |").format(Markdown(" | ").join(cells)) for cells in (headings, rule, *rows))
    return Markdown("\n").join(lines)
