"""Folders in memory for tests that make and remove thousands of files."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a name of its own is made in it


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """pytest's own where there is no memory to write to. A disk that is busy takes most of a test's time."""
    if not (_MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(prefix="driftgate-tests-", dir=_MEMORY) as folder:
        yield Path(folder)
