"""How much of a run is done and how long the rest takes, from how long its tests took so far and the last time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

_SLOWEST, _FASTEST = 5.0, 0.2
"""How much slower or faster than the last time tests may seem to be: a first one says little."""


@dataclass(frozen=True, slots=True)
class TimedTest:
    """A test of a run: `kind` is what it has in common with those that take about as long."""

    id: str
    kind: str


@dataclass(slots=True)
class Forecast:
    """Takes the seconds of tests as they end.

    Args:
        tests: of the run.
        past: seconds of tests by id, of an earlier run; empty where there was none.
    """

    tests: Sequence[TimedTest]
    past: Mapping[str, float]
    taken: dict[str, float] = field(default_factory=dict)

    def add(self, test: str, seconds: float) -> None:
        """A part of a test took so long: its set-up, its call, or what comes after."""
        self.taken[test] = self.taken.get(test, 0.0) + seconds

    @property
    def seconds_left(self) -> float | None:
        """Of the tests that have not begun; None while nothing tells how long any of them takes."""
        if not self.taken and not self.past:
            return None
        ended: dict[str, list[str]] = {}
        for test in self.tests:
            if test.id in self.taken:
                ended.setdefault(test.kind, []).append(test.id)
        means = {kind: fmean(self.taken[test] for test in tests) for kind, tests in ended.items()}
        usual = fmean([*self.taken.values()] or [*self.past.values()])
        slower = {kind: found for kind, tests in ended.items() if (found := self._slower(tests)) is not None}
        # More rows make some kinds of tests take longer, and another machine all of them: most kinds tell of the others.
        most = median(slower.values()) if slower else 1.0
        return sum(
            self.past[test.id] * slower.get(test.kind, most) if test.id in self.past else means.get(test.kind, usual)
            for test in self.tests
            if test.id not in self.taken
        )

    @property
    def share_done(self) -> float | None:
        """Of the time of the run, 0 to 1; None as for `seconds_left`."""
        left, done = self.seconds_left, sum(self.taken.values())
        return None if left is None else done / (done + left) if done + left > 0 else 1.0

    def _slower(self, tests: Sequence[str]) -> float | None:
        """How many times as long as the last time these took; None where nobody knows."""
        both = [test for test in tests if test in self.past]
        before = sum(self.past[test] for test in both)
        return min(max(sum(self.taken[test] for test in both) / before, _FASTEST), _SLOWEST) if before > 0 else None
