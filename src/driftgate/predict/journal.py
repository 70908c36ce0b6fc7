"""How far a job is: a small file beside its output, replaced whole after the output itself is on disk."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from driftgate.edges.spelling import option
from driftgate.errors import OutputError

_SCHEMA = 1
_HEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Counts:
    """What has been done with the rows so far.

    Args:
        rows: read from the input, rejected ones included.
        rejected: how many for each reason.
        tokens: of the texts answered, special ones included, padding not.
        truncated: texts that were longer than the model's limit.
    """

    rows: int = 0
    rejected: Mapping[str, int] = field(default_factory=dict)
    tokens: int = 0
    truncated: int = 0

    @property
    def all_rejected(self) -> int:
        """Rows without an answer, whatever the reason."""
        return sum(self.rejected.values())

    @property
    def answered(self) -> int:
        """Rows with an answer."""
        return self.rows - self.all_rejected


@dataclass(frozen=True, slots=True)
class Journal:
    """The state that a resumed run goes back to.

    Args:
        identity: of input, model and options; a resumed run must have the same.
        output_bytes, rejects_bytes: how much of the partial files belongs to `counts`.
        finished: every row is done; only the last renaming may be missing.
    """

    identity: Mapping[str, Any]
    counts: Counts = Counts()
    output_bytes: int = 0
    rejects_bytes: int = 0
    finished: bool = False


def write_journal(path: Path, journal: Journal) -> None:
    """Replace the journal: after a crash there is the old one or the new one."""
    temporary = path.with_name(f"{path.name}.new")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"schema": _SCHEMA, **asdict(journal)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def read_journal(path: Path) -> Journal | None:
    """The journal at `path`; None where there is none.

    Raises:
        OutputError: it cannot be read.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        schema = content.pop("schema")
        journal = Journal(**{**content, "counts": Counts(**content["counts"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise OutputError(
            f"{path}: not a readable journal ({error}); start over with {option('overwrite', True)}"
        ) from error
    if schema != _SCHEMA:
        raise OutputError(
            f"{path}: written by another version of driftgate; start over with {option('overwrite', True)}"
        )
    return journal


def describe_input(path: Path) -> dict[str, Any]:
    """What tells one input from another without reading all of it."""
    found = path.stat()
    with path.open("rb") as file:
        head = sha256(file.read(_HEAD_BYTES)).hexdigest()
    return {"bytes": found.st_size, "modified_ns": found.st_mtime_ns, f"sha256 of the first {_HEAD_BYTES} bytes": head}


def require_same(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to continue a job with another input, model or option.

    Raises:
        OutputError: with every difference.
    """
    changed = list(_differences(before, json.loads(json.dumps(now))))
    if changed:
        raise OutputError(
            f"{path}: the interrupted run cannot be continued: {'; '.join(changed)}; "
            f"repeat its command with {option('resume', True)}, or start over with {option('overwrite', True)}"
        )


def _differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from _differences(before.get(key), now.get(key), f"{name}, {key}" if name else key)
    elif before != now:
        yield f"{name} was {str(before)[:60]}, is {str(now)[:60]}"
