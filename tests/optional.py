"""What only some environments have installed."""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import pytest

needs_optimum = pytest.mark.skipif(
    find_spec("optimum") is None, reason="Optimum is not installed here: `tox run -e optimum` has it"
)


def mark_optimum(entries: Iterable[Any]) -> list[Any]:
    """Backends or build steps, or their names, as parameters; those that Optimum builds are skipped without it."""
    named = [(entry if isinstance(entry, str) else entry.name, entry) for entry in entries]
    return [pytest.param(entry, id=name, marks=needs_optimum if "optimum" in name else ()) for name, entry in named]
