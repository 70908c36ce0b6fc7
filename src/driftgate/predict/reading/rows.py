"""Rows of an input, each a text or a pair of texts to score, or the reason why not; in windows, few enough to hold."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from driftgate.edges.spelling import option
from driftgate.inputs.texts import Text, has_lone_surrogate, parts_of

MAX_ROW_CHARS = 1 << 25
"""A longer line, or field of a CSV file, is not read into memory."""

_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


class Reason(StrEnum):
    """Why a row cannot be scored."""

    NO_TEXT = "no text"
    NOT_A_STRING = "not a string"
    EMPTY = "empty text"
    UNDECODABLE = "not decodable"
    LONE_SURROGATE = "lone surrogate"
    WRONG_FIELDS = "wrong number of fields"
    BROKEN_CSV = "broken CSV"
    BROKEN_JSON = "broken JSON"
    TOO_LARGE = "too large"


@dataclass(frozen=True, slots=True)
class Row:
    """A text to score, or a pair of texts.

    Args:
        number: which row of the input, from 0; a header is not counted.
        id: what the id column holds, None without one.
    """

    number: int
    text: Text
    id: Any = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that cannot be scored.

    Args:
        number: as of `Row`: rejected rows are counted too.
        detail: what was expected and found; never the text.
        line, last_line: where it stands in the file, from 1, where the file has lines.
        text: what was read of it, only where texts are asked for. `second`: likewise, of a pair.
    """

    number: int
    reason: Reason
    detail: str = ""
    line: int | None = None
    last_line: int | None = None
    text: str | None = None
    second: str | None = None


def find_fault(text: Any, row_id: Any, encoding: str) -> tuple[Reason, str] | None:
    """Why a text cannot be scored under its id, and the detail; None where it can."""
    if text is None:
        return Reason.NO_TEXT, ""
    if not isinstance(text, str):
        return Reason.NOT_A_STRING, f"expected a string, found {type(text).__name__}"
    if not text or text.isspace():
        return Reason.EMPTY, ""
    for value in (text, row_id):
        if isinstance(value, str) and not value.isascii() and has_lone_surrogate(value):
            return find_undecodable(value, encoding) or (Reason.LONE_SURROGATE, "half of a UTF-16 pair")
    return None


def find_undecodable(value: str, encoding: str) -> tuple[Reason, str] | None:
    """The first byte that was not text, kept by the `surrogateescape` error handler; None where there is none."""
    found = None if value.isascii() else _ESCAPED_BYTE.search(value)
    if found is None:
        return None
    other = option("encoding", "cp1252") if encoding.lower().startswith("utf") else f"another {option('encoding')}"
    return Reason.UNDECODABLE, f"byte 0x{ord(found.group()) - 0xDC00:02x} is not {encoding}; try {other}"


WINDOW_CHARS = 1 << 22
"""Characters of a window's texts, beyond which the text that crossed the line is its last."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Consecutive rows, in order; `position` is how far the input is read behind them."""

    rows: tuple[Row, ...]
    rejected: tuple[Rejected, ...]
    position: int


def count_chars(row: Row | Rejected) -> int:
    """Characters that are held of a row."""
    if isinstance(row, Row):
        return sum(map(len, parts_of(row.text)))
    return len(row.text or "") + len(row.second or "")


def make_windows(
    rows: Iterable[Row | Rejected],
    position: Callable[[], int],
    max_rows: int,
    max_chars: int = WINDOW_CHARS,
) -> Iterator[Window]:
    """Cut rows into windows. Where they are cut depends on the rows alone: a resumed run cuts as the first one did."""
    good: list[Row] = []
    bad: list[Rejected] = []
    chars = 0
    for row in rows:
        if isinstance(row, Row):
            good.append(row)
        else:
            bad.append(row)
        chars += count_chars(row)
        if len(good) + len(bad) >= max_rows or chars >= max_chars:
            yield Window(tuple(good), tuple(bad), position())
            good, bad, chars = [], [], 0
    if good or bad:
        yield Window(tuple(good), tuple(bad), position())
