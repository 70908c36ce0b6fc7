"""The tables that people see, all of one look, as plain text."""

import io
import operator
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.table import Column, Table

from driftgate.edges.escape import for_terminal
from driftgate.results.console import Console

_LEAST = 80
_WHOLE, _BROKEN = 50, 15
"""Columns: names of up to the first stay whole where they leave a third of the table to numbers, else of up to the second."""
_UNLIMITED = 10_000


def make_table(*columns: str | Sequence[str], title: Any = None) -> Table:
    """A table without rows.

    Args:
        columns: headings of texts; those in a list are of numbers, which are aligned on the right.
    """
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for column in columns:
        for heading in [column] if isinstance(column, str) else column:
            table.add_column(heading, justify="left" if isinstance(column, str) else "right", overflow="fold")
    return table


def render(content: Any, width: int) -> str:
    """Whatever rich can print, as lines of text, in `width` columns, or in 80 where there are fewer.

    Headings and cells of a table that would be wider are folded, between words or, in columns of texts, anywhere. Numbers for
    which there is still no room follow in a table of their own, with the texts before them again. Nothing is cut.
    """
    console = Console(file=io.StringIO(), width=max(width, _LEAST))
    parts = _split(content, console) if isinstance(content, Table) else [content]
    with console.capture() as capture:
        for part in parts:
            console.print(part)
    return "\n".join(line.rstrip() for line in capture.get().splitlines() if line.strip()) + "\n"


def _split(table: Table, console: Console) -> Iterable[Table]:
    """The table if it fits, or one or several with narrower columns, which have its first columns in common."""
    unlimited = console.options.update(width=_UNLIMITED)
    if console.measure(table, options=unlimited).maximum <= console.width:
        return [table]
    columns, most = table.columns, _WHOLE
    common = next((at for at, column in enumerate(columns) if column.justify == "right"), len(columns))
    texts = sum(_least(column, most) for column in columns if column.justify != "right")
    if texts > _room(console.width, len(columns)) * (2 / 3 if common < len(columns) else 1):
        most = _BROKEN
    groups = [list(range(common))]
    for at in range(common, len(columns)):
        least = sum(_least(columns[each], most) for each in (*groups[-1], at))
        if least > _room(console.width, len(groups[-1]) + 1) and len(groups[-1]) > common:
            groups.append(list(range(common)))
        groups[-1].append(at)
    parts = [_part(table, group, console.width, most) for group in groups]
    parts[0].title = table.title
    return parts


def _part(table: Table, group: Sequence[int], width: int, most: int) -> Table:
    columns = [replace(table.columns[at], _index=index) for index, at in enumerate(group)]
    widths = [max(map(cell_len, _texts(column))) for column in columns]
    least = [_least(column, most) for column in columns]
    while sum(widths) > _room(width, len(columns)) and any(map(operator.gt, widths, least)):
        widest = max((now, at) for at, now in enumerate(widths) if now > least[at])[1]
        widths[widest] -= 1
    part = Table(box=table.box, title_justify="left", pad_edge=False, collapse_padding=True)
    part.columns = [replace(column, width=now) for column, now in zip(columns, widths, strict=True)]
    part.rows = table.rows
    return part


def _room(width: int, columns: int) -> int:
    """What is left for cells: a space on both sides of the table, two between columns."""
    return width - 2 * columns


def _least(column: Column, most: int) -> int:
    """The longest word; one of more than `most` in a column of texts may be broken."""
    longest = max((cell_len(word) for text in _texts(column) for word in text.split()), default=0)
    return longest if column.justify == "right" else min(longest, most)


def _texts(column: Column) -> list[str]:
    return [for_terminal(str(text)) for text in (column.header, *column.cells)]
