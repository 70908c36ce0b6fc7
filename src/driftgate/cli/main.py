"""`driftgate`: the commands, and how their errors look."""

import typer
from rich.console import Console

from driftgate.cli.build import build
from driftgate.cli.predict import predict
from driftgate.errors import DriftgateError

app = typer.Typer(
    help="Is the optimized text classifier still the same model, and still faster?",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)


class _Refusing(typer.core.TyperGroup):
    """An error of ours is one clear message and exit code 4, not a stack."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        try:
            return super().invoke(ctx)
        except DriftgateError as error:
            Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(f"driftgate: {error}")
            raise typer.Exit(4) from error


@app.callback(cls=_Refusing)
def _main() -> None:
    """Build backends of a text classifier and ask them; the suites are run with pytest."""


app.command()(build)
app.command()(predict)
