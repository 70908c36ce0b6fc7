"""Where the time of a run goes, by phase, and how much of it is inference that no run could do without."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

OTHER = "pytest and judging"
"""Whatever is in no phase: collecting tests, statistics, tables."""

BUILD, LOAD, REFERENCE, PROPERTIES, CAUSES, RATIOS = (
    "build", "load", "reference", "properties", "causes of failures", "ratios to torch",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunTime:
    """Where the time of a run went.

    Args:
        seconds: of the whole run, by the clock.
        inference_seconds: of them, the least that its verdicts need: one pass of the reference and of each backend over all
            rows, long ones included, and the timed repetitions.
        phases: seconds by phase, in the order in which they began; together they are `seconds`.
    """

    seconds: float
    inference_seconds: float
    phases: Mapping[str, float]

    @property
    def ratio(self) -> float | None:
        """How many times as long as that inference the run took; None where there was none."""
        return self.seconds / self.inference_seconds if self.inference_seconds > 0 else None

    def __add__(self, other: "RunTime") -> "RunTime":
        """Of two processes of one run together."""
        names = {**self.phases, **other.phases}
        phases = {name: self.phases.get(name, 0.0) + other.phases.get(name, 0.0) for name in names}
        return RunTime(self.seconds + other.seconds, self.inference_seconds + other.inference_seconds, phases)


class Phases:
    """Takes the time of phases, which may lie in each other: a second counts for the innermost alone.

    Args:
        clock: seconds, rising.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._started = self._marked = clock()
        self._within = [OTHER]
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._inference = 0.0

    @contextmanager
    def during(self, phase: str, *, needed: bool = False) -> Iterator[None]:
        """Count what is done within for `phase`.

        Args:
            needed: all of it is inference that the run's verdicts need.
        """
        self._mark()
        self._within.append(phase)
        started = self._marked
        try:
            yield
        finally:
            self._mark()
            self._within.pop()
            if needed:
                self._inference += self._marked - started

    def count_inference(self, seconds: float) -> None:
        """Of the phase that is under way, `seconds` were inference that the run's verdicts need."""
        self._inference += seconds

    def taken(self) -> RunTime:
        """Of the run so far."""
        self._mark()
        return RunTime(self._marked - self._started, self._inference, dict(self._seconds))

    def _mark(self) -> None:
        now = self._clock()
        self._seconds[self._within[-1]] += now - self._marked
        self._marked = now
