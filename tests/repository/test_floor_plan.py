"""The package stays in rooms of a size that a reader can hold, and each name in it means one module."""

from collections import Counter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "src/driftgate"
MODULES = sorted(PACKAGE.rglob("*.py"))
ROOMS = sorted({module.parent for module in MODULES})


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.relative_to(PACKAGE.parent).as_posix())
def test_a_room_has_at_most_2500_lines_and_rooms_inside_count_by_themselves(room: Path) -> None:
    assert sum(map(lines_of, room.glob("*.py"))) <= 2500


def test_no_module_has_more_than_250_lines() -> None:
    assert {module.name: lines_of(module) for module in MODULES if lines_of(module) > 250} == {}


def test_no_two_modules_have_one_name() -> None:
    names = Counter(module.stem for module in MODULES if module.stem != "__init__")
    assert [name for name, count in names.items() if count > 1] == []


def test_no_test_file_has_more_than_500_lines() -> None:
    files = (REPOSITORY / "tests").rglob("*.py")
    assert {file.name: lines_of(file) for file in files if lines_of(file) > 500} == {}
