"""How far a job is and what it did, for people: a bar on a terminal, a line now and then elsewhere, a few lines at the end."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from driftgate.edges.spelling import option
from driftgate.predict.journal import Counts
from driftgate.results.console import Console

_LINE_SECONDS = 30.0


class Watcher(Protocol):
    """Who is told how far a job is."""

    def update(self, rows: int, rows_per_second: float, fraction: float | None, seconds_left: float | None) -> None:
        """After each window. `fraction` of the input is done; it and the time left are None where nobody knows."""
        ...

    def say(self, message: str) -> None:
        """Something to read now."""
        ...


class Silent:
    """Tells nobody."""

    def update(self, rows: int, rows_per_second: float, fraction: float | None, seconds_left: float | None) -> None:
        pass

    def say(self, message: str) -> None:
        pass


class _Lines:
    """For logs: a line every half minute."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said_at = time.monotonic()

    def update(self, rows: int, rows_per_second: float, fraction: float | None, seconds_left: float | None) -> None:
        if time.monotonic() - self._said_at >= _LINE_SECONDS:
            self._said_at = time.monotonic()
            done = "" if fraction is None else f"{fraction:.1%}, "
            self.say(f"{done}{describe(rows, rows_per_second, seconds_left)}")

    def say(self, message: str) -> None:
        self._console.print(f"driftgate: {message}", soft_wrap=True)


class _Bar:
    """For terminals."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None)

    def update(self, rows: int, rows_per_second: float, fraction: float | None, seconds_left: float | None) -> None:
        self._bar.update(
            self._task,
            total=None if fraction is None else 1.0,
            completed=fraction or 0.0,
            description=describe(rows, rows_per_second, seconds_left),
        )

    def say(self, message: str) -> None:
        self._bar.console.print(f"driftgate: {message}", soft_wrap=True)


class Pace:
    """How fast rows are done, and how long the rest will take.

    Args:
        rows: done before, by an interrupted run.
        total: of the input, in the unit of positions; 0 where nobody knows.
    """

    def __init__(self, rows: int, total: int) -> None:
        self._rows, self._total = rows, total
        self._started = time.monotonic()

    def at(self, rows: int, position: int) -> tuple[float, float | None, float | None]:
        """Rows a second, the fraction of the input that is done, and the seconds left."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        done_now = rows - self._rows
        if not self._total:
            return done_now / seconds, None, None
        fraction = min(position / self._total, 1.0)
        rows_left = rows / fraction - rows if fraction else 0.0
        return done_now / seconds, fraction, rows_left * seconds / done_now if done_now else None


@contextmanager
def show_progress(console: Console) -> Iterator[Watcher]:
    """A bar while the block runs, or lines where `console` is no terminal."""
    if not console.is_terminal:
        yield _Lines(console)
        return
    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Bar(bar)


def describe(rows: int, rows_per_second: float, seconds_left: float | None) -> str:
    """Rows done, their rate and the time left."""
    left = "" if seconds_left is None else f", {clock(seconds_left)} left"
    return f"{rows:,} rows, {rows_per_second:,.0f} rows/s{left}"


def clock(seconds: float) -> str:
    """Hours, minutes, seconds: 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of a job.

    Args:
        counts: of the whole job, the interrupted run's rows included.
        resumed_rows: what an interrupted run had done.
        seconds: of this run, the model loaded.
        output: where the scores are.
        rejects: where the rejected rows are; empty where there are none, or no file was named for those of a pipe.
        pairs: whether rows are pairs of texts.
        identity: input, model and options, as a resumed run must have them. `head_bytes`: of the output, before its first row.
    """

    counts: Counts
    resumed_rows: int
    seconds: float
    output: str
    rejects: str
    pairs: bool = False
    identity: Mapping[str, Any] = field(default_factory=dict)
    head_bytes: int = 0

    @property
    def rows_per_second(self) -> float:
        """Of this run, rejected rows included."""
        return (self.counts.rows - self.resumed_rows) / max(self.seconds, 1e-9)

    @property
    def exit_code(self) -> int:
        """0, or 1 where every row was rejected: a column or an encoding is wrong, and the output is empty."""
        return int(self.counts.answered == 0)

    def lines(self) -> list[str]:
        """To print."""
        counts = self.counts
        before = f" ({self.resumed_rows:,} of them by the interrupted run)" if self.resumed_rows else ""
        texts = "pairs of texts" if self.pairs else "texts"
        found = [
            f"{counts.answered:,} of {counts.rows:,} rows{before} -> {self.output}",
            f"{self.rows_per_second:,.0f} rows/s, {clock(self.seconds)} ({self.seconds:.1f} s)",
            f"{counts.tokens:,} tokens; {counts.truncated:,} {texts} were longer than the model's limit and cut",
        ]
        if counts.all_rejected:
            reasons = ", ".join(f"{reason}: {rows:,}" for reason, rows in sorted(counts.rejected.items()))
            where = f" -> {self.rejects}" if self.rejects else f" (name a file for them with {option('rejects')})"
            found.append(f"{counts.all_rejected:,} rows rejected ({reasons}){where}")
        return found
