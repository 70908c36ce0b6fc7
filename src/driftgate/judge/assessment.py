"""What came of an assessment: every measurement and every verdict, by backend."""

from collections.abc import Mapping
from dataclasses import dataclass

from driftgate.judge.accuracy_verdicts import NotShown, conclude, worst
from driftgate.judge.bounds import MetricVerdict, Outcome
from driftgate.judge.parts import Measured


@dataclass(frozen=True, slots=True, eq=False)
class BackendAssessment:
    """One backend: what was measured of it, and a verdict on every gated metric."""

    backend: str
    measured: Measured
    verdicts: tuple[MetricVerdict, ...]

    def verdict(self, not_shown: NotShown = NotShown.DRIFT) -> Outcome:
        """What its verdicts come to: FAIL, or NOT SHOWN where drift is not (everything, if so asked for), else PASS."""
        return conclude(self.verdicts, not_shown)

    @property
    def failures(self) -> tuple[MetricVerdict, ...]:
        """The verdicts that are FAIL."""
        return tuple(verdict for verdict in self.verdicts if verdict.verdict is Outcome.FAIL)

    @property
    def unshown(self) -> tuple[MetricVerdict, ...]:
        """The verdicts that are NOT SHOWN."""
        return tuple(verdict for verdict in self.verdicts if verdict.verdict is Outcome.NOT_SHOWN)


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
        """Of all backends."""
        return tuple(verdict for backend in self.backends.values() for verdict in backend.verdicts)

    def verdict(self, not_shown: NotShown = NotShown.DRIFT) -> Outcome:
        """The worst of its backends."""
        return worst(backend.verdict(not_shown) for backend in self.backends.values())

    @property
    def passed(self) -> bool:
        """Whether there are backends, each of them was shown to drift within its bounds, and none broke one."""
        return self.verdict() is Outcome.PASS
