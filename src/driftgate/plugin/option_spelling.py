"""How errors spell options in a pytest run: the option of pytest, or its ini twin where the value in force comes from there."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from driftgate.edges.spelling import spell_flag, spelled_by
from driftgate.errors import DriftgateError
from driftgate.plugin.option_table import TABLE

_KNOWN = {option.name: option for option in TABLE}


def spelled_as_pytest(config: pytest.Config) -> AbstractContextManager[None]:
    """Errors spell options as this run does. Around our own work only: a project's tests may call us too."""

    def spell(name: str, value: object) -> str | None:
        option = _KNOWN.get(name)
        if option is None:
            return None
        if config.inipath is not None and config.getini(option.ini) and not config.getoption(option.dest):
            given = "" if value == "" else f" = {'true' if value is True else value}"
            return f"{option.ini}{given} in {config.inipath.name}"
        return spell_flag(option.flag, value)

    return spelled_by(spell)


@contextmanager
def usage_errors(config: pytest.Config) -> Iterator[None]:
    """Turn a driftgate error into pytest's, which ends the run with the message alone."""
    with spelled_as_pytest(config):
        try:
            yield
        except DriftgateError as error:
            raise pytest.UsageError(str(error)) from error
