"""Docstrings of public functions say the types of their arrays and the errors that they raise."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "driftgate"
ARRAYS = re.compile(r"\b(Logits|Probabilities|Decisions|LabelMatrix|NDArray)\b")
DTYPES = re.compile(r"\b(float(16|32|64)|bool|u?int(8|32|64))\b")
BY_OTHERS = {"cli", "plugin"}
"""What a command or a hook raises is an exit code, which the reference of exit codes describes."""


def public_functions(text: str) -> Iterator[ast.FunctionDef]:
    return (each for each in ast.parse(text).body if isinstance(each, ast.FunctionDef) and each.name[0] != "_")


def lacks(function: ast.FunctionDef) -> set[str]:
    """What its docstring does not say: "dtype", and the names of errors that are raised in it."""
    said = ast.get_docstring(function) or ""
    types = [each.annotation for each in (*function.args.args, *function.args.kwonlyargs)] + [function.returns]
    has_arrays = any(ARRAYS.search(ast.unparse(each)) for each in types if each is not None)
    raised = {
        ast.unparse(each.exc.func)
        for each in ast.walk(function)
        if isinstance(each, ast.Raise) and isinstance(each.exc, ast.Call)
    }
    return {name for name in raised if name.endswith("Error") and name not in said} | (
        {"dtype"} if has_arrays and not DTYPES.search(said) else set()
    )


def test_public_functions_say_dtypes_and_errors() -> None:
    found = {
        f"{path.relative_to(SOURCE)}:{function.name}": lacking
        for path in SOURCE.rglob("*.py")
        if path.relative_to(SOURCE).parts[0] not in BY_OTHERS
        for function in public_functions(path.read_text(encoding="utf-8"))
        if (lacking := lacks(function))
    }
    assert not found


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("def f(x: Logits) -> None:\n    'Logits, (rows, labels).'", {"dtype"}),
        ("def f(x: Logits) -> None:\n    'Logits, float32, (rows, labels).'", set()),
        ("def f() -> None:\n    'Fails.'\n    raise ValueError('no')", {"ValueError"}),
        ("def f() -> None:\n    'Raises: ValueError: always.'\n    raise ValueError('no')", set()),
    ],
    ids=["no-dtype", "dtype", "no-error", "error"],
)
def test_what_a_docstring_lacks_is_found(text: str, lacking: set[str]) -> None:
    assert lacks(next(public_functions(text))) == lacking
