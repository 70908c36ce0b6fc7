"""How far a run is: a line each half minute in a log, the share next to what is being done on a terminal."""

import time

import pytest

from driftgate.edges.escape import for_terminal
from driftgate.measure.forecast import Forecast, TimedTest
from driftgate.report.run_time import say_seconds

SECONDS_APART = 30.0
"""Between two lines."""
CLOCK = time.monotonic
_SURE_SECONDS = 20.0
"""How long a run without an earlier one has to go on before it says how long the rest takes."""
_LEAST_SHARE = 0.02
_KEY = "driftgate/seconds"
_FIXTURES = "driftgate.plugin.fixtures"


class Live:
    """What is known of the progress of one run."""

    def __init__(self, config: pytest.Config, tests: list[TimedTest]) -> None:
        cache = getattr(config, "cache", None)  # -p no:cacheprovider leaves none
        self.forecast = Forecast(tests, dict(cache.get(_KEY, None) or {}) if cache else {})
        self.said = CLOCK()
        self._cache = cache

    def describe(self) -> str:
        """As "42% done, about 3 min 10 s left"; "" while there is nothing to say."""
        share, left, forecast = self.forecast.share_done, self.forecast.seconds_left, self.forecast
        if share is None or left is None or not forecast.taken:
            return ""
        done = f"{int(100 * share)}% done"
        sure = forecast.past or (sum(forecast.taken.values()) >= _SURE_SECONDS and share >= _LEAST_SHARE)
        return f"{done}, about {say_seconds(left)} left" if sure else done

    def keep(self) -> None:
        """For the next run; tests of other runs stay."""
        if self._cache and self.forecast.taken:
            self._cache.set(_KEY, {**self.forecast.past, **self.forecast.taken})


LIVE: "pytest.StashKey[Live]" = pytest.StashKey()


def pytest_collection_finish(session: pytest.Session) -> None:
    config = session.config
    if any(map(_is_ours, session.items)) and not hasattr(config, "workerinput") and not config.option.collectonly:
        tests = [TimedTest(item.nodeid, getattr(item, "originalname", item.name)) for item in session.items]
        config.stash[LIVE] = Live(config, tests)


def _is_ours(item: pytest.Item) -> bool:
    """Another project may have a fixture of the same name."""
    found = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {}).get("driftgate", ())
    return any(definition.func.__module__ == _FIXTURES for definition in found)


class _Reporter:
    """Reports come without the session that they are of."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)  # once the terminal has its dot
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        live = self._config.stash.get(LIVE, None)
        if live is None:
            return
        live.forecast.add(report.nodeid, report.duration)
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.when != "teardown" or terminal is None or CLOCK() - live.said < SECONDS_APART:
            return
        live.said = CLOCK()
        said = live.describe()
        if said and not terminal.isatty:
            begin_line(self._config)
            terminal.write_line(for_terminal(f"driftgate: {said}; last: {report.nodeid.rpartition('::')[2]}"))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Reporter(config), "driftgate-live-reports")


def pytest_sessionfinish(session: pytest.Session) -> None:
    live = session.config.stash.get(LIVE, None)
    if live is not None:
        live.keep()


def begin_line(config: pytest.Config) -> None:
    """End the line of dots that pytest is at, before something else is said in a log."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None:  # a worker of pytest-xdist has none
        return
    writer = terminal._tw  # noqa: SLF001 - `ensure_newline` does not know of a letter behind the last line that it ended
    if writer.width_of_current_line:
        writer.line()
        terminal.currentfspath = None  # so that the file is named again
    terminal.flush()


def progress(config: pytest.Config) -> str:
    """What a terminal shows beside what is being done: " (42% done, about 3 min 10 s left)", or ""."""
    live = config.stash.get(LIVE, None)
    said = live.describe() if live is not None else ""
    return f" ({said})" if said else ""
