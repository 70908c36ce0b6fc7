"""How large the numbers may be that a user gives, in one table.

Records check their numbers against these limits when they are made, so that the same numbers are refused whether they come from
the command line, an ini file, a hook or Python. The upper ends are not advice: whatever lies beyond them is a slip, such as a
zero too many, and would use up the memory or the time of the whole machine.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from driftgate.errors import OptionError

_MOST_VALUES = 64
"""In a list: each value is a benchmark of its own."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Whole numbers from `least` to `most`, both included.

    Args:
        name: what messages call the number.
        note: returns what a message adds to the range; called only when there is a message.
        whole: False for numbers such as 0.5 too.
    """

    name: str
    least: float
    most: float
    note: Callable[[], str] = str
    whole: bool = True

    def require(self, value: object) -> None:
        """Refuse a value outside the limits, and whatever is not such a number: True, NaN, "4", and 2.0 for a whole number.

        Raises:
            OptionError: with the numbers that can be used.
        """
        if not self._allows(value):
            raise OptionError(f"{self.name} {_shown(value)}: expected {self._expected}")

    def read(self, text: str, option: str) -> int:
        """The number that was given as text.

        Raises:
            OptionError: `option` and the numbers that can be used.
        """
        number = _parse(text)
        if number is None or not self._allows(number):
            raise OptionError(f"{option} {text[:40]!r}: expected {self._expected}")
        return number

    def read_list(self, text: str, option: str) -> tuple[int, ...]:
        """Different numbers, separated by commas, in the order given.

        Raises:
            OptionError: `option` and the numbers that can be used.
        """
        numbers = [_parse(part.strip()) for part in text.split(",")]
        found = tuple(number for number in numbers if number is not None and self._allows(number))
        if not len(numbers) == len(found) == len(set(found)) <= _MOST_VALUES:
            raise OptionError(
                f"{option} {text[:40]!r}: expected {self._expected}, or up to {_MOST_VALUES} different ones separated by commas"
            )
        return found

    def _allows(self, value: object) -> bool:
        kinds = int if self.whole else (int, float)
        return isinstance(value, kinds) and not isinstance(value, bool) and self.least <= value <= self.most

    @property
    def _expected(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.least:,} to {self.most:,}{self.note()}"


def _parse(text: str) -> int | None:
    # No limit has more digits, and int() raises an error of its own for thousands of them.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None  # noqa: PLR2004 - said above


def read_percentage(text: str, option: str) -> float:
    """The share that was given as a percentage, such as 0.025 for "2.5%".

    Raises:
        OptionError: `option`, and how a percentage is written.
    """
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)%", text, re.ASCII)
    if not found:
        raise OptionError(f"{option} {text[:40]!r}: expected a percentage such as 10% or 2.5%")
    return float(found[1]) / 100


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 64:  # noqa: PLR2004 - more than any limit
        return f"of {value.bit_length()} bits"
    return repr(value)[:40]


def _for_all() -> str:
    return ", 0 for all"


BATCH_SIZE = Limit("batch size", 1, 4_096)
"""Rows. No device gains from more than some hundreds, and the attention of 4,096 long texts takes tens of gigabytes."""
SEQUENCE_LENGTH = Limit("sequence length", 1, 1_048_576)
MAX_TOKENS = Limit("max tokens", 1, 1_048_576)
"""Where texts are cut; what an encoder can take is far less."""
BATCH_TOKENS = Limit("tokens of a batch", 1, 1_048_576)
"""2,048 rows of 512 tokens."""
TOKEN_BUDGET = Limit("token budget", 1, 1_048_576)
DEFAULT_TOKEN_BUDGET = 1024
"""Tokens of a batch of the suites, where nothing else is asked for: torch needs so many."""
SCORING_TOKEN_BUDGET = 512
"""Likewise of a file that is scored. ONNX Runtime is as fast with it, and holds half the memory (`studies/predict/README.md`)."""
GRID_SHAPES = Limit("shapes of a grid", 1, 256)
"""A batch of every shape is kept in memory."""
GRID_CALLS = Limit("test times", 1, 100_000)
"""Measured calls of each shape; ONNX Runtime's own benchmark makes 100."""
SAMPLE_ROWS = Limit("sample rows", 1, 100_000)
"""Texts of a benchmark cell, which answers all of them several times."""
CORPUS_ROWS = Limit("corpus rows", 0, 10_000_000, _for_all)
"""The tokens of a whole corpus are held in memory."""
DRAWN_ROWS = Limit("rows drawn from a corpus", 1, CORPUS_ROWS.most)
WINDOW_ROWS = Limit("window rows", 0, 1_048_576)
"""Rows that are held in memory and sorted together."""
BLOCKS = Limit("blocks", 1, 1_000)
"""Far fewer show how much a ratio spreads."""
SEED = Limit("seed", 0, 2**63 - 1)
TOP_LABELS = Limit("top", 0, 1_000_000, _for_all)
THRESHOLD = Limit("threshold", 0, 1, whole=False)
COMMIT_SECONDS = Limit("commit seconds", 0, 86_400, whole=False)
GATE_SECONDS = Limit("gate budget", 0.001, 604_800, lambda: " seconds", whole=False)
"""Up to a week: a report may advise days, for a thousand rounds of large models."""
ADDED_WORK = Limit("gate work", 0, 1, lambda: ", the share of its work that a cell may have more", whole=False)
DEVICE_INDEX = Limit("device number", 0, 1_023)
