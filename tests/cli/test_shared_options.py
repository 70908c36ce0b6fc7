"""An option that several commands have is the same option everywhere: one meaning, one type, one place to change it."""

from collections import defaultdict

import pytest
import typer

from driftgate.cli.main import app

GROUP = typer.main.get_command(app)
COMMANDS = {name: GROUP.get_command(None, name) for name in GROUP.commands}  # type: ignore[attr-defined]
# What these are is the job of the command: which texts, which model, which files, what is compared.
OWN = {
    "--backend",
    "--backends",
    "--batch-sizes",
    "--compare",
    "--corpus",
    "--json",
    "--model",
    "--out",
    "--overwrite",
    "--threads",
    "--workers",
    "--help",
}


def options() -> dict[str, dict[str, object]]:
    """By flag, the option of each command that has it."""
    found: dict[str, dict[str, object]] = defaultdict(dict)
    for name, command in COMMANDS.items():
        for parameter in command.params:
            for flag in parameter.opts if parameter.param_type_name == "option" else ():
                found[flag][name] = parameter
    return found


def test_every_job_is_a_command() -> None:
    jobs = {"build", "publish", "sizes", "ledger", "bounds", "verify", "predict", "bench", "grid", "plot", "doctor"}
    assert jobs <= set(COMMANDS)


@pytest.mark.parametrize(
    "flag", sorted(flag for flag, owners in options().items() if len(owners) > 1 and flag not in OWN)
)
def test_a_shared_option_means_the_same_in_every_command(flag: str) -> None:
    owners = options()[flag]
    meanings = {(parameter.help, parameter.metavar) for parameter in owners.values()}  # type: ignore[attr-defined]
    assert len(meanings) == 1, f"{flag} differs between {', '.join(owners)}"


def test_shared_options_are_shared() -> None:
    several = {flag for flag, owners in options().items() if len(owners) > 1}
    assert several >= {
        "--device",
        "--allow-pickle",
        "--revision",
        "--max-tokens",
        "--corpus-rows",
        "--text-column",
        "--pair-column",
    }


@pytest.mark.parametrize("former", ["--grid", "--quick", "--report", "--ledger", "--no-verify"])
def test_no_command_has_the_option_of_another_job(former: str) -> None:
    assert former not in options()


def test_rows_are_those_of_a_shard() -> None:
    assert set(options()["--rows"]) == {"shard"}
