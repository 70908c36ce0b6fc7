"""Checks of disks, memory and the way to the hub."""

from collections import defaultdict
from collections.abc import Iterator

from driftgate.doctor.facts import Cache, Facts, Folder, Hub
from driftgate.doctor.findings import Finding, Subject, megabytes

_STORAGE, _HUB = Subject("storage"), Subject("hub")

# A base-size encoder's five artifacts are 1.5 GB, and steps between them as much again.
_LITTLE_DISK, _NO_DISK = 5_000_000_000, 500_000_000
_LITTLE_MEMORY = 1_500_000_000
# The file, its parsed weights, ONNX Runtime's packed copy.
_MEMORY_TO_MODEL = 3

_NEEDED_FOR = {
    "cache": "artifacts are built there, and fetched from there: no ONNX backend works without it",
    "temporary files": "steps of a build and the doctor's own trials write there",
    "hub cache": "encoders and corpora from the hub cannot be fetched",
}


def check_storage(facts: Facts) -> Iterator[Finding]:
    """Everything about where files and weights go."""
    if facts.storage is not None:
        for folder in facts.storage.folders:
            yield from _check_writable(folder)
        yield from _check_space(facts.storage.folders)
        if facts.storage.cache is not None:
            yield from _check_cache(facts.storage.cache)
        if facts.storage.memory_bytes is not None:
            yield from _check_memory(
                facts.storage.memory_bytes, max((graph.size_bytes for graph in facts.graphs), default=0)
            )
    if facts.hub is not None:
        yield from _check_hub(facts.hub)


def _check_writable(folder: Folder) -> Iterator[Finding]:
    if folder.error is not None:
        say = _STORAGE.warning if folder.purpose == "hub cache" else _STORAGE.problem
        yield say(
            f"{folder.purpose.replace(' ', '-')}-not-writable",
            f"{folder.path}: cannot be written ({folder.error})",
            _NEEDED_FOR.get(folder.purpose, "files are written there"),
            f"make it writable, or set {folder.variable} to a folder that is",
        )


def _check_space(folders: tuple[Folder, ...]) -> Iterator[Finding]:
    disks: defaultdict[int, list[Folder]] = defaultdict(list)
    for folder in folders:
        if folder.free_bytes is not None and folder.error is None:
            disks[folder.free_bytes].append(folder)  # the same disk has the same space
    for free, together in disks.items():
        if free < _LITTLE_DISK:
            say = _STORAGE.problem if free < _NO_DISK else _STORAGE.warning
            yield say(
                "disk-low",
                f"{megabytes(free)} free for {', '.join(f'{folder.purpose} ({folder.path})' for folder in together)}",
                "the artifacts of an encoder of 125 million weights take 1.5 GB, and as much while they are built",
                f"make room, or set {' and '.join(folder.variable for folder in together)} to another disk",
            )


def _check_cache(cache: Cache) -> Iterator[Finding]:
    if cache.leftovers:
        yield _STORAGE.note(
            "cache-leftovers",
            f"{len(cache.leftovers)} unfinished entries of builds that were killed, {megabytes(cache.leftover_bytes)}: "
            f"{', '.join(cache.leftovers[:3])}{', ...' if len(cache.leftovers) > 3 else ''}",  # noqa: PLR2004 - as many as are named
            "they are never used, and are removed only when the same entry is built again",
            "remove these folders from the cache while nothing is built",
        )
    if cache.held:
        yield _STORAGE.note(
            "cache-building",
            f"another process is building {', '.join(cache.held)}",
            "a second build of the same entry waits for it, and both are slower",
            "wait for it before measuring speed",
        )


def _check_memory(free: int, model: int) -> Iterator[Finding]:
    needed = max(_LITTLE_MEMORY, _MEMORY_TO_MODEL * model)
    if free < needed:
        yield _STORAGE.warning(
            "memory-low",
            f"{megabytes(free)} of memory free, {megabytes(needed)} are wanted"
            + (f" for a model of {megabytes(model)}" if model else ""),
            "a build holds the weights several times; a process that swaps or is killed measures nothing",
            "stop other programs, or use a machine with more memory",
        )


def _check_hub(hub: Hub) -> Iterator[Finding]:
    if hub.offline:
        yield _HUB.note(
            "hub-offline",
            "HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set",
            "only what is in the hub's cache can be loaded by hub id",
            "unset it to fetch, or give local folders",
        )
    elif not hub.has_token:
        yield _HUB.note(
            "hub-no-token",
            "no Hugging Face token (HF_TOKEN, or `hf auth login`)",
            "private and gated encoders cannot be fetched, nothing can be pushed, and rates are lower",
            "only if you need these: hf auth login",
        )
