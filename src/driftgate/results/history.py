"""The history of accepted runs: a file of JSON lines, to which every run that ends with exit code 0 adds one.

`docs/history.md` describes the fields.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from driftgate.edges.processes import run_git
from driftgate.edges.spelling import option
from driftgate.errors import DriftgateError, ResultsError
from driftgate.files import locked, parse_json, write_whole
from driftgate.results.results_file import read_results

SCHEMA = 1
_WAIT_SECONDS = 10.0
_PAUSE_SECONDS = 0.05
_OBJECTS = 4
_HOST = ("cpu", "instruction_sets", "usable_cores")
_LIMITS = ("value", "low", "high", "limit", "verdict")


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One accepted run.

    Args:
        date: when it ended, in UTC. `commit`: what was checked out; None outside of a repository.
        encoder, corpus: names and digests; no corpus where none was given. `host`: processor, instruction sets, usable cores.
        versions: of libraries, by name. `verdict`: of the run.
        backends: by name, `verdict`, `artifact_sha256`, `size_bytes` and `metrics`: of each metric, with its policy where it has
            one, `value`, `low`, `high`, `limit` (null where they are infinite) and `verdict`.
    """

    date: datetime
    commit: str | None
    encoder: Mapping[str, Any]
    corpus: Mapping[str, Any] | None
    host: Mapping[str, Any]
    versions: Mapping[str, str]
    verdict: str
    backends: Mapping[str, Mapping[str, Any]]


def keep_history(path: Path | None, results: Path, project: Path) -> list[str]:
    """Append an accepted run, one that ended with exit code 0, to the history at `path`, where there is to be one.

    A history that cannot be written is said, and leaves the run's exit code as it is.

    Args:
        results: the run's `results.json`. `project`: a folder of the repository whose commit is named.

    Returns:
        Lines that say what was done.
    """
    if path is None:
        return []
    try:
        document = read_results(results)
        if document["exit_code"]:
            return [f"history not written: a run that ends with {document['exit_code']} is not accepted"]
        if "environment" not in document:
            return ["history not written: nothing was judged"]
        said = append_entry(path, describe_entry(document, datetime.now(UTC), _find_commit(project)))
    except (OSError, DriftgateError) as error:
        return [f"history not written: {error}"]
    return [*([said] if said else []), f"history: {path}"]


def _find_commit(folder: Path) -> str | None:
    """What is checked out there; None outside of a repository, without git, or before its first commit."""
    try:
        found = run_git(folder, "rev-parse", "HEAD")
    except OSError:
        return None
    return None if found.returncode else found.stdout.strip()


def describe_entry(document: Mapping[str, Any], date: datetime, commit: str | None) -> dict[str, Any]:
    """A line of the history, JSON-ready, from the document that `results.json` has."""
    environment, corpus = document["environment"], document["corpus"]
    return {
        "schema": SCHEMA,
        "date": date.astimezone(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "encoder": {name: document["encoder"][name] for name in ("name", "sha256")},
        "corpus": corpus and {name: corpus[name] for name in ("name", "sha256", "rows")},
        "host": {name: environment[name] for name in _HOST},
        "versions": environment["versions"],
        "verdict": document["verdict"],
        "backends": {
            name: _describe_backend(entry)
            for name, entry in document["backends"].items()
            if entry["verdict"] is not None
        },
    }


def _describe_backend(entry: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {
        f"{each['metric']} {each['policy']}".strip(): {name: each[name] for name in _LIMITS}
        for each in entry["verdicts"]
    }
    about = {name: entry["about"].get(name) for name in ("artifact_sha256", "size_bytes")}
    return {"verdict": entry["verdict"], **about, "metrics": metrics}


def append_entry(path: Path, entry: Mapping[str, Any]) -> str:
    """Add a line, while no other process does; the file has all of it or none of it.

    A last line without its end, which a copy that was broken off can leave, is moved to a file of its own first.

    Returns:
        A sentence about such a line; "" where there was none.

    Raises:
        ResultsError: another process holds the file for ten seconds. OSError: it cannot be written.
    """
    line = json.dumps(entry, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            with locked(path.with_name(f".{path.name}.lock")):
                return _append(path, line)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                raise ResultsError(
                    f"history {path}: another run has been writing it for {_WAIT_SECONDS:g} s"
                ) from error
            time.sleep(_PAUSE_SECONDS)


def _append(path: Path, line: str) -> str:
    before = path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else ""
    whole, end, torn = before.rpartition("\n")
    said = ""
    if torn:
        aside = path.with_name(f"{path.name}.torn-{time.time_ns()}")
        _write(aside, torn)
        said = f"history {path}: its last line had no end, and was moved to {aside.name}"
    _write(path, whole + end + line)
    return said


def _write(path: Path, text: str) -> None:
    """As `write_whole`, and refuse what is not UTF-8: nobody would be able to read it."""
    try:
        write_whole(path, text)
    except UnicodeEncodeError as error:
        raise ResultsError(f"history {path}: expected UTF-8 text; name another file") from error


def read_history(path: Path) -> Sequence[HistoryEntry]:
    """Its entries, oldest line first; a last line without its end is left out.

    Raises:
        ResultsError: no such file, or a line that is no entry of this schema, by its number.
    """
    try:
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    except (OSError, ValueError) as error:
        raise ResultsError(f"history {path}: cannot be read ({error}); {option('history')} writes it") from error
    return [_read_entry(path, number, line) for number, line in enumerate(whole.split("\n") if whole else [], start=1)]


def _read_entry(path: Path, number: int, line: str) -> HistoryEntry:
    try:
        found = parse_json(line)
        if found["schema"] != SCHEMA:
            raise ResultsError(
                f"history {path}, line {number}: schema {found['schema']!r}, and this driftgate reads schema {SCHEMA}"
            )
        fields = {name: found[name] for name in HistoryEntry.__dataclass_fields__}
        objects = [name for name in ("encoder", "host", "versions", "backends") if isinstance(fields[name], dict)]
        if len(objects) != _OBJECTS:
            raise ResultsError(
                f"history {path}, line {number}: expected objects under encoder, host, versions and backends, found them "
                f"under {', '.join(objects) or 'none'}"
            )
        _require_types(fields)
        return HistoryEntry(**{**fields, "date": datetime.fromisoformat(found["date"])})
    except (ValueError, TypeError, KeyError) as error:
        raise ResultsError(
            f"history {path}, line {number}: expected an accepted run as one JSON object ({error})"
        ) from error


def _require_types(fields: Mapping[str, Any]) -> None:
    for name, kind in (("commit", str), ("corpus", dict), ("verdict", str)):
        if not isinstance(fields[name], kind | None):
            raise TypeError(f"{name} is {fields[name]!r:.60}")
    if not all(map(_is_backend, fields["backends"].values())):
        raise TypeError("a backend is no object with metrics, each an object with a number")


def _is_backend(entry: Any) -> bool:
    metrics = entry.get("metrics") if isinstance(entry, dict) else None
    return isinstance(metrics, dict) and all(
        isinstance(metric, dict) and isinstance(metric.get("value"), int | float | None) for metric in metrics.values()
    )
