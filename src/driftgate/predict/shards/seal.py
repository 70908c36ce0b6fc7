"""What stands beside the output of a shard: of which plan and model it is, and the digest that says it is whole."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from driftgate.builder.artifact import file_sha256
from driftgate.files import parse_json, write_whole
from driftgate.predict.shards.plan import Plan, Shard

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Seal:
    """Of one output.

    Args:
        plan: sha256 of the plan. `shard`: which of its shards, from 0.
        identity: model and options, which all shards of a merged file must share.
        rows: of the shard. `head_bytes`: what stands before the first row.
        output, rejects: sha256 of the files; rejects is empty where there are none.
    """

    plan: str
    shard: int
    identity: Mapping[str, Any]
    rows: int
    head_bytes: int
    output: str
    rejects: str
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class ShardFiles:
    """Where the files of a shard are."""

    output: Path

    @property
    def rejects(self) -> Path:
        """Rows that could not be scored; there only if there are any."""
        return self.output.with_name(f"{self.output.name}.rejects.jsonl")

    @property
    def seal(self) -> Path:
        """Written last."""
        return self.output.with_name(f"{self.output.name}.seal.json")


def files_of(plan_path: Path, shard: Shard) -> ShardFiles:
    """Beside the plan."""
    return ShardFiles(plan_path.parent / shard.output)


def write_seal(files: ShardFiles, seal: Seal) -> None:
    """Write it beside the output."""
    write_whole(files.seal, json.dumps(asdict(seal), indent=1) + "\n")


def read_seal(files: ShardFiles) -> Seal | None:
    """The seal; None where there is none that can be read."""
    try:
        seal = Seal(**parse_json(files.seal.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return seal if seal.schema == SCHEMA else None


def find_fault(files: ShardFiles, plan: Plan, place: int) -> str:
    """What is wrong with the output of shard `place`; empty where it is whole and of this plan."""
    if not files.output.is_file():
        return "not done"
    seal = read_seal(files)
    if seal is None:
        return "not sealed: it was interrupted, or is not of a plan"
    if (seal.plan, seal.shard) != (plan.sha256, place):
        return "of another plan"
    if seal.rows != plan.shards[place].part.rows:
        return f"{seal.rows:,} rows, expected {plan.shards[place].part.rows:,}"
    rejects = file_sha256(files.rejects) if files.rejects.is_file() else ""
    if file_sha256(files.output) != seal.output or rejects != seal.rejects:
        return "changed since it was written"
    return ""
