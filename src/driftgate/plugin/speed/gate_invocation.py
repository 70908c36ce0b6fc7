"""How a run was started, as far as a build of its baseline from a commit has to be started alike."""

from pathlib import Path

import pytest

from driftgate.gate.commit import Invocation, digest_published
from driftgate.plugin.option_record import Decides
from driftgate.plugin.option_table import TABLE
from driftgate.plugin.options import find_given
from driftgate.plugin.session import DriftgateSession


def describe_invocation(session: DriftgateSession, tests: Path) -> Invocation:
    """Of this run; `tests` is the folder of its gated tests."""
    config, backends = session.config, session.options.backends
    return Invocation(
        folder=config.invocation_params.dir,
        root=config.rootpath,
        tests=tests,
        ini=config.inipath,
        arguments=(f"--import-mode={config.option.importmode}", *(f"-p{name}" for name in config.option.plugins)),
        choices=list_choices(config),
        files=list_files(config),
        inputs=(
            session.encoder.sha256,
            session.calibration and session.calibration.sha256,
            digest_published(spec.published for spec in backends if spec.published),
            [spec.name for spec in backends],
        ),
    )


def list_choices(config: pytest.Config) -> tuple[str, ...]:
    """What this run's command line chose of the build. What an ini file or a hook chooses is the commit's own affair."""
    chosen = (option for option in TABLE if option.decides is Decides.BUILD and not option.is_path)
    given = {option.flag: config.getoption(option.ini) for option in chosen}
    return tuple(flag if value is True else f"{flag}={value}" for flag, value in given.items() if value)


def list_files(config: pytest.Config) -> tuple[tuple[str, str, Path | None], ...]:
    """Files that decide what is built: the option, what was given, and where that is, None where it is nowhere."""
    chosen = (option for option in TABLE if option.decides is Decides.BUILD and option.is_path)
    given = {option.flag: config.getoption(option.ini) or config.getini(option.ini) for option in chosen}
    return tuple((flag, str(path), find_given(config, path)) for flag, path in given.items() if path)
