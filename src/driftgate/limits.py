"""How large the numbers may be that a user gives, in one table.

Records hold their numbers to these limits when they are made, so that the command line, ini files, hooks and Python are
refused alike. The upper ends are no advice: what is beyond them is a slip, such as a zero too many, and would take the memory
or the time of the whole machine.
"""

from collections.abc import Callable
from dataclasses import dataclass

from driftgate.errors import OptionError

_MOST_VALUES = 64
"""In a list: each value is a benchmark of its own."""


@dataclass(frozen=True, slots=True)
class Limit:
    """Whole numbers from `least` to `most`, both included.

    Args:
        name: of what is counted, as messages call it.
        note: asked for what to add to a message, when there is one.
        whole: False for any finite number.
    """

    name: str
    least: float
    most: float
    note: Callable[[], str] = str
    whole: bool = True

    def require(self, value: object) -> None:
        """Refuse what is outside of the limits, or no number: True, NaN and 2.0 for a count are none.

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
    # No limit is longer, and Python refuses to read thousands of digits.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 64:
        return f"of {value.bit_length()} bits"
    return repr(value)[:40]


def _for_all() -> str:
    return ", 0 for all"


BATCH_SIZE = Limit("batch size", 1, 4_096)
"""Rows. From a few hundred on a batch gains no device anything, and its attention alone fills tens of gigabytes."""
SEQUENCE_LENGTH = Limit("sequence length", 1, 1_048_576)
BATCH_TOKENS = Limit("tokens of a batch", 1, 1_048_576)
"""2,048 rows of 512 tokens."""
TOKEN_BUDGET = Limit("token budget", 1, 1_048_576)
GRID_SHAPES = Limit("shapes of a grid", 1, 256)
"""A batch of each is kept in memory."""
GRID_CALLS = Limit("test times", 1, 100_000)
"""Calls of each shape: ONNX Runtime's own benchmark makes 100."""
SAMPLE_ROWS = Limit("sample rows", 1, 100_000)
"""Of a benchmark cell, which runs all of them several times."""
CORPUS_ROWS = Limit("corpus rows", 0, 10_000_000, _for_all)
"""A corpus is held in memory, tokenized."""
DRAWN_ROWS = Limit("rows drawn from a corpus", 1, CORPUS_ROWS.most)
WINDOW_ROWS = Limit("window rows", 0, 1_048_576)
"""Held in memory and sorted at once."""
BLOCKS = Limit("blocks", 1, 1_000)
"""The spread of a ratio is known from far fewer."""
SEED = Limit("seed", 0, 2**63 - 1)
TOP_LABELS = Limit("top", 0, 1_000_000, _for_all)
THRESHOLD = Limit("threshold", 0, 1, whole=False)
COMMIT_SECONDS = Limit("commit seconds", 0, 86_400, whole=False)
GATE_SECONDS = Limit("--gate-budget", 0.001, 604_800, lambda: " seconds", whole=False)
"""At most a week: what a report advises for a thousand rounds of large models is less."""
DEVICE_INDEX = Limit("device number", 0, 1_023)
