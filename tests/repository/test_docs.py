"""The README and the pages of `docs/`: current, complete, and without dead links. `tox -e docs` builds the site."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from doc_samples import SHELLS, list_fences

from driftgate.plugin import hooks
from driftgate.plugin.option_table import TABLE

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / "docs"
README = REPOSITORY / "README.md"
LINKING = (README, REPOSITORY / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md")), *sorted(REPOSITORY.glob("*/README.md")))
GLOSSARY = ("Drift", "Flip", "Bound", "Verdict", "Batch plan", "Cell", "Baseline", "Control")


def load(path: Path) -> ModuleType:
    """A script of `docs/`, which is no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["options.md", "commands.md", "metrics.md"])
def test_a_written_page_is_what_the_program_says(name: str) -> None:
    written = load(DOCS / "reference_pages.py").PAGES[name]()
    assert (DOCS / name).read_text(encoding="utf-8") == written, "write it anew: python docs/reference_pages.py"


def test_the_help_of_an_option_is_sentences() -> None:
    for option in TABLE:
        assert re.fullmatch(r"[A-Z].*\.", option.help), f"{option.flag}: {option.help}"


def test_every_fixture_has_a_line() -> None:
    page = (DOCS / "fixtures.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^\| `([a-z_]+)` \| (?:session|module|function) \|", page, re.MULTILINE))
    assert listed == hooks.list_fixtures()


def test_the_glossary_has_the_words_that_these_pages_use_in_a_special_sense() -> None:
    words = re.findall(r"^## (.*)$", (DOCS / "glossary.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(GLOSSARY) <= set(words)
    assert words == sorted(words)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_an_included_file_is_named_in_a_form_that_the_formatter_leaves_alone(page: Path) -> None:
    """On one line, `--8<-- "FILE"` is an expression of Python, to which ruff adds spaces; then the page shows it as it is."""
    text = page.read_text(encoding="utf-8")
    assert not re.search(r'^-+8 *< *-+ *"', text, re.MULTILINE)
    for name in re.findall(r"^--8<--\n(.*)\n--8<--$", text, re.MULTILINE):
        assert (REPOSITORY / name).is_file()


def test_every_page_is_on_the_site() -> None:
    settings = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
    navigation = re.findall(r"[\w-]+\.md", settings.split("\nnav:\n")[1])
    assert sorted(navigation) == sorted(page.name for page in DOCS.glob("*.md"))


@pytest.mark.parametrize("page", LINKING, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_a_relative_link_leads_to_a_file(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)\s#]+)", text)
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_readme_is_short_and_begins_with_what_can_be_run_as_it_is() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 100
    first, second = [fence.content for fence in list_fences(README) if fence.language in SHELLS][:2]
    assert "pip install" in first
    assert "pytest accuracy benchmarks" in first
    assert second.endswith("&& .venv/bin/pytest tests -n auto\n")
    assert second.strip().partition("&& ")[2] in (REPOSITORY / ".ci/run").read_text(encoding="utf-8")


def test_the_picture_needs_nothing_from_elsewhere() -> None:
    picture = (DOCS / "failing-gate.svg").read_text(encoding="utf-8")
    addresses = set(re.findall(r"https?://[^\s\"')]+", picture))
    assert addresses <= {"http://www.w3.org/2000/svg", "https://www.textualize.io"}
    assert "<script" not in picture
