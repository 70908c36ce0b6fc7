"""pytest inside pytest, in this process: importing torch anew would cost more than the run."""

import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

_SUITES = {"accuracy", "benchmarks", "conftest"}
# Rewriting the suites' asserts and looking for leaked files again and again takes most of a run on a tiny encoder.
_PLAIN = ("-p", "no:faulthandler", "-p", "no:unraisableexception", "--assert=plain")


def run_pytest(folder: Path, arguments: Sequence[str], cache: Path, plugins: Sequence[object] = ()) -> tuple[int, str]:
    """Run in `folder`; the exit code and everything that was printed."""
    printed = io.StringIO()
    # The session around this one may have modules of the same names; they would be taken for those in `folder`.
    outer = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in _SUITES}
    try:
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
            patch.chdir(folder)
            patch.setenv("DRIFTGATE_CACHE", str(cache))
            code = pytest.main([*arguments, *_PLAIN], plugins=list(plugins))
    finally:
        # The next project's modules have the same names too, and take their settings when they are imported.
        for name, imported in list(sys.modules.items()):
            if str(folder) in str(getattr(imported, "__file__", "")):
                del sys.modules[name]
        sys.modules.update(outer)
    return int(code), printed.getvalue()
