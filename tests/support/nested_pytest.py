"""pytest inside pytest, in this process: importing torch anew would cost more than the run."""

import io
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from _pytest.assertion.rewrite import AssertionRewritingHook

from driftgate.results.schemas.schema_check import require_schema

_REPOSITORY = Path(__file__).parents[2]
_SUITES = {"accuracy", "benchmarks", "conftest"}
# Rewriting the suites' asserts and looking for leaked files again and again takes most of a run on a tiny encoder.
_PLAIN = ("-p", "no:cacheprovider", "-p", "no:faulthandler", "-p", "no:unraisableexception", "--assert=plain")
_NO_REPORT = "--driftgate-report=none"  # which would take longer than a run on a tiny encoder


def run_pytest(folder: Path, arguments: Sequence[str], cache: Path, plugins: Sequence[object] = ()) -> tuple[int, str]:
    """Run in `folder`; the exit code and everything that was printed."""
    printed = io.StringIO()
    # The session around this one may have modules of the same names; they would be taken for those in `folder`.
    outer = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in _SUITES}
    finders = list(sys.meta_path)
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
            patch.chdir(folder)
            patch.setenv("DRIFTGATE_CACHE", str(cache))
            patch.setattr("driftgate.plugin.speed.cells.CELL_SECONDS", 0.05)  # tiny encoders answer in milliseconds
            # The outer session's would rewrite the asserts of the suites that this one imports.
            sys.meta_path[:] = [finder for finder in finders if not isinstance(finder, AssertionRewritingHook)]
            code = pytest.main([_NO_REPORT, *arguments, *_PLAIN], plugins=list(plugins))
    finally:
        sys.meta_path[:] = finders
        # The next project's modules have the same names too, and take their settings when they are imported.
        for name, imported in list(sys.modules.items()):
            if str(folder) in str(getattr(imported, "__file__", "")):
                del sys.modules[name]
        sys.modules.update(outer)
    return int(code), printed.getvalue()


def copy_suite(folder: Path, suite: str, *tests: str) -> None:
    """Make `folder` a project with one of our suites, or with these of its tests and its bounds."""
    if tests:
        (folder / suite).mkdir(exist_ok=True)
        for name in (*tests, "bounds.toml"):
            shutil.copy2(_REPOSITORY / suite / name, folder / suite)
    else:
        shutil.copytree(_REPOSITORY / suite, folder / suite, ignore=shutil.ignore_patterns("__pycache__"))
    if not (folder / "pytest.ini").exists():
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")


def read_results(folder: Path) -> Any:
    """The results that a run in `folder` left, which keep to their schema."""
    found = json.loads((folder / ".driftgate/results.json").read_text(encoding="utf-8"))
    if find_spec("jsonschema"):
        require_schema(found, "results", str(folder))
    return found


def gate_verdicts(folder: Path) -> dict[str, str]:
    """The speed gate's verdicts by cell, from the results that a run in `folder` left."""
    return {cell["cell"]: cell["verdict"] for cell in read_results(folder)["gate"]["cells"]}


def change_json(path: Path, edit: Callable[[Any], object]) -> None:
    """Edit a JSON file in place."""
    content = json.loads(path.read_text(encoding="utf-8"))
    edit(content)
    path.write_text(json.dumps(content), encoding="utf-8")
