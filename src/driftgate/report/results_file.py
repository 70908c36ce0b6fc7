"""`results.json`: everything a run measured, as one versioned document. `docs/results.md` describes the schema."""

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftgate.judge.parts import PARTS, Both
from driftgate.report.record import BackendResults, Results

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SCHEMA = 1
FILE_NAME = "results.json"


def write_results(results: Results, folder: Path, exit_code: int) -> Path:
    """Write `results.json` into `folder`, whole or not at all; a new folder tells git to ignore it.

    Raises:
        ValueError: a number that is not finite, which JSON cannot say.
    """
    text = json.dumps(describe_results(results, exit_code), indent=2, allow_nan=False) + "\n"
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


def describe_results(results: Results, exit_code: int) -> dict[str, Any]:
    """The document, as JSON has it."""
    gate = {"gate": results.gate.to_json()} if results.gate else {}
    head = {"schema": SCHEMA, **_fields(results.header), "exit_code": exit_code, **gate}
    backends = {name: _describe_backend(entry) for name, entry in results.sides().items()}
    return {**head, "backends": backends, "violations": results.violations}


def _describe_backend(entry: BackendResults) -> dict[str, Any]:
    graph = {**_fields(entry.graph)}
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
        "verdicts": len(entry.verdicts) + entry.checks,
        "skipped": entry.skipped,
    }


def _fields(record: "DataclassInstance | None") -> dict[str, Any]:
    return {} if record is None else asdict(record)


def _to_json(record: Any) -> Any:
    """A record, or records by name; of what was measured of both sides, the backend's."""
    if isinstance(record, dict):
        return {key: _to_json(value) for key, value in record.items()}
    return asdict(record.backend if isinstance(record, Both) else record)
