"""`driftgate` in this process: importing what it needs anew would cost more than any command."""

from typing import Any

from typer.testing import CliRunner

from driftgate.cli.main import app

# No colours and wide lines, whatever the terminal and the CI of the tests say.
_PLAIN: dict[str, str | None] = {
    "NO_COLOR": "1",
    "TERM": "dumb",
    **dict.fromkeys(("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS")),
}


def run_driftgate(*arguments: object, stdin: str | bytes | None = None, columns: int = 200) -> Any:
    """Typer's result: exit code, standard output and standard error apart."""
    runner = CliRunner(env={"COLUMNS": str(columns), **_PLAIN})
    return runner.invoke(app, [str(argument) for argument in arguments], input=stdin)
