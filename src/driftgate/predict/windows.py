"""Rows in windows: few enough to hold, and enough to sort into batches of one length."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from driftgate.inputs.texts import parts_of
from driftgate.predict.reading.rows import Rejected, Row

WINDOW_CHARS = 1 << 22
"""Characters of a window's texts, beyond which the text that crossed the line is its last."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """Consecutive rows, in order; `position` is how far the input is read behind them."""

    rows: tuple[Row, ...]
    rejected: tuple[Rejected, ...]
    position: int


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
            chars += sum(map(len, parts_of(row.text)))
        else:
            bad.append(row)
            chars += len(row.text or "") + len(row.second or "")
        if len(good) + len(bad) >= max_rows or chars >= max_chars:
            yield Window(tuple(good), tuple(bad), position())
            good, bad, chars = [], [], 0
    if good or bad:
        yield Window(tuple(good), tuple(bad), position())
