"""Which packages are installed."""

from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """The version of each of these packages that is installed, by name, in the order given."""
    found = {}
    for name in names:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
