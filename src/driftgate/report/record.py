"""`results.json`: everything a run measured, as one versioned document. `docs/results.md` describes the schema."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # scikit-learn is slow to import, and every pytest run of every project imports the plugin
    from _typeshed import DataclassInstance

    from driftgate.judge.bootstrap import PairedLoss
    from driftgate.judge.bounds import Violation
    from driftgate.judge.flips import Flips
    from driftgate.judge.speed import Ratio

SCHEMA = 1
FILE_NAME = "results.json"


@dataclass(slots=True)
class BackendResults:
    """What one run learned about one backend; filled as tests run, JSON-ready."""

    about: dict[str, Any] = field(default_factory=dict)
    drift: dict[str, Any] = field(default_factory=dict)
    error_ratio: dict[str, Any] = field(default_factory=dict)
    flips: dict[str, Any] = field(default_factory=dict)
    margins: dict[str, Any] = field(default_factory=dict)
    agreement: dict[str, Any] = field(default_factory=dict)
    prevalence: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    losses: dict[str, Any] = field(default_factory=dict)
    subset_accuracy: dict[str, Any] = field(default_factory=dict)
    slices: dict[str, Any] = field(default_factory=dict)
    noise: dict[str, Any] = field(default_factory=dict)
    movement: dict[str, Any] = field(default_factory=dict)
    graph: dict[str, Any] = field(default_factory=dict)
    ledger: dict[str, Any] = field(default_factory=dict)
    properties: dict[str, dict[str, Any]] = field(default_factory=dict)
    throughput: dict[str, dict[str, Any]] = field(default_factory=dict)
    ratios: dict[str, dict[str, Any]] = field(default_factory=dict)
    fresh_process: dict[str, Any] = field(default_factory=dict)
    leak: dict[str, Any] = field(default_factory=dict)
    verdicts: int = 0
    skipped: str = ""


@dataclass(slots=True)
class Results:
    """The results of one run, by backend name; `reference` is one of the names in `quality` tables only."""

    header: dict[str, Any] = field(default_factory=dict)
    backends: dict[str, BackendResults] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def of(self, backend: str) -> BackendResults:
        return self.backends.setdefault(backend, BackendResults())

    def add(self, backend: str, part: str, record: "DataclassInstance", policy: str = "") -> None:
        """Keep a judge's record under one of the parts of `BackendResults`, by policy where it depends on thresholds."""
        content = asdict(record)
        setattr(self.of(backend), part, {**getattr(self.of(backend), part), policy: content} if policy else content)

    def add_flips(self, backend: str, policy: str, flips: "Flips") -> None:
        self.of(backend).flips[policy] = {**asdict(flips), "rate": flips.rate}

    def add_losses(self, backend: str, policy: str, losses: "Mapping[str, PairedLoss]") -> None:
        self.of(backend).losses[policy] = {metric: asdict(loss) for metric, loss in losses.items()}

    def add_throughput(self, backend: str, corpus: str, plan: str, measured: Mapping[str, Any]) -> None:
        self.of(backend).throughput.setdefault(corpus, {})[plan] = dict(measured)

    def add_ratio(self, backend: str, corpus: str, plan: str, ratio: "Ratio") -> None:
        self.of(backend).ratios.setdefault(corpus, {})[plan] = asdict(ratio)

    def add_violations(self, violations: "list[Violation]") -> None:
        self.violations.extend(str(violation) for violation in violations)

    def merge(self, other: dict[str, Any]) -> None:
        """Take in what another process of the same run measured (`to_json` of it)."""
        self.header = self.header or other["header"]
        for name, content in other["backends"].items():
            own = self.of(name)
            own.verdicts += content.pop("verdicts")
            for part, value in content.items():
                current = getattr(own, part)
                setattr(own, part, _unite(current, value) if isinstance(current, dict) else current or value)
        self.violations.extend(other["violations"])

    def to_json(self) -> dict[str, Any]:
        return {
            "header": self.header,
            "backends": {name: asdict(results) for name, results in self.backends.items()},
            "violations": self.violations,
        }


def _unite(own: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both tables, and the tables in them: of one corpus, this process may have timed one plan and that one another."""
    both = {key: _unite(own[key], other[key]) for key in own.keys() & other.keys() if isinstance(own[key], dict)}
    return own | other | both


def write_results(results: Results, folder: Path, exit_code: int) -> Path:
    """Write `results.json` into `folder`, whole or not at all; a new folder tells git to ignore it.

    Raises:
        ValueError: a number that is not finite, which JSON cannot say.
    """
    content = results.to_json()
    document = {"schema": SCHEMA, **content.pop("header"), "exit_code": exit_code, **content}
    text = json.dumps(document, indent=2, allow_nan=False) + "\n"
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if new:
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    target = folder / FILE_NAME
    partial = folder / f".{FILE_NAME}.{os.getpid()}.partial"
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return target
