"""A plan: which rows are whose, where they lie in their file, and what they were when the plan was made."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from driftgate.errors import OptionError
from driftgate.files import parse_json, write_whole
from driftgate.predict.reading.part import Part

SCHEMA = 1
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows of one file, a whole number of windows.

    Args:
        input: the file, as it was given.
        sha256: of the bytes that hold the rows; of the whole file where it is one shard.
        output: the name of its output, in the folder of the plan.
    """

    input: str
    part: Part
    sha256: str
    output: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Shards in the order of their rows.

    Args:
        reading: how rows are read and cut into windows: arguments of `PredictionJob`.
        sha256: of the plan as it is written.
    """

    reading: Mapping[str, Any]
    shards: tuple[Shard, ...]
    sha256: str = ""

    @property
    def rows(self) -> int:
        """Of all shards."""
        return sum(shard.part.rows for shard in self.shards)


def write_plan(path: Path, plan: Plan) -> None:
    """Write it; the same plan gives the same bytes."""
    content = {"schema": SCHEMA, "reading": dict(plan.reading), "shards": [asdict(shard) for shard in plan.shards]}
    write_whole(path, json.dumps(content, indent=1) + "\n")


def read_plan(path: Path) -> Plan:
    """The plan at `path`.

    Raises:
        OptionError: no plan, or one of another version.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content = parse_json(text)
        schema = content["schema"]
        if schema == SCHEMA:
            shards = tuple(Shard(**{**shard, "part": Part(**shard["part"])}) for shard in content["shards"])
            return Plan(content["reading"], shards, hashlib.sha256(text.encode()).hexdigest())
    except OSError as error:
        raise OptionError(f"{path}: expected a plan that `driftgate shard` wrote ({error.strerror})") from error
    except (ValueError, TypeError, KeyError) as error:
        raise OptionError(f"{path}: not a readable plan ({error}); make it again with `driftgate shard`") from error
    raise OptionError(f"{path}: a plan of version {schema}, expected {SCHEMA}; make it again with `driftgate shard`")


def digest_range(path: Path, first_byte: int, end_byte: int) -> str:
    """sha256 of the bytes from `first_byte` up to `end_byte`; of the whole file for 0 and 0."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(first_byte)
        left = end_byte - first_byte if end_byte else None
        while piece := file.read(_PIECE_BYTES if left is None else min(_PIECE_BYTES, left)):
            digest.update(piece)
            left = None if left is None else left - len(piece)
    return digest.hexdigest()
