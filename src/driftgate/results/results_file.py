"""`results.json`: everything a run measured, as one versioned document. `docs/results.md` describes the schema."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftgate.files import write_whole
from driftgate.judge.accuracy_verdicts import BROKEN, PASSED, NotShown
from driftgate.judge.bounds import MetricVerdict, Outcome
from driftgate.judge.parts import PARTS, Both
from driftgate.results.document import read_document
from driftgate.results.record import BackendResults, Results

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA = 2
FILE_NAME = "results.json"


def write_results(results: Results, folder: Path, exit_code: int, not_shown: NotShown = NotShown.DRIFT) -> Path:
    """Write `results.json` into `folder`, whole or not at all; a new folder tells git to ignore it.

    Raises:
        ValueError: a number that is not finite, which JSON cannot say.
    """
    text = json.dumps(describe_results(results, exit_code, not_shown), indent=2, allow_nan=False) + "\n"
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if new:
        (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    target = folder / FILE_NAME
    write_whole(target, text)
    return target


def read_results(path: Path) -> dict[str, Any]:
    """The document, as JSON has it.

    Raises:
        ResultsError: no such file, one that is too large, not JSON, or not of this schema.
    """
    return read_document(path, "results", SCHEMA, "a run of the suites")


def describe_results(results: Results, exit_code: int, not_shown: NotShown = NotShown.DRIFT) -> dict[str, Any]:
    """The document, as JSON has it."""
    taken = results.time
    return {
        "schema": SCHEMA,
        **_fields(results.header),
        "exit_code": exit_code,
        "verdict": str(_verdict_of_run(results, exit_code, not_shown)),
        **({"gate": results.gate} if results.gate else {}),
        "backends": {name: _describe_backend(entry, not_shown) for name, entry in results.sides().items()},
        "violations": results.violations,
        "row_ids": results.row_ids,
        "time": {} if taken is None else {**asdict(taken), "ratio": taken.ratio},
    }


def _verdict_of_run(results: Results, exit_code: int, not_shown: NotShown) -> Outcome:
    """Of the backends, unless something else failed, or broke the run off: then nothing was shown."""
    if exit_code == BROKEN:
        return Outcome.FAIL
    found = results.verdict(not_shown)
    return found if exit_code == PASSED or found is Outcome.FAIL else Outcome.NOT_SHOWN


def _describe_verdict(verdict: MetricVerdict) -> dict[str, Any]:
    """Limits that these rows do not set, and bounds that judge nothing, are infinite, which JSON cannot say: null."""
    limits, bound = verdict.limits, verdict.bound
    numbers = {"value": limits.value, "low": limits.low, "high": limits.high, "limit": bound.limit}
    return {
        "metric": verdict.metric,
        "policy": verdict.policy,
        **{name: number if math.isfinite(number) else None for name, number in numbers.items()},
        "low_level": limits.low_level,
        "high_level": limits.high_level,
        "bound": "at most" if bound.at_most else "at least",
        "verdict": str(verdict.verdict),
        "rows_needed": verdict.rows_needed,
    }


def _describe_backend(entry: BackendResults, not_shown: NotShown) -> dict[str, Any]:
    graph = _fields(entry.graph)
    if entry.findings is not None:
        graph["findings"] = [asdict(finding) for finding in entry.findings]
    if entry.lock is not None:
        graph["lock"] = list(entry.lock)
    ledger: dict[str, Any] = {"stages": [asdict(stage) for stage in entry.stages]} if entry.stages else {}
    return {
        "about": _fields(entry.about),
        **{part.name: _to_json(entry.measured.get(part) or {}) for part in PARTS},
        "graph": graph,
        "shipped": _fields(entry.shipped),
        "integer_products": _fields(entry.integer_products),
        "ledger": {"left_out": entry.no_ledger} if entry.no_ledger else ledger,
        "searched": {name: verdict.value for name, verdict in entry.searched.items()},
        "properties": _to_json(entry.properties),
        "throughput": _to_json(entry.throughput),
        "ratios": _to_json(entry.ratios),
        "fresh_process": _fields(entry.fresh_process),
        "leak": {name: value for record in entry.leak for name, value in asdict(record).items()},
        "verdict": entry.verdict(not_shown),
        "verdicts": [_describe_verdict(verdict) for verdict in entry.verdicts],
        "checks": entry.checks,
        "failed_checks": entry.failed_checks,
        "skipped": entry.skipped,
        "diagnosis": _fields(entry.diagnosis),
    }


def _fields(record: "DataclassInstance | None") -> dict[str, Any]:
    return {} if record is None else asdict(record)


def _to_json(record: Any) -> Any:
    """A record, or records by name; of what was measured of both sides, the backend's."""
    if isinstance(record, dict):
        return {key: _to_json(value) for key, value in record.items()}
    return asdict(record.backend if isinstance(record, Both) else record)
