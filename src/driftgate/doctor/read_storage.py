"""Reading where files go: the cache, temporary files, the hub's cache; and how the hub is reached."""

import shutil
import tempfile
from pathlib import Path

from driftgate.doctor.facts import Cache, Folder, Hub, Storage
from driftgate.edges.cache_folder import ENVIRONMENT_VARIABLE, cache_folder

_PARTIAL = ".partial-"  # in the name of an entry that is being built, or was when it was killed
_MEMORY = Path("/proc/meminfo")


def read_storage() -> Storage:
    """The folders that driftgate writes to, each tried with a temporary file; nothing stays in them."""
    from huggingface_hub import constants

    cache = cache_folder()
    try:
        temporary, unusable = tempfile.gettempdir(), None
    except OSError as error:  # no folder of its list can be written
        temporary, unusable = ".", str(error)
    return Storage(
        folders=(
            read_folder("cache", cache, ENVIRONMENT_VARIABLE),
            read_folder("temporary files", Path(temporary), "TMPDIR", unusable),
            read_folder("hub cache", Path(constants.HF_HUB_CACHE), "HF_HOME"),
        ),
        cache=read_cache(cache) if cache.is_dir() else None,
        memory_bytes=_free_memory(),
    )


def read_folder(purpose: str, path: Path, variable: str, error: str | None = None) -> Folder:
    """Whether a folder can be written, or made: by a temporary file in it, or in the nearest folder above that exists."""
    free = None
    try:
        existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        free = shutil.disk_usage(existing).free
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as caught:
        error = error or f"{caught.strerror or caught}"
    return Folder(purpose, str(path), variable, error, free)


def read_cache(root: Path) -> Cache:
    """What is in the cache of artifacts."""
    folders = [path for path in sorted(root.iterdir()) if path.is_dir()]
    partial = [path for path in folders if _PARTIAL in path.name]
    held = [path for path in partial if _is_locked(root / f"{path.name.partition(_PARTIAL)[0]}.lock")]
    leftovers = [path for path in partial if path not in held]
    return Cache(
        entries=len(folders) - len(partial),
        size_bytes=sum(map(_size, folders)),
        leftovers=tuple(path.name for path in leftovers),
        leftover_bytes=sum(map(_size, leftovers)),
        held=tuple(path.name.partition(_PARTIAL)[0] for path in held),
    )


def _is_locked(lock: Path) -> bool:
    from filelock import FileLock, Timeout

    if not lock.exists():
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except Timeout:
        return True


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # a build that runs beside us moved it
            continue
    return total


def _free_memory() -> int | None:
    """What the system calls available; None where it does not say."""
    if not _MEMORY.is_file():
        return None
    lines = (line.split() for line in _MEMORY.read_text(encoding="utf-8").splitlines())
    return next((int(line[1]) * 1024 for line in lines if line[0] == "MemAvailable:"), None)


def read_hub() -> Hub:
    """How the hub would be reached, by its client's own reading of the environment."""
    from huggingface_hub import constants, get_token

    return Hub(offline=bool(constants.HF_HUB_OFFLINE), has_token=bool(get_token()))
