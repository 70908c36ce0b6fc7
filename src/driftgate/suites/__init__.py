"""The accuracy and benchmark suites: `pytest --pyargs driftgate.suites --encoder DIR --corpus FILE`.

A wheel carries them inside this package. In a checkout they are the folders `accuracy/` and `benchmarks/` at the top, where
an editable install finds them.
"""

from pathlib import Path

PACKAGE = "driftgate.suites"
SUITES = ("accuracy", "benchmarks")
_HERE = Path(__file__).parent
FOLDER = _HERE if (_HERE / SUITES[0]).is_dir() else _HERE.parents[2]
"""The folder that holds the suites."""

__path__ = [str(FOLDER)]  # so that `driftgate.suites.accuracy` is a package in both


def is_suite(folder: Path) -> bool:
    """Whether a folder is one of the suites."""
    return folder.name in SUITES and folder.parent.resolve() == FOLDER.resolve()


def is_package(argument: str) -> bool:
    """Whether an argument of pytest is the name of the suites' package, or of a module in it."""
    return argument == PACKAGE or argument.startswith(f"{PACKAGE}.")


def names_suite(argument: str, start: Path) -> bool:
    """Whether an argument of pytest, as seen from the folder `start`, names a suite, a file of one or a test in it."""
    path = start / argument.partition("::")[0]
    return is_package(argument) or is_suite(path) or is_suite(path.parent)
