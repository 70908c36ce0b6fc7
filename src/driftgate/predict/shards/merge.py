"""Join the outputs of a plan: every row exactly once, in order, of one model and one set of options."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO

from driftgate.edges import remote_files, remote_outputs
from driftgate.edges.spelling import option
from driftgate.edges.stores import is_url, local_name
from driftgate.errors import OptionError, OutputError
from driftgate.files import replacing
from driftgate.predict.journal import differences
from driftgate.predict.outputs import naming
from driftgate.predict.parquet_output import write_row_groups
from driftgate.predict.progress import Silent, Watcher
from driftgate.predict.reading.formats import Format
from driftgate.predict.shards.machines import require_one_kind_of_seals
from driftgate.predict.shards.plan import Plan
from driftgate.predict.shards.seal import Seal, files_of, find_fault, read_seal
from driftgate.predict.shards.sealed_reader import SealedReader, SealedShard


@dataclass(frozen=True, slots=True)
class Merged:
    """What was joined: `rejects` is empty where every row could be scored."""

    shards: int
    rows: int
    output: str
    rejects: str


def merge(
    plan_path: Path | str,
    plan: Plan,
    output: Path | str,
    *,
    overwrite: bool = False,
    mixed_machines: bool = False,
    progress: Watcher | None = None,
) -> Merged:
    """Concatenate the outputs of all shards. The bytes are those of one process; of Parquet the rows and row groups are.

    Every file is read once, and compared with its seal while it is copied; the output appears only if all were as they should be.

    Args:
        plan_path, output: files or URLs.
        mixed_machines: join INT8 that machines of different kinds have scored.

    Raises:
        OutputError: shards that are missing, stale or damaged, all of them named; different models, options or kinds of
            machines; a file in the way.
        OptionError: a name of another format than the shards have.
    """
    target = local_name(str(output))
    suffix = plan.shards[0].output.partition(".")[2]
    if not target.endswith(f".{suffix}"):
        raise OptionError(f"{target}: its shards are .{suffix}; choose a name that ends so")
    rejects = f"{target}.rejects.jsonl"
    for name in (target, rejects):
        if not overwrite and _exists(name):
            raise OutputError(f"{name}: it exists; {option('overwrite', True)} replaces it")
    shards = _find_sealed(plan_path, plan)
    _require_alike(plan, [shard.seal for shard in shards])
    if not mixed_machines:
        require_one_kind_of_seals(plan, [shard.seal for shard in shards])
    reader = SealedReader(progress or Silent(), plan.rows)
    with _replacing(target) as file:
        if plan.reading["output_format"] == Format.PARQUET:
            _join_parquet(shards, reader, file)
        else:
            _join(shards, reader, file)
        _refuse(reader.faults, plan)
    rejected = [shard for shard in shards if shard.seal.rejects]
    if rejected:
        with _replacing(rejects) as file:
            for shard in rejected:
                for piece in reader.pieces(shard, shard.seal.rejects):
                    file.write(piece)
            _refuse(reader.faults, plan)
    else:
        _remove(rejects)
    return Merged(len(shards), plan.rows, target, rejects if rejected else "")


def _join(shards: Sequence[SealedShard], reader: SealedReader, file: BinaryIO) -> None:
    """One after the other, and what stands before the first row once."""
    for shard in shards:
        skipped = shard.seal.head_bytes if shard.place else 0
        for piece in reader.pieces(shard, shard.seal.output):
            if not reader.faults:
                file.write(piece[skipped:])
            skipped -= min(skipped, len(piece))
        reader.done(shard)


def _join_parquet(shards: Sequence[SealedShard], reader: SealedReader, file: BinaryIO) -> None:
    """Rows into row groups as one process writes them, however many each shard has."""
    opened = (parquet for shard in shards if (parquet := reader.open_parquet(shard)) is not None)
    first = next(opened, None)
    if first is None:
        return
    schema = first.schema_arrow

    def batches() -> Iterator[Any]:
        for parquet in chain((first,), opened):
            try:
                if parquet.schema_arrow != schema:
                    raise OutputError("shards have columns of different types, such as ids; make a plan for each input")
                if not reader.faults:
                    yield from parquet.iter_batches()
            finally:
                parquet.close(force=True)

    write_row_groups(batches(), file, schema)


def _find_sealed(plan_path: Path | str, plan: Plan) -> list[SealedShard]:
    faults: dict[int, str] = {}
    sealed: list[SealedShard] = []
    for place, shard in enumerate(plan.shards):
        files = files_of(plan_path, shard)
        fault, seal = find_fault(files, plan, place, contents=False), read_seal(files)
        if fault or seal is None:
            faults[place] = fault
        else:
            sealed.append(SealedShard(place, files, seal))
    _refuse(faults, plan)
    return sealed


def _refuse(faults: dict[int, str], plan: Plan) -> None:
    """With all shards that cannot be merged, by what is wrong with them."""
    if not faults:
        return
    by_fault: dict[str, list[int]] = {}
    for place, fault in sorted(faults.items()):
        by_fault.setdefault(fault, []).append(place + 1)
    found = "; ".join(f"{fault}: {_list(numbers)}" for fault, numbers in by_fault.items())
    raise OutputError(
        f"{len(faults):,} of {len(plan.shards):,} shards cannot be merged: {found}. Score them with `driftgate predict MODEL "
        "--plan PLAN --shard 1/1`, which leaves the others alone"
    )


def _list(numbers: Sequence[int]) -> str:
    """Numbers in order, from 1: 1-3, 7."""
    borders = [0, *(at for at, (one, next_one) in enumerate(pairwise(numbers), 1) if next_one > one + 1), len(numbers)]
    runs = [(numbers[start], numbers[end - 1]) for start, end in pairwise(borders)]
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _require_alike(plan: Plan, seals: Sequence[Seal]) -> None:
    for place, seal in enumerate(seals):
        changed = list(differences(seals[0].identity, seal.identity))
        if changed:
            raise OutputError(
                f"shard {place + 1} ({plan.shards[place].output}) was scored by another model or with other options than "
                f"shard 1: {'; '.join(changed)}; score one of the two again, with {option('overwrite', True)}"
            )


@contextmanager
def _replacing(name: str) -> Iterator[BinaryIO]:
    """A file or object that appears whole when the block ends well."""
    if is_url(name):
        with remote_outputs.replacing_file(name) as file:
            yield file
        return
    path = Path(name)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, partial.open("wb") as file:
            yield file


def _exists(name: str) -> bool:
    return remote_files.exists(name) if is_url(name) else Path(name).exists()


def _remove(name: str) -> None:
    if is_url(name):
        remote_outputs.remove(name)
    else:
        Path(name).unlink(missing_ok=True)
