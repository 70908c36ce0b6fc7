"""What can change the time of the same model file in one process."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import driftgate.run
from driftgate.builder.artifact import digest_files

_PACKAGES = ("onnxruntime", "onnxruntime-gpu", "numpy", "driftgate")


def timed_software() -> dict[str, str]:
    """Versions of what is installed here and takes part in a call, and the digest of our own code around it."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {**found, "driftgate.run": digest_files(Path(driftgate.run.__file__).parent.glob("*.py"))[:12]}
