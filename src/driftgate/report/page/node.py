"""A JSON document of anybody's, read field by field: what is not of the expected type is refused by its name."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from driftgate.errors import ResultsError


@dataclass(frozen=True, slots=True)
class Node:
    """A place in a document.

    Args:
        value: what stands there; None where nothing does.
        file: what errors call the document. `where`: the names that lead here.
    """

    value: Any
    file: str
    where: str = ""

    def at(self, *names: str) -> "Node":
        """A place further in; nothing where there is no such field.

        Raises:
            ResultsError: something on the way there is no object.
        """
        found = self
        for name in names:
            fields = _expect(found, dict, "an object")
            where = f"{found.where}.{name}" if found.where else name
            found = Node((fields or {}).get(name), self.file, where)
        return found

    def text(self, *names: str) -> str:
        """A string; "" where there is none. Raises as `at` does."""
        found: str | None = _expect(self.at(*names), str, "a string")
        return found or ""

    def number(self, *names: str) -> float | None:
        """A finite number; None where there is none. Raises as `at` does."""
        place = self.at(*names)
        found = _expect(place, (int, float), "a number")
        if found is None:
            return None
        if isinstance(found, bool) or not _is_finite(found):
            raise _unexpected(place, "a finite number")
        return float(found)

    def count(self, *names: str) -> int:
        """A whole number; 0 where there is none. Raises as `at` does."""
        return int(self.number(*names) or 0)

    def flag(self, *names: str) -> bool:
        """Raises as `at` does."""
        return bool(_expect(self.at(*names), bool, "true or false"))

    def items(self) -> dict[str, "Node"]:
        """The fields of an object by name. Raises as `at` does."""
        return {name: self.at(name) for name in _expect(self, dict, "an object") or {}}

    def entries(self) -> Iterator["Node"]:
        """The entries of a list. Raises as `at` does."""
        for place, value in enumerate(_expect(self, list, "a list") or []):
            yield Node(value, self.file, f"{self.where}[{place}]")

    def numbers(self) -> list[float]:
        """The finite numbers of a list. Raises as `at` does."""
        return [number for entry in self.entries() if (number := entry.number()) is not None]

    def texts(self) -> list[str]:
        """The strings of a list. Raises as `at` does."""
        return [entry.text() for entry in self.entries()]

    def __bool__(self) -> bool:
        return bool(self.value)


_SHOWN = 60


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number that no float holds
        return False


def _expect(node: Node, kind: Any, words: str) -> Any:
    if node.value is None or isinstance(node.value, kind):
        return node.value
    raise _unexpected(node, words)


def _unexpected(node: Node, expected: str) -> ResultsError:
    found = repr(node.value)
    shown = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}..."
    return ResultsError(f"{node.file}: expected {expected} at {node.where or 'the top'}, found {shown}")
