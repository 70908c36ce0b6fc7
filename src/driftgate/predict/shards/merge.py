"""Join the outputs of a plan: every row exactly once, in order, of one model and one set of options."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from driftgate.edges.spelling import option
from driftgate.errors import OptionError, OutputError
from driftgate.files import replacing
from driftgate.predict.journal import differences
from driftgate.predict.outputs import naming
from driftgate.predict.shards.plan import Plan
from driftgate.predict.shards.seal import Seal, files_of, find_fault, read_seal

_NAMED = 10


@dataclass(frozen=True, slots=True)
class Merged:
    """What was joined: `rejects` is None where every row could be scored."""

    shards: int
    rows: int
    output: Path
    rejects: Path | None


def merge(plan_path: Path, plan: Plan, output: Path, *, overwrite: bool = False) -> Merged:
    """Concatenate the outputs of all shards; the bytes are those of one process, after decompression where that is asked for.

    Raises:
        OutputError: shards that are missing, stale or damaged, all of them named; different models or options; a file in the way.
        OptionError: a name of another format than the shards have.
    """
    suffix = Path(plan.shards[0].output).name.partition(".")[2]
    if not output.name.endswith(f".{suffix}"):
        raise OptionError(f"{output}: its shards are .{suffix}; choose a name that ends so")
    rejects = output.with_name(f"{output.name}.rejects.jsonl")
    for path in (output, rejects):
        if path.exists() and not overwrite:
            raise OutputError(f"{path}: it exists; {option('overwrite', True)} replaces it")
    seals = _require_whole(plan_path, plan)
    _require_alike(plan, seals)
    outputs = [files_of(plan_path, shard) for shard in plan.shards]
    with naming(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        with replacing(output) as partial, partial.open("wb") as file:
            for place, (files, seal) in enumerate(zip(outputs, seals, strict=True)):
                _append(files.output, seal.head_bytes if place else 0, file)
        rejected = [files.rejects for files in outputs if files.rejects.is_file()]
        rejects.unlink(missing_ok=True)
        if rejected:
            with replacing(rejects) as partial, partial.open("wb") as file:
                for path in rejected:
                    _append(path, 0, file)
    return Merged(len(seals), plan.rows, output, rejects if rejected else None)


def _append(source: Path, skipped_bytes: int, target: BinaryIO) -> None:
    with source.open("rb") as file:
        file.seek(skipped_bytes)
        shutil.copyfileobj(file, target)


def _require_whole(plan_path: Path, plan: Plan) -> list[Seal]:
    faults, seals = [], []
    for place, shard in enumerate(plan.shards):
        files = files_of(plan_path, shard)
        fault, seal = find_fault(files, plan, place), read_seal(files)
        if fault or seal is None:
            faults.append(f"shard {place + 1} ({shard.output}): {fault}")
        else:
            seals.append(seal)
    if faults:
        more = f"; and {len(faults) - _NAMED:,} more" if len(faults) > _NAMED else ""
        raise OutputError(
            f"{len(faults):,} of {len(plan.shards):,} shards cannot be merged: {'; '.join(faults[:_NAMED])}{more}. Score them "
            "with `driftgate predict MODEL --plan PLAN --shard 1/1`, which leaves the others alone"
        )
    return seals


def _require_alike(plan: Plan, seals: list[Seal]) -> None:
    for place, seal in enumerate(seals):
        changed = list(differences(seals[0].identity, seal.identity))
        if changed:
            raise OutputError(
                f"shard {place + 1} ({plan.shards[place].output}) was scored by another model or with other options than "
                f"shard 1: {'; '.join(changed)}; delete one of the two, and score it again"
            )
