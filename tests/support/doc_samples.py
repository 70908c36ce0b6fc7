"""Console samples of Markdown pages: found, run and compared.

A sample is a block that is fenced as `console`. Its commands begin with `$ ` (a line that ends in a backslash goes on in the
next one), and everything else is what they print. Numbers are masked, runs of blanks are one blank, and `...` stands for any
text. The comment `<!-- slow -->` before a block marks a sample that takes long.
"""

import doctest
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

REPOSITORY = Path(__file__).parents[2]
SHELLS = ("bash", "sh", "console", "shell")
_SLOW = "<!-- slow -->"
_END = "-- end of a command --"
_NUMBER = re.compile(r"[-+]?\d[\d,]*(\.\d+)?(e[-+]?\d+)?")
_RULE = re.compile(r"([─=_~-])\1{2,}")
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_SECONDS = 590


@dataclass(frozen=True, slots=True)
class Command:
    """A command and what it is expected to print, on both streams."""

    command: str
    expected: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One block of a page, from the line `line` on."""

    page: str
    line: int
    commands: tuple[Command, ...]
    is_slow: bool

    @property
    def id(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True, slots=True)
class Fence:
    """A fenced block of a page: its language, its content, its line, and whether it is marked as slow."""

    language: str
    content: str
    line: int
    is_slow: bool


def list_fences(page: Path) -> list[Fence]:
    """The fenced blocks of a Markdown file, in order."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    found = []
    for before, token in zip([None, *tokens], tokens, strict=False):
        if token.type == "fence" and token.map:
            is_slow = before is not None and before.type == "html_block" and _SLOW in before.content
            found.append(Fence(token.info.strip(), token.content, token.map[0] + 1, is_slow))
    return found


def list_samples(page: Path) -> list[Sample]:
    """The console samples of a Markdown file, in order."""
    name = page.relative_to(REPOSITORY).as_posix()
    return [
        Sample(name, fence.line, parse_commands(fence.content), fence.is_slow)
        for fence in list_fences(page)
        if fence.language == "console"
    ]


def parse_commands(content: str) -> tuple[Command, ...]:
    """The commands of a block and what each prints.

    Raises:
        ValueError: the block does not begin with a command.
    """
    found: list[list[str]] = []
    goes_on = False
    for line in content.splitlines():
        if line.startswith("$ "):
            found.append([line.removeprefix("$ "), ""])
        elif not found:
            raise ValueError(f"expected a command behind '$ ', found {line!r}")
        elif goes_on:
            found[-1][0] += f"\n{line}"
        else:
            found[-1][1] += f"{line}\n"
        goes_on = line.endswith("\\") and (line.startswith("$ ") or goes_on)
    return tuple(Command(command, expected) for command, expected in found)


def run_sample(sample: Sample, folder: Path) -> list[str]:
    """What each command prints, run in one shell in `folder`."""
    script = "exec 2>&1\n" + "".join(
        f"{each.command}\n_code=$?; printf '\\n{_END}\\n'; (exit $_code)\n" for each in sample.commands
    )
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**inherited, "PATH": programs, "COLUMNS": "110", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return done.stdout.split(f"\n{_END}\n")[:-1]


def agrees(expected: str, printed: str) -> bool:
    """Whether the two are the same but for numbers, blanks, the length of rules, and what `...` stands for."""
    return doctest.OutputChecker().check_output(mask(expected), mask(printed), _FLAGS)


def mask(text: str) -> str:
    """With a letter for every number, and rules of one length."""
    return _NUMBER.sub("N", _RULE.sub(r"\1\1\1", text)).strip() + "\n"
