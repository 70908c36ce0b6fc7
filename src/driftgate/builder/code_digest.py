"""A digest of the code of a build step, so that a step that changed is noticed without a new version."""

import ast
import hashlib
import importlib
import sys
from functools import cache
from pathlib import Path

_MADE_OF = ("driftgate.builder", "driftgate.onnx_graph", "driftgate.inputs.weights")
"""Modules that steps are made of; those that only say what a file or an encoder is do not count."""


def digest_code(module: str) -> str:
    """Eight hexadecimal digits, of the source file of a step's module and of all that it imports of what steps are made of.

    "" where there is no file: a step that is typed into an interpreter goes by its version alone.
    """
    files = sorted(_files(module))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:8] if files else ""


@cache
def _files(module: str) -> frozenset[Path]:
    """The source file of `module` and those that it imports, directly or not."""
    found: dict[str, Path] = {}
    pending = [module]
    while pending:
        name = pending.pop()
        path = _source(name)
        if name not in found and path is not None:
            found[name] = path
            pending += [imported for imported in _imports(path) if imported.startswith(_MADE_OF)]
    return frozenset(found.values())


def _source(module: str) -> Path | None:
    ours = module.startswith("driftgate.")
    path = getattr(importlib.import_module(module) if ours else sys.modules.get(module), "__file__", None)
    return Path(path) if path and path.endswith(".py") and Path(path).is_file() else None


def _imports(path: Path) -> list[str]:
    tree = ast.parse(path.read_bytes())
    return [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
