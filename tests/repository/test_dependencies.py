"""`docs/dependencies.md` accounts for every package that an installation brings."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DOCS, EXTRAS = (REPOSITORY / "docs/dependencies.md").read_text(encoding="utf-8").split("## Extras")


def first_column(text: str) -> list[str]:
    return re.findall(r"^\| `([a-z0-9-]+)`", text, re.MULTILINE)


def pinned(name: str) -> dict[str, Version]:
    """Versions by canonical name in a file of constraints."""
    lines = (REPOSITORY / name).read_text(encoding="utf-8").splitlines()
    entries = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(entry.name): Version(str(entry.specifier).removeprefix("==")) for entry in entries}


def requirements() -> list[Requirement]:
    """Of the package itself and of what users may ask for."""
    extras = [entry for name, entries in PROJECT["optional-dependencies"].items() if name != "dev" for entry in entries]
    return [Requirement(text) for text in (*PROJECT["dependencies"], *extras)]


def test_every_dependency_has_its_reason_in_the_docs() -> None:
    assert first_column(DOCS) == sorted(canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"])


def test_every_extra_has_its_reason_in_the_docs() -> None:
    assert sorted(first_column(EXTRAS)) == sorted(set(PROJECT["optional-dependencies"]) - {"dev"})


def test_constraints_lie_within_what_the_package_allows() -> None:
    for name in ("constraints.txt", "constraints-optimum.txt"):
        versions = pinned(name)
        for requirement in requirements():
            version = versions.get(canonicalize_name(requirement.name))
            assert version is None or requirement.specifier.contains(version), (
                f"{name}: {requirement}, pinned {version}"
            )


def test_the_lower_bounds_are_what_is_tested() -> None:
    """`constraints-optimum.txt` pins each requirement at the lowest version that it allows."""
    versions = pinned("constraints-optimum.txt")
    lowest = {canonicalize_name(each.name): _lower_bound(each.specifier) for each in requirements()}
    del lowest["torch"]  # a CPU build is to be had of one release only
    del lowest["onnxruntime-gpu"]
    del lowest["gcsfs"], lowest["s3fs"]  # datasets 3.0 holds fsspec below the version that they ask for
    assert {name: versions.get(name) for name in lowest} == lowest


def _lower_bound(specifiers: SpecifierSet) -> Version:
    return next(Version(each.version) for each in specifiers if each.operator == ">=")
