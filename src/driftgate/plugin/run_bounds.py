"""The bounds of a run: those of its suites, and the user's own before them."""

from collections.abc import Collection, Iterable
from functools import cached_property
from pathlib import Path

from driftgate.judge.bounds import Bound, Bounds
from driftgate.judge.bounds_file import describe_unread, load_bounds


class RunBounds:
    """Each file is read once, and refused where it has something that nobody reads.

    Args:
        own: the file of `--bounds`. `keys`: classes and backends that bounds may be for.
    """

    def __init__(self, own: Path | None, keys: Collection[str]) -> None:
        self._path = own
        self._keys = keys
        self._suites: dict[Path, dict[tuple[str, str], Bound]] = {}

    def read(self, suites: Iterable[Path]) -> list[str]:
        """Read the suites' files, and then the user's own, which may be for whatever they measure; what to say about it.

        Raises:
            BoundsError: see `load_bounds`.
        """
        for file in suites:
            self._suite(file)
        return describe_unread(self._own, self._keys)

    def of(self, suite: Path) -> Bounds:
        """What the tests beside the file `suite` are held to."""
        own = self._suite(suite)
        return (*self._own, own)

    @cached_property
    def _own(self) -> Bounds:
        measured = {metric for bounds in self._suites.values() for _, metric in bounds}
        return (load_bounds(self._path, keys=self._keys, metrics=measured),) if self._path else ()

    def _suite(self, file: Path) -> dict[tuple[str, str], Bound]:
        if file not in self._suites:
            self._suites[file] = load_bounds(file, keys=self._keys)
        return self._suites[file]
