"""What rounds cost, and which cells a budget covers."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bill:
    """What the last round of each cell cost, in nanoseconds, and for each backend its loads and its control.

    Args:
        backends: by cell id.
    """

    backends: Mapping[str, str]
    cells_ns: dict[str, int] = field(default_factory=dict)
    fixed_ns: dict[str, int] = field(default_factory=dict)

    def seconds_a_round(self) -> dict[str, float]:
        """Of each cell alone."""
        return {cell: (took_ns + self.fixed_ns[self.backends[cell]]) / 1e9 for cell, took_ns in self.cells_ns.items()}

    def affordable(self, wanted: Collection[str], rounds: int, left_ns: float) -> set[str]:
        """The cells, cheapest first, of which so many rounds take no longer than what is left."""
        chosen: set[str] = set()
        loaded: set[str] = set()
        spent = 0
        for cell in sorted(wanted, key=self.cells_ns.__getitem__):
            backend = self.backends[cell]
            more = self.cells_ns[cell] + (0 if backend in loaded else self.fixed_ns[backend])
            if (spent + more) * rounds <= left_ns:
                chosen.add(cell)
                loaded.add(backend)
                spent += more
        return chosen
