"""What a release says about itself agrees; `tox -e release` is its dry run."""

import re
import tomllib
from pathlib import Path
from runpy import run_path

import yaml

REPOSITORY = Path(__file__).parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CITATION = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_version_is_the_same_everywhere() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    latest = re.search(r"^## (\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert latest
    assert PROJECT["version"] == CITATION["version"] == latest[1]


def test_the_repository_has_one_address() -> None:
    settings = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    address = re.search(r"^  repository: (\S+)$", settings, re.MULTILINE)
    assert address
    assert PROJECT["urls"]["Source"] == CITATION["repository-code"] == address[1]


def test_the_classifiers_name_the_versions_of_python_that_are_tested() -> None:
    named = {
        line.rpartition(" ")[2]
        for line in PROJECT["classifiers"]
        if line.startswith("Programming Language :: Python :: 3.")
    }
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/driftgate.yml").read_text(encoding="utf-8"))
    assert named == set(workflow["jobs"]["tests"]["strategy"]["matrix"]["python"])


def test_issue_templates_are_forms() -> None:
    forms = [path for path in (REPOSITORY / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config"]
    assert forms
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(form), path.name
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids)), path.name


def test_what_a_wheel_is_checked_for_is_in_this_checkout() -> None:
    needed = run_path(str(REPOSITORY / ".ci/check_wheel.py"))["NEEDED"]
    places = {"driftgate/suites/": "", "driftgate/fixtures/": "fixtures/", "driftgate/": "src/driftgate/"}
    for name in needed:
        prefix = next((prefix for prefix in places if name.startswith(prefix)), None)
        if prefix is not None:
            assert (REPOSITORY / places[prefix] / name.removeprefix(prefix)).is_file(), name
