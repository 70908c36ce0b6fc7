"""A plan: which rows are whose, where they lie in their file, and what they were when the plan was made."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from driftgate.edges import remote_files, remote_outputs
from driftgate.edges.spelling import option
from driftgate.edges.stores import is_url
from driftgate.errors import OptionError
from driftgate.files import parse_json, write_whole
from driftgate.predict.reading.part import Part

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Input:
    """A file that rows come from.

    Args:
        name: as it was given, or found by a glob.
        bytes: its size; 0 where a server does not say.
        tag: what its store calls this content, such as an ETag; empty for a file of this machine.
    """

    name: str
    bytes: int
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows of one file, a whole number of windows.

    Args:
        input: the file.
        sha256: of what is read for these rows (`digest_part`); empty where the file has a tag.
        output: the name of its output, in the folder of the plan.
    """

    input: str
    part: Part
    sha256: str
    output: str


@dataclass(frozen=True, slots=True)
class Scoring:
    """A model and how it scores, as the options of `driftgate predict` say it.

    Args:
        model: a path or hub id; empty where none is named.
        threads: 0 for as many as there are cores.
    """

    model: str = ""
    backend: str | None = None
    revision: str | None = None
    max_tokens: int | None = None
    top: int | None = None
    logits: bool = False
    thresholds: str | None = None
    device: str = "cpu"
    threads: int = 0

    def or_else(self, planned: "Scoring | None") -> "Scoring":
        """These, and what a plan says where they say nothing."""
        if planned is None:
            return self
        usual = Scoring()
        given = {name: value for name, value in asdict(self).items() if value != getattr(usual, name)}
        return replace(planned, **given)


@dataclass(frozen=True, slots=True)
class Plan:
    """Shards in the order of their rows.

    Args:
        reading: how rows are read and cut into windows: arguments of `PredictionJob`.
        inputs: the files of all shards.
        scoring: the model and options of scoring, where the plan names them. `identity`: what a job with them has as model and
            options (`Summary.identity`); jobs with others are refused then.
        sha256: of the plan as it is written.
    """

    reading: Mapping[str, Any]
    shards: tuple[Shard, ...]
    inputs: tuple[Input, ...] = ()
    scoring: Scoring | None = None
    identity: Mapping[str, Any] | None = None
    sha256: str = ""

    @property
    def rows(self) -> int:
        """Of all shards."""
        return sum(shard.part.rows for shard in self.shards)


def require_place(path: str, *, overwrite: bool) -> None:
    """Refuse a place where a plan is, or where outputs of shards cannot be.

    Raises:
        OptionError: a plan is there. OutputError: a store where of two workers on one shard both could win.
    """
    if is_url(path):
        remote_outputs.require_exclusive(path)
    if (remote_files.exists(path) if is_url(path) else Path(path).exists()) and not overwrite:
        raise OptionError(
            f"{path}: it exists; {option('overwrite', True)} replaces it, and outputs of the old plan are not of the new one"
        )


def write_plan(path: Path | str, plan: Plan) -> None:
    """Write it; the same plan gives the same bytes. A line a shard, so that it can be read and searched.

    Raises:
        OutputError: a URL that cannot be written.
    """
    head = {"schema": SCHEMA, "rows": plan.rows, "reading": dict(plan.reading)}
    if plan.scoring is not None:
        head |= {"scoring": _shorten(plan.scoring), "identity": plan.identity}
    lists = {"inputs": map(_shorten, plan.inputs), "shards": map(_shorten, plan.shards)}
    parts = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    parts += [
        f" {json.dumps(name)}: [\n  " + ",\n  ".join(map(json.dumps, rows)) + "\n ]" for name, rows in lists.items()
    ]
    text = "{\n" + ",\n".join(parts) + "\n}\n"
    if is_url(str(path)):
        remote_outputs.write_whole(str(path), text.encode())
    else:
        write_whole(Path(path), text)


def read_plan(path: Path | str) -> Plan:
    """The plan at `path`, which may be a URL.

    Raises:
        OptionError: no plan, or one of another version.
    """
    content = _read(path)
    try:
        found = parse_json(content)
        schema = found["schema"]
        if schema == SCHEMA:
            shards = tuple(Shard(**{**shard, "part": Part(**shard["part"])}) for shard in found["shards"])
            inputs = tuple(Input(**one) for one in found["inputs"])
            scoring = Scoring(**found["scoring"]) if "scoring" in found else None
            sha256 = hashlib.sha256(content).hexdigest()
            return Plan(found["reading"], shards, inputs, scoring, found.get("identity"), sha256)
    except (ValueError, TypeError, KeyError) as error:
        raise OptionError(f"{path}: not a readable plan ({error}); make it again with `driftgate shard`") from error
    raise OptionError(f"{path}: a plan of version {schema}, expected {SCHEMA}; make it again with `driftgate shard`")


def _read(path: Path | str) -> bytes:
    missing = f"{path}: expected a plan that `driftgate shard` wrote"
    if is_url(str(path)):
        content = remote_files.read_whole(str(path))
        if content is None:
            raise OptionError(f"{missing} (no such file)")
        return content
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise OptionError(f"{missing} ({error.strerror})") from error


def _shorten(record: Any) -> dict[str, Any]:
    """Without what has its default."""
    entry = asdict(record)
    if "part" in entry:
        entry["part"] = _shorten(record.part)
    defaults = {field.name: field.default for field in fields(record)}
    return {name: value for name, value in entry.items() if value != defaults[name]}
