"""What stands beside the output of a shard: of which plan and model it is, and the digest that says it is whole."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from driftgate.files import parse_json
from driftgate.predict.shards.folders import LocalFolder, ObjectFolder, SealedFile, folder_of
from driftgate.predict.shards.plan import Plan, Shard

SCHEMA = 2


@dataclass(frozen=True, slots=True)
class Seal:
    """Of one output.

    Args:
        plan: sha256 of the plan. `shard`: which of its shards, from 0.
        identity: model and options, which all shards of a merged file must share.
        rows: of the shard. `head_bytes`: what stands before the first row.
        output: None from when a job begins until it is done: what is there under our names is ours then.
        rejects: rows that could not be scored; None where there are none.
        machine: `cpu` and `instruction_sets` of the one that scored it. `precision`: the class of arithmetic of the backend.
    """

    plan: str
    shard: int
    identity: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 0
    head_bytes: int = 0
    output: SealedFile | None = None
    rejects: SealedFile | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    precision: str = ""
    schema: int = SCHEMA

    @property
    def files(self) -> tuple[SealedFile, ...]:
        """All that it vouches for."""
        return tuple(file for file in (self.output, self.rejects) if file)


@dataclass(frozen=True, slots=True)
class ShardFiles:
    """The files of a shard in a folder.

    Args:
        name: of the output.
    """

    folder: LocalFolder | ObjectFolder
    name: str

    @property
    def rejects(self) -> str:
        """Rows that could not be scored; there only if there are any."""
        return f"{self.name}.rejects.jsonl"

    @property
    def seal(self) -> str:
        """Written last."""
        return f"{self.name}.seal.json"

    def __str__(self) -> str:
        return self.folder.path(self.name)


def files_of(plan_path: Path | str, shard: Shard) -> ShardFiles:
    """Beside the plan."""
    return ShardFiles(folder_of(plan_path), shard.output)


def write_seal(files: ShardFiles, seal: Seal) -> bool:
    """Write it beside the output; False where an object store has one, and this one is not written.

    Raises:
        OutputError: it cannot be written.
    """
    return files.folder.write(files.seal, f"{json.dumps(asdict(seal), indent=1)}\n".encode())


def read_seal(files: ShardFiles) -> Seal | None:
    """The seal; None where there is none that can be read."""
    return parse_seal(files.folder.read(files.seal))


def parse_seal(content: bytes | None) -> Seal | None:
    """A seal as it is written; None for anything else."""
    try:
        found = parse_json(content or b"")
        sealed = {name: SealedFile(**found[name]) if found[name] else None for name in ("output", "rejects")}
        seal = Seal(**{**found, **sealed})
    except (ValueError, TypeError, KeyError):
        return None
    return seal if seal.schema == SCHEMA else None


def find_fault(files: ShardFiles, plan: Plan, place: int, *, contents: bool = True) -> str:
    """What is wrong with the output of shard `place`; empty where it is whole and of this plan.

    Args:
        contents: whether to read the files, as far as that is needed to know that they are those that were sealed.
    """
    seal = read_seal(files)
    if seal is None:
        return "not sealed: it is not of a plan" if files.folder.has(files.name) else "not done"
    if (seal.plan, seal.shard) != (plan.sha256, place):
        return "of another plan"
    if seal.output is None:
        return "not done"
    if seal.rows != plan.shards[place].part.rows:
        return f"{seal.rows:,} rows, expected {plan.shards[place].part.rows:,}"
    if contents and not all(map(files.folder.has_sealed, seal.files)):
        return "gone, or changed since it was written"
    return ""
