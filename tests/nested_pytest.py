"""pytest inside pytest, in this process: importing torch anew would cost more than the run."""

import io
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

# Rewriting the suites' asserts and looking for leaked files again and again takes most of a run on a tiny encoder.
_PLAIN = ("-p", "no:faulthandler", "-p", "no:unraisableexception", "--assert=plain")


def run_pytest(folder: Path, arguments: Sequence[str], cache: Path, plugins: Sequence[object] = ()) -> tuple[int, str]:
    """Run in `folder`; the exit code and everything that was printed."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
        patch.chdir(folder)
        patch.setenv("DRIFTGATE_CACHE", str(cache))
        code = pytest.main([*arguments, *_PLAIN], plugins=list(plugins))
    # The next project's modules have the same names, and take their settings when they are imported.
    for name, imported in list(sys.modules.items()):
        if str(folder) in str(getattr(imported, "__file__", "")):
            del sys.modules[name]
    return int(code), printed.getvalue()
