"""Whether processes that a killed session started are gone; Linux."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def processes_of(*words: str, folder: Path | None = None) -> list[int]:
    """Ids of running processes with these words in their command line, started in `folder` if one is given."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            command = (path / "cmdline").read_text(encoding="utf-8", errors="replace")
            here = folder is None or (path / "cwd").readlink() == folder
            if all(word in command for word in words) and here and "zombie" not in (path / "status").read_text():
                found.append(int(path.name))
    return found


def wait_until(true: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
