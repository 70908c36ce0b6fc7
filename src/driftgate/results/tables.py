"""The tables that people see, all of one look, as plain text."""

import io
from collections.abc import Container, Sequence
from typing import Any

from rich import box
from rich.table import Table

from driftgate.results.console import Console

_MIN_WIDTH = 140
_UNLIMITED = 10_000


def make_table(*columns: str | Sequence[str], title: Any = None, wrapped: Container[str] = ()) -> Table:
    """A table without rows.

    Args:
        columns: headings of texts; those in a list are of numbers, which are aligned on the right.
        wrapped: headings whose cells may go over several lines.
    """
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        for heading in [column] if isinstance(column, str) else column:
            table.add_column(
                heading,
                justify="left" if isinstance(column, str) else "right",
                no_wrap=heading not in wrapped,
                overflow="fold" if heading in wrapped else "ellipsis",
            )
    return table


def render(content: Any, width: int, least: int = _MIN_WIDTH) -> str:
    """Whatever rich can print, as lines of text, in `width` columns or in the `least` that a table needs not to be cut.

    The columns of a table that would be wider stand closer to each other, before anything is folded or cut.
    """
    console = Console(file=io.StringIO(), width=max(width, least))
    if isinstance(content, Table):
        unlimited = console.options.update(width=_UNLIMITED)
        content.collapse_padding = console.measure(content, options=unlimited).maximum > console.width
    with console.capture() as capture:
        console.print(content)
    return "\n".join(line.rstrip() for line in capture.get().splitlines() if line.strip()) + "\n"
