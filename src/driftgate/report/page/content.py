"""What a report says, before it is HTML or Markdown: answers, sections, figures and tables, as records."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self


class Kind(StrEnum):
    """What a verdict means to a reader: each has a colour and a shape in charts, and a sign in Markdown."""

    colour: str
    shape: str
    sign: str

    def __new__(cls, word: str, colour: str, shape: str, sign: str) -> Self:
        """A string with its looks beside it."""
        kind = str.__new__(cls, word)
        kind._value_ = word
        kind.colour, kind.shape, kind.sign = colour, shape, sign
        return kind

    PASS = "pass", "#1a7f37", "circle", "✅"
    FAIL = "fail", "#cf222e", "cross", "❌"
    UNKNOWN = "unknown", "#9a6700", "diamond", "❓"
    UNMEASURABLE = "unmeasurable", "#8250df", "triangle-up", "⚠️"
    CHANGED = "changed", "#0969da", "square", "🔀"
    NEUTRAL = "neutral", "#59636e", "triangle-down", "⚪"


@dataclass(frozen=True, slots=True)
class Badge:
    """A verdict: its word, and what it means."""

    word: str
    kind: Kind

    def __str__(self) -> str:
        return self.word


PASS = Badge("PASS", Kind.PASS)
FAIL = Badge("FAIL", Kind.FAIL)
NOT_SHOWN = Badge("NOT SHOWN", Kind.UNKNOWN)
NOT_MEASURABLE = Badge("NOT MEASURABLE", Kind.UNMEASURABLE)
NOT_JUDGED = Badge("NOT JUDGED", Kind.NEUTRAL)
SKIPPED = Badge("SKIPPED", Kind.NEUTRAL)
CHANGED = Badge("CHANGED", Kind.CHANGED)
UNCHANGED = Badge("UNCHANGED", Kind.PASS)
NO_BASELINE = Badge("NO BASELINE", Kind.NEUTRAL)

_GATE_KINDS = {
    "PASS": Kind.PASS,
    "IDENTICAL": Kind.PASS,
    "REGRESSION": Kind.FAIL,
    "VANISHED": Kind.FAIL,
    "NOT MEASURABLE": Kind.UNMEASURABLE,
}
_OUTCOMES = {"pass": PASS, "fail": FAIL, "not-shown": NOT_SHOWN}


def outcome_badge(word: str) -> Badge:
    """Of an outcome in `results.json`; one that this driftgate does not know is shown as it is."""
    return _OUTCOMES.get(word, Badge(word, Kind.NEUTRAL) if word else NOT_JUDGED)


def gate_badge(word: str) -> Badge:
    """Of a verdict of the speed gate."""
    return Badge(word, _GATE_KINDS.get(word, Kind.NEUTRAL))


Cell = str | Badge


@dataclass(frozen=True, slots=True)
class Table:
    """Numbers, in words that are shown as they are.

    Args:
        columns: headings. Those of `texts` stand to the left, the others to the right.
        more: a sentence about rows that were left out; "" where all are there.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    texts: frozenset[int] = frozenset({0})
    more: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """A table, and the chart above it.

    Args:
        description: of the chart, for people who do not see it.
        draw: makes the chart, and is given the module `altair` for it; None for a table alone.
    """

    anchor: str
    title: str
    table: Table
    description: str = ""
    draw: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under a heading of its own.

    Args:
        brief: whether the Markdown has it too.
        commands: lines to be typed, each with what it is for.
    """

    anchor: str
    title: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    commands: tuple[str, ...] = ()
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a reader wants to know first."""

    question: str
    badge: Badge
    sentence: str


@dataclass(frozen=True, slots=True)
class Part:
    """One run of the report: its title, its answers and its sections. `anchor` begins those of its sections."""

    anchor: str
    title: str
    about: str
    answers: tuple[Answer, ...]
    sections: tuple[Section, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """All of a page.

    Args:
        encoder: what the report is about, for whoever looks for an earlier one of the same.
        common: sections about all runs together, before those of each run.
    """

    encoder: str
    title: str
    parts: tuple[Part, ...]
    common: tuple[Section, ...] = ()
