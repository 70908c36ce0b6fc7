"""What only some environments have installed."""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest

NO_OPTIMUM = "Optimum is not installed here: `tox run -e optimum` has it"


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


needs_optimum = pytest.mark.skipif(not _is_installed("optimum-onnx"), reason=NO_OPTIMUM)


def mark_optimum(entries: Iterable[Any]) -> list[Any]:
    """Backends or build steps, or their names, as parameters; those that Optimum builds are skipped without it."""
    named = [(entry if isinstance(entry, str) else entry.name, entry) for entry in entries]
    return [pytest.param(entry, id=name, marks=needs_optimum if "optimum" in name else ()) for name, entry in named]
