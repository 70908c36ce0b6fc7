"""`driftgate`: the commands, and how they end."""

import errno
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer

from driftgate.edges.interrupts import merged_interrupts
from driftgate.edges.processes import shielded
from driftgate.edges.spelling import spell_flag, spelled_by
from driftgate.errors import DriftgateError
from driftgate.results.console import Console

REFUSED = 4
BUG = 70  # EX_SOFTWARE of sysexits.h
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
PIPE_CLOSED = 141  # 128 + SIGPIPE, likewise

_EXIT_CODES = f"""
Data goes to standard output, progress and messages to standard error.

Exit codes: **0** done · **1** a bound is broken, a verification failed, or no row of a file could be scored ·
**2** wrong usage · **{REFUSED}** refused: an input or an option that cannot be used · **7** not measurable on this machine ·
**{BUG}** a bug · **{INTERRUPTED}** Ctrl-C, what was written is kept · **{PIPE_CLOSED}** the reader of the output has stopped
"""

# What a user can fix; any other error of the system is a bug of ours.
_MENDABLE = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE, errno.ENAMETOOLONG}
)

app = typer.Typer(
    help="Is the optimized text classifier still the same model, and still faster?",
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


HOMES = {
    "build": "build_command",
    "publish": "publish_command",
    "sizes": "sizes_command",
    "ledger": "ledger_command",
    "explain": "explain_command",
    "tune": "tune_command",
    "bounds": "bounds_command",
    "verify": "verify_command",
    "predict": "scoring.predict_command",
    "shard": "scoring.shard_command",
    "merge": "scoring.shard_command",
    "bench": "bench_command",
    "grid": "grid_command",
    "plot": "plot_command",
    "report": "report_command",
    "comment": "comment_command",
    "doctor": "doctor_command",
}
"""Modules of the commands, in the order of the help."""


def load_function(command: str) -> Callable[..., Any]:
    """The function of a command, imported now."""
    function: Callable[..., Any] = getattr(import_module(f"driftgate.cli.{HOMES[command]}"), command)
    return function


class _Commands(typer.core.TyperGroup):
    """Whatever ends a command early is one message and an exit code, not a stack."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = dict.fromkeys(HOMES)  # type: ignore[assignment]  # `get_command` makes them

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # noqa: ARG002
        """A command, imported when it is asked for: importing all of them takes as long as scoring a sentence."""
        if cmd_name not in HOMES:
            return None
        alone = typer.Typer(add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False)
        alone.command(cls=_Command)(load_function(cmd_name))
        return typer.main.get_command(alone)

    def main(self, *args: Any, **options: Any) -> Any:
        try:
            with shielded(), merged_interrupts():
                return super().main(*args, **options)
        except SystemExit as end:
            # Typer and rich each turn a closed pipe into exit code 1, which is a broken bound's.
            if isinstance(end.__context__, BrokenPipeError):
                raise SystemExit(PIPE_CLOSED) from None
            raise
        except OSError as error:  # help and version can meet a full disk too
            if error.errno not in _MENDABLE:
                raise
            _say(_mend(error))
            raise SystemExit(REFUSED) from error
        finally:
            _give_up_closed_streams()

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        debug = bool(ctx.params.get("debug"))
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # at exit it would be too late to say that it failed
        except BrokenPipeError:
            raise
        except DriftgateError as error:
            _end(f"{error}", REFUSED, debug=debug)
        except KeyboardInterrupt:
            _end("interrupted; what was written is kept", INTERRUPTED, debug=debug)
        except Exception as error:
            if hasattr(error, "exit_code") or isinstance(error, typer.Abort):
                raise  # Typer's own ways to end
            if isinstance(error, OSError) and error.errno in _MENDABLE:
                _end(_mend(error), REFUSED, debug=debug)
            _end(_bug(error), BUG, debug=debug)
        return result


class _Command(typer.core.TyperCommand):
    """A command whose errors spell options as it does."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        with spelled_by(self._spell):
            return super().invoke(ctx)

    def _spell(self, name: str, value: object) -> str | None:
        flags = {parameter.name: parameter.opts[0] for parameter in self.params if parameter.opts[0].startswith("--")}
        flag = flags.get(name) or flags.get(f"{name}s")
        return spell_flag(flag, value) if flag else None


def _mend(error: OSError) -> str:
    return f"{error.filename or 'standard output'}: {error.strerror}; make room or choose another place"


def _bug(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    message = str(error).strip().partition("\n")[0]
    return (
        f"unexpected {type(error).__name__} in {os.path.basename(last.filename)}, line {last.lineno}: {message}\n"  # noqa: PTH119
        "This is a bug: please report it with what `driftgate --debug COMMAND ...` (or DRIFTGATE_DEBUG=1) shows."
    )


def _end(message: str, code: int, *, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    _say(message)
    raise typer.Exit(code)


def _say(message: str) -> None:
    console = Console(stderr=True, soft_wrap=True)
    for line in f"driftgate: {message}".split("\n"):
        console.print(line)


def _give_up_closed_streams() -> None:
    """Python flushes once more at exit and would complain there about what has been dealt with."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"driftgate {version('driftgate')}")
        raise typer.Exit


@app.callback(cls=_Commands)
def _main(
    debug: Annotated[
        bool, typer.Option("--debug", envvar="DRIFTGATE_DEBUG", help="Show where an error comes from.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Build backends of a text classifier, ask, time and verify them; the suites are run with pytest."""
