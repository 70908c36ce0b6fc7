"""The terminal: whatever is printed on it, or put into a table, is plain text."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import rich.console
from rich.text import Text

from driftgate.edges.escape import for_terminal


class Console(rich.console.Console):  # noqa: TID251 - the one that others are to use
    """rich's console for strings from anywhere: each is one line of plain text, without markup, emoji codes or highlighting.

    Several lines are several strings. A `rich.text.Text` is printed as it is: make one of strings of ours only.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """What every string goes through, printed or in a table."""
        return super().render_str(for_terminal(text), **options)

    @contextmanager
    def announcing(self, name: str = "driftgate") -> Iterator[Callable[[str], None]]:
        """A spinner while the block runs; what it is given says what is being done."""
        with self.status(name) as status:
            yield lambda message: status.update(plain(f"{name}: {message}"))


def plain(*lines: str) -> Text:
    """Lines from anywhere, where rich would read a string as markup."""
    return Text("\n".join(map(for_terminal, lines)))
