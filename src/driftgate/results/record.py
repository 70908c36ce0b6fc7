"""What a run learned, as records; `results_file` writes them down."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from driftgate.judge.accuracy_verdicts import NotShown, conclude, worst
from driftgate.judge.bounds import MetricVerdict, Outcome
from driftgate.judge.parts import CALIBRATION, QUALITY, SCORE_QUALITY, Both, Measured
from driftgate.results.environment import Header

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from driftgate.judge.diagnosis.suspects import Diagnosis
    from driftgate.measure.phases import RunTime
    from driftgate.measure.timings import Ratio
    from driftgate.results.stages import Stage

REFERENCE = "reference"
"""Its name among the sides that were measured."""


@dataclass(frozen=True, slots=True)
class About:
    """What was in force of a backend.

    Args:
        precision: its class. `runtime`, `provider`: what ran it. `arithmetic`: the type in which products are computed.
        artifact_sha256: None where it runs the encoder's weights. `size_bytes`: of the files that it runs.
    """

    precision: str
    runtime: str
    provider: str
    arithmetic: str
    threads: int
    artifact_sha256: str | None
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CellThroughput:
    """A cell that was timed: what it did, and how fast by the median round.

    Args:
        relative_margin: half the width of the 95% confidence interval of the seconds of a round, relative to them.
    """

    cell: str
    backend: str
    plan: str
    corpus: str
    rows: int
    real_tokens: int
    padded_tokens: int
    padding_share: float
    threads: int
    provider: str
    artifact_sha256: str | None
    texts_per_second: float
    real_tokens_per_second: float
    padded_tokens_per_second: float
    seconds_median: float
    seconds_min: float
    seconds_max: float
    rounds: int
    relative_margin: float


@dataclass(slots=True)
class BackendResults:
    """What one run learned about one backend; filled as tests run.

    Args:
        measured: what it was judged by. `verdicts`: on metrics. `checks`: how many other verdicts there were, passed or
            failed: a graph or folder that was checked, a cell that was timed or gated. `failed_checks`: those that failed.
        searched: the worst value that a search for counterexamples saw of each metric, which is no verdict by itself.
        graph: facts of its file. `findings`: what is wrong with it. `lock`: why it is not the locked one, by line.
        shipped: of a published model, how what lies beside it differs from the encoder.
        integer_products: of an INT8 model, whether they are exact on this processor.
        stages: of its ledger. `no_ledger`: why it has none.
        throughput, ratios: by corpus and batch plan.
        leak: growth, and the memory that it was read from.
        skipped: why it could not be run.
        diagnosis: the likely cause of its failure; None where it did not fail.
    """

    about: About | None = None
    measured: Measured = field(default_factory=Measured)
    verdicts: list[MetricVerdict] = field(default_factory=list)
    checks: int = 0
    failed_checks: int = 0
    searched: dict[str, MetricVerdict] = field(default_factory=dict)
    graph: "DataclassInstance | None" = None
    findings: "Sequence[DataclassInstance] | None" = None
    lock: Sequence[str] | None = None
    shipped: "DataclassInstance | None" = None
    integer_products: "DataclassInstance | None" = None
    stages: "Sequence[Stage]" = ()
    no_ledger: str = ""
    properties: "dict[str, DataclassInstance]" = field(default_factory=dict)
    throughput: dict[str, dict[str, CellThroughput]] = field(default_factory=dict)
    ratios: "dict[str, dict[str, Ratio]]" = field(default_factory=dict)
    fresh_process: "DataclassInstance | None" = None
    leak: "Sequence[DataclassInstance]" = ()
    skipped: str = ""
    diagnosis: "Diagnosis | None" = None

    @property
    def judged(self) -> bool:
        """Whether there was any verdict."""
        return bool(self.verdicts or self.checks)

    def verdict(self, not_shown: NotShown = NotShown.DRIFT) -> Outcome | None:
        """What its verdicts and checks come to; None where there are none. A counterexample counts too."""
        searched = [one for one in self.searched.values() if one.verdict is Outcome.FAIL]
        if self.failed_checks:
            return Outcome.FAIL
        if not self.judged and not searched:
            return None
        return conclude([*self.verdicts, *searched], not_shown) if self.verdicts or searched else Outcome.PASS

    def check(self, *, passed: bool) -> None:
        """Count a verdict that is not on a metric."""
        self.checks += 1
        self.failed_checks += not passed

    def keep_worst(self, verdict: MetricVerdict) -> None:
        """Keep what a search saw, unless it saw worse before."""
        before = self.searched.get(verdict.metric)
        if before is None or not verdict.value <= before.value:
            self.searched[verdict.metric] = verdict

    def merge(self, other: "BackendResults") -> None:
        """Take in what another process of the same run learned."""
        self.checks += other.checks
        self.failed_checks += other.failed_checks
        self.verdicts += other.verdicts
        self.measured.records |= other.measured.records
        for verdict in other.searched.values():
            self.keep_worst(verdict)
        for name in (each.name for each in fields(self)):
            if name not in ("checks", "failed_checks", "verdicts", "measured", "searched"):
                own, theirs = getattr(self, name), getattr(other, name)
                setattr(self, name, _unite(own, theirs) if isinstance(own, dict) else own or theirs)


@dataclass(slots=True)
class Results:
    """The results of one run, by backend name."""

    header: Header | None = None
    gate: Mapping[str, Any] | None = None
    """What the speed gate says of the run, JSON-ready."""
    backends: dict[str, BackendResults] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    time: "RunTime | None" = None
    """Where the time of the run went; of the processes of pytest-xdist together."""
    row_ids: dict[int, str] = field(default_factory=dict)
    """Where the rows with the largest drift stand in the corpus, such as "line 7", by number."""

    def verdict(self, not_shown: NotShown = NotShown.DRIFT) -> Outcome:
        """The worst of the backends that were judged."""
        found = (entry.verdict(not_shown) for entry in self.backends.values())
        return worst(outcome for outcome in found if outcome is not None)

    def of(self, backend: str) -> BackendResults:
        """The entry of a backend, new where there was none."""
        return self.backends.setdefault(backend, BackendResults())

    def sides(self) -> dict[str, BackendResults]:
        """The backends; before them, where it was measured, the reference with its own quality."""
        reference = BackendResults()
        for entry in self.backends.values():
            if quality := entry.measured.get(QUALITY):
                own = {policy: Both(both.reference, both.reference) for policy, both in quality.items()}
                reference.measured.put(QUALITY, own)
            if calibration := entry.measured.get(CALIBRATION):
                reference.measured.put(CALIBRATION, Both(calibration.reference, calibration.reference))
            if correlation := entry.measured.get(SCORE_QUALITY):
                reference.measured.put(SCORE_QUALITY, Both(correlation.reference, correlation.reference))
        return {**({REFERENCE: reference} if reference.measured.records else {}), **self.backends}

    def add_verdicts(self, verdicts: Sequence[MetricVerdict]) -> None:
        """Keep verdicts with their backends, and the broken ones in words."""
        for verdict in verdicts:
            self.of(verdict.backend).verdicts.append(verdict)
        self.add_violations(verdicts)

    def add_violations(self, verdicts: Sequence[MetricVerdict]) -> None:
        """Keep those that failed, in words."""
        self.violations.extend(str(verdict) for verdict in verdicts if verdict.verdict is Outcome.FAIL)

    def merge(self, other: "Results") -> None:
        """Take in what another process of the same run learned."""
        self.header, self.gate = self.header or other.header, self.gate or other.gate
        for name, theirs in other.backends.items():
            self.of(name).merge(theirs)
        self.violations.extend(other.violations)
        self.time = self.time + other.time if self.time and other.time else self.time or other.time
        self.row_ids |= other.row_ids


def _unite(own: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both tables, and the tables in them: of one corpus, this process may have timed one plan and that one another."""
    both = {key: _unite(own[key], other[key]) for key in own.keys() & other.keys() if isinstance(own[key], dict)}
    return own | other | both
