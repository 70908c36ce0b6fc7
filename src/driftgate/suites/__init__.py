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
