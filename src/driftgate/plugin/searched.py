"""What a search for counterexamples saw of one property on one backend."""

from dataclasses import dataclass, field

from driftgate.judge.bounds import MetricVerdict


@dataclass(slots=True)
class Searched:
    """What one property saw on one backend."""

    examples: int = 0
    largest_logit_change: float = 0.0
    largest_probability_change: float = 0.0
    refusals: int = 0

    def see(self, logit_change: float, probability_change: float) -> None:
        self.largest_logit_change = max(self.largest_logit_change, logit_change)
        self.largest_probability_change = max(self.largest_probability_change, probability_change)


@dataclass(slots=True)
class Failure:
    """The counterexamples found so far, so that shrinking can end and still replay them."""

    since: float
    examples: set[str] = field(default_factory=set)
    broken: MetricVerdict | None = None
