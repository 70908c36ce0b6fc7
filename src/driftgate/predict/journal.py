"""How far a job is: a small file beside its output, replaced whole after the output itself is on disk."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from driftgate.edges.spelling import option
from driftgate.errors import InputChangedError, OutputError
from driftgate.files import create, parse_json, rename, reopen, write_all

_SCHEMA = 2
_MOST_BYTES = 1 << 20
"""A journal has some thousand; an encoder with ten thousand labels has as many thresholds in it."""


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


def write_journal(path: Path, temporary: Path, journal: Journal) -> None:
    """Replace the journal: after a crash there is the old one or the new one.

    Args:
        temporary: a name beside it.
    """
    content = json.loads(json.dumps({"schema": _SCHEMA, **asdict(journal)}))
    with create(temporary) as file:
        write_all(file, json.dumps({**content, "sha256": _digest(content)}, indent=1).encode())
        os.fsync(file.fileno())
    rename(temporary, path)


def read_journal(path: Path) -> Journal | None:
    """The journal at `path`; None where there is none.

    Raises:
        OutputError: it cannot be read, or somebody edited it.
    """
    try:
        with reopen(path) as file:
            content = parse_json(file.read(_MOST_BYTES))
        if content["schema"] != _SCHEMA:
            raise OutputError(
                f"{path}: written by another version of driftgate; start over with {option('overwrite', True)}"
            )
        return _parse(content)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise OutputError(
            f"{path}: not a readable journal ({error}); start over with {option('overwrite', True)}"
        ) from error


def _digest(content: Mapping[str, Any]) -> str:
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _parse(content: Mapping[str, Any]) -> Journal:
    """The types are checked although the digest fits: whoever edits a journal may compute that too."""
    if content["sha256"] != _digest({key: value for key, value in content.items() if key != "sha256"}):
        raise ValueError("its content is not what its sha256 says: it was edited or damaged")
    found, identity, rejected = content["counts"], content["identity"], content["counts"]["rejected"]
    counts = Counts(
        _natural(found["rows"]),
        {str(reason): _natural(rows) for reason, rows in rejected.items()},
        _natural(found["tokens"]),
        _natural(found["truncated"]),
    )
    if counts.all_rejected > counts.rows or counts.truncated > counts.rows:
        raise ValueError("more rows are rejected or cut than were read")
    if not isinstance(identity, dict) or not isinstance(content["finished"], bool):
        raise TypeError("expected an object of identity, and finished as true or false")
    sizes = _natural(content["output_bytes"]), _natural(content["rejects_bytes"])
    return Journal(identity, counts, *sizes, finished=content["finished"])


def _natural(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise ValueError(f"expected a whole number from 0, found {str(value)[:40]!r}")
    return value


def require_same(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to continue a job with another input, model or option.

    Raises:
        OutputError: with every difference.
    """
    changed = list(differences(before, json.loads(json.dumps(now))))
    if changed:
        raise OutputError(
            f"{path}: the interrupted run cannot be continued: {'; '.join(changed)}; "
            f"repeat its command with {option('resume', True)}, or start over with {option('overwrite', True)}"
        )


def require_unchanged(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse to publish scores of an input that was written to while it was read.

    Raises:
        InputChangedError: with every difference.
    """
    if changed := list(differences(before, now)):
        raise InputChangedError(
            f"{name}: it changed while it was read: {'; '.join(changed)}; nothing was published, because some rows may be those "
            f"of before and others those of now. Start over with {option('overwrite', True)} once nothing writes to it"
        )


def differences(before: Any, now: Any, name: str = "") -> Iterator[str]:
    """What was and is, for each entry of two JSON objects that differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in {**before, **now}:
            yield from differences(before.get(key), now.get(key), f"{name}, {key}" if name else key)
    elif before != now:
        yield f"{name} was {str(before)[:60]}, is {str(now)[:60]}"
