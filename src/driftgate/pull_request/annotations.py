"""Annotations: a broken bound is shown on its line of the file of bounds, where a pull request shows the file.

The commands are GitHub's "workflow commands", which it reads in the output of a job.
"""

import os
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from driftgate.edges.escape import for_terminal
from driftgate.judge.bounds import MetricVerdict, Outcome

MOST = 10
"""GitHub shows no more errors of one step."""
_IN_MESSAGE = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_IN_FIELD = _IN_MESSAGE | str.maketrans({":": "%3A", ",": "%2C"})


def is_wanted() -> bool:
    """Whether this process runs in a job of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def annotate(verdicts: Iterable[MetricVerdict], root: Path) -> Iterator[str]:
    """A line for each of the first broken bounds.

    Args:
        root: the top of the repository; a file outside of it, such as a suite in site-packages, is not named.
    """
    broken = [verdict for verdict in verdicts if verdict.verdict is Outcome.FAIL]
    for verdict in broken[:MOST]:
        bound = verdict.bound
        fields = {"title": f"{verdict.backend}: {bound.metric} is beyond its bound"}
        if bound.file is not None and bound.file.resolve().is_relative_to(root.resolve()):
            name = bound.file.resolve().relative_to(root.resolve()).as_posix()
            fields = {"file": name, "line": str(find_line(bound.file, bound.key, bound.metric)), **fields}
        listed = ",".join(f"{name}={_escape(value, _IN_FIELD)}" for name, value in fields.items())
        yield f"::error {listed}::{_escape(str(verdict), _IN_MESSAGE)}"


def find_line(path: Path, key: str, metric: str) -> int:
    """The line of a table `[KEY.METRIC]`, counted from 1; 1 where the file spells it in another way, or is gone."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return 1
    for number, line in enumerate(lines, 1):
        if line.lstrip().startswith("["):
            with suppress(tomllib.TOMLDecodeError):
                if tomllib.loads(line) == {key: {metric: {}}}:
                    return number
    return 1


def _escape(text: str, codes: dict[int, str]) -> str:
    return "\n".join(map(for_terminal, text.split("\n"))).translate(codes)
