"""What rounds cost, and which cells are worth the time that is left."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice


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

    def choose(self, rounds_left: Mapping[str, float], left_ns: float) -> set[str]:
        """The cells to time in the next round: as many as can be expected to be decided in what is left, those that cost least
        to decide first. Where that is none, the first of which one more round fits: it may be lucky.

        Args:
            rounds_left: expected to decide each cell that is wanted, at least 1.
        """
        chosen: set[str] = set()
        loads: dict[str, float] = {}
        spent = 0.0
        by_cost = sorted(rounds_left, key=lambda cell: rounds_left[cell] * self.cells_ns[cell])
        for cell in by_cost:
            backend, rounds = self.backends[cell], rounds_left[cell]
            more_loads = max(0.0, rounds - loads.get(backend, 0.0))
            more = rounds * self.cells_ns[cell] + more_loads * self.fixed_ns[backend]
            if spent + more <= left_ns:
                chosen.add(cell)
                loads[backend] = loads.get(backend, 0.0) + more_loads
                spent += more
        if chosen:
            return chosen
        fitting = (c for c in by_cost if self.cells_ns[c] + self.fixed_ns[self.backends[c]] <= left_ns)
        return set(islice(fitting, 1))
