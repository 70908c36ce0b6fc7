"""What came of an assessment: every measurement and every verdict, by backend."""

from collections.abc import Mapping
from dataclasses import dataclass

from driftgate.judge.bounds import MetricVerdict, Outcome
from driftgate.judge.parts import Measured


@dataclass(frozen=True, slots=True, eq=False)
class BackendAssessment:
    """One backend: what was measured of it, and a verdict on every gated metric."""

    backend: str
    measured: Measured
    verdicts: tuple[MetricVerdict, ...]

    @property
    def failures(self) -> tuple[MetricVerdict, ...]:
        return tuple(verdict for verdict in self.verdicts if verdict.verdict is Outcome.FAIL)


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """Some backends of one encoder on one corpus.

    Args:
        encoder, corpus: their names. `rows`: how many texts were judged.
        backends: by name.
    """

    encoder: str
    corpus: str
    rows: int
    backends: Mapping[str, BackendAssessment]

    @property
    def verdicts(self) -> tuple[MetricVerdict, ...]:
        return tuple(verdict for backend in self.backends.values() for verdict in backend.verdicts)

    @property
    def passed(self) -> bool:
        """Whether every backend got verdicts, and none of them is a failure."""
        return bool(self.backends) and all(one.verdicts and not one.failures for one in self.backends.values())
