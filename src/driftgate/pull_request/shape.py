"""A summary in Markdown, brought to the size that a pull request takes."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from driftgate.errors import ResultsError

_MARKER = re.compile(r"<!-- driftgate: .+ -->")
_RUN = "<!-- driftgate run -->"
_LARGEST_BYTES = 16_000_000
_LINK = re.compile(r"https://[^\s<>()\[\]\"']+")
_NOTIFYING = re.compile(r"`[^`\n]*`|(?<!\w)@(?=\w)|\\?#(?=\d)|\bGH-(?=\d)|\b(?:https?|ftp)://|\bwww\.", re.IGNORECASE)
_BREAK = "&#8203;"
"""A space of no width."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where on GitHub a summary goes: what messages call it, how much it holds, and how that is counted."""

    name: str
    most: int
    unit: str
    count: Callable[[str], int]


COMMENT = Place("a comment", 65_536, "characters", lambda text: len(text.encode("utf-16-le")) // 2)
STEP_SUMMARY = Place("the summary of a step", 1_024_000, "bytes", lambda text: len(text.encode("utf-8")))


def read_summary(path: Path) -> str:
    """A `report.md` that a run or `driftgate report` wrote.

    Raises:
        ResultsError: no such file, too large, not UTF-8, or its first line does not name the encoder.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ResultsError(
                f"{path}: expected a report of at most {_LARGEST_BYTES:,} bytes, found {path.stat().st_size:,}"
            )
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ResultsError(
            f"{path}: {str(error.strerror).lower()}; a run writes report.md beside results.json"
        ) from error
    except UnicodeDecodeError as error:
        raise ResultsError(f"{path}: expected text in UTF-8, found byte {error.start} that is none") from error
    if not _MARKER.fullmatch(marker_of(text)):
        raise ResultsError(
            f"{path}: expected a first line such as <!-- driftgate: encoder -->, as report.md has it, found none"
        )
    return text


def marker_of(body: str) -> str:
    """The hidden first line by which a comment is found again: it names the encoder."""
    return body.partition("\n")[0].rstrip()


def shape(summary: str, place: Place, link: str = "") -> str:
    """The summary as it fits: whole lines from its beginning, where failures stand, and what was left out is said.

    Args:
        link: the address of the run, put below; "" for none.

    Raises:
        ResultsError: `link` is no https address.
    """
    if link and not _LINK.fullmatch(link):
        raise ResultsError(f"expected the https address of a run, found {link!r}")
    text = _quiet(summary.replace("\r\n", "\n").strip()) + "\n"
    foot = f"\n{_RUN}\nThe page report.html is among the artifacts of [this run]({link}).\n" if link else ""
    if place.count(text + foot) <= place.most:
        return text + foot
    held = f"{place.name} holds at most {place.most:,} {place.unit}"
    said = f"\nThe rest was left out, because {held}; report.md and report.html have all of it.\n"
    room = place.most - place.count(said + foot)
    kept: list[str] = []
    for line in text.splitlines(keepends=True):
        room -= place.count(line)
        if room < 0:
            break
        kept.append(line)
    return "".join(_drop_empty_end(kept)) + said + foot


def _quiet(text: str) -> str:
    """Without what GitHub makes a link or a message of, wherever it stands: names of backends and labels may be anyone's."""

    def break_up(found: re.Match[str]) -> str:
        word = found[0].removeprefix("\\")
        return word if word.startswith("`") else f"{word[0]}{_BREAK}{word[1:]}"

    return _NOTIFYING.sub(break_up, text)


def _drop_empty_end(lines: list[str]) -> list[str]:
    """Without a heading, or the head of a table, that nothing follows any more."""
    while lines and (lines[-1].isspace() or lines[-1].startswith(("#", "| --- ")) or _is_lone_head(lines)):
        lines.pop()
    return lines


def _is_lone_head(lines: list[str]) -> bool:
    return len(lines) > 1 and lines[-1].startswith("|") and not lines[-2].startswith("|")


def says_the_same(one: str, other: str) -> bool:
    """Whether two comments differ by nothing but the run that they link to."""
    first, second = (text.replace("\r\n", "\n").partition(_RUN)[0].strip() for text in (one, other))
    return first == second
