"""Outputs on their way from this machine to an object store."""

import hashlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from driftgate.edges.cache_folder import cache_folder
from driftgate.errors import OutputError
from driftgate.predict.shards.folders import LocalFolder, ObjectFolder
from driftgate.predict.shards.plan import Plan
from driftgate.predict.shards.seal import ShardFiles, find_fault, read_seal, write_seal
from driftgate.predict.shards.shard_state import ShardState


def workplace_of(files: ShardFiles, plan: Plan) -> ShardFiles:
    """Where jobs of this plan write on this machine: in driftgate's cache, where an interrupted one is continued."""
    key = hashlib.sha256(f"{files.folder.path('')} {plan.sha256}".encode()).hexdigest()[:16]
    return ShardFiles(LocalFolder(cache_folder() / "shards" / key), files.name)


def send(work: ShardFiles, files: ShardFiles, plan: Plan, place: int, before: ShardState) -> bool:
    """Copy what is sealed on this machine to an object store, the seal last.

    Args:
        before: what was there before the job began, which may be replaced.

    Returns:
        whether it is ours that counts; False where another worker was first.

    Raises:
        OutputError: something cannot be written.
    """
    seal, store = read_seal(work), files.folder
    if seal is None or not isinstance(store, ObjectFolder):
        raise OutputError(f"{work}: its seal is gone; score the shard again")
    sent = [store.send(Path(work.folder.path(file.name)), file) for file in seal.files]
    ours = replace(seal, output=sent[0], rejects=sent[1] if len(sent) > 1 else None)
    won = write_seal(files, ours)
    # Unless somebody has replaced what was not whole, or was to be replaced.
    if not won and store.read(files.seal) == before.seal:
        store.remove(files.seal)
        won = write_seal(files, ours)
    if not won:
        if fault := find_fault(files, plan, place):
            raise OutputError(
                f"{files}: another worker has sealed it meanwhile, and it is {fault}; score the shard again"
            )
        theirs = read_seal(files)
        kept = {file.name for file in theirs.files} if theirs else set()
        for file in sent:
            if file.name not in kept:
                store.remove(file.name)
    for name in (*(file.name for file in seal.files), work.seal):
        work.folder.remove(name)
    with suppress(OSError):  # others are at work there
        Path(work.folder.path("")).rmdir()
    return won
