"""Every console sample of the README and of the pages in `docs/` prints what the page says it prints."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from doc_samples import REPOSITORY, Sample, agrees, list_samples, parse_commands, run_sample

PAGES = (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md")))
SAMPLES = [sample for page in PAGES for sample in list_samples(page)]
MakeFolder = Callable[[str], Path]


@pytest.fixture(scope="module")
def make_folder(tmp_path_factory: pytest.TempPathFactory) -> MakeFolder:
    """`make_folder(page)`: where the samples of a page run, one after the other, beside copies of what a checkout has."""
    folders: dict[str, Path] = {}

    def make(page: str) -> Path:
        if page not in folders:
            folder = tmp_path_factory.mktemp(Path(page).stem)
            for name in ("fixtures", "examples"):
                leftovers = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".driftgate")
                shutil.copytree(REPOSITORY / name, folder / name, ignore=leftovers)
            (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
            folders[page] = folder
        return folders[page]

    return make


@pytest.mark.parametrize(
    "sample",
    [pytest.param(sample, id=sample.id, marks=[pytest.mark.slow] if sample.is_slow else []) for sample in SAMPLES],
)
def test_a_sample_prints_what_the_page_says(sample: Sample, make_folder: MakeFolder) -> None:
    printed = run_sample(sample, make_folder(sample.page))
    assert len(printed) == len(sample.commands)
    for command, found in zip(sample.commands, printed, strict=True):
        assert agrees(command.expected, found), f"{sample.id}: $ {command.command}\n{found}"


def test_the_readme_and_the_quickstart_have_samples() -> None:
    assert {"README.md", "docs/quickstart.md"} <= {sample.page for sample in SAMPLES}


def test_commands_are_told_from_what_they_print() -> None:
    one, two = parse_commands("$ echo a \\\n  b\na b\n$ true\n")
    assert (one.command, one.expected) == ("echo a \\\n  b", "a b\n")
    assert (two.command, two.expected) == ("true", "")
    with pytest.raises(ValueError, match="expected a command"):
        parse_commands("a b\n")


def test_a_sample_runs_in_one_shell(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    sample = Sample("page.md", 1, parse_commands("$ cd inner\n$ basename $PWD\n$ false\n$ echo $?\n"), is_slow=False)
    assert run_sample(sample, tmp_path) == ["", "inner\n", "", "1\n"]


@pytest.mark.parametrize(
    ("expected", "printed"),
    [
        ("drift 1.2e-07 of 1,517 rows", "drift   9.8e-05 of 300 rows"),
        ("==== 3 passed in 2.1s ====", "======== 12 passed in 10s ========"),
        ("first\n...\nlast", "first\nanything\nat all\nlast"),
    ],
)
def test_numbers_blanks_rules_and_ellipses_may_differ(expected: str, printed: str) -> None:
    assert agrees(expected, printed)


@pytest.mark.parametrize(
    ("expected", "printed"),
    [("onnx-fp32: pass", "onnx-fp32: fail"), ("3 passed", "3 failed"), ("", "a warning"), ("a warning", "")],
)
def test_words_may_not_differ(expected: str, printed: str) -> None:
    assert not agrees(expected, printed)
