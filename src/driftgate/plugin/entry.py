"""What every run of pytest loads where driftgate is installed: its options, and the plugin itself for a run that uses them.

The plugin imports NumPy and much of this package. A run of a project that has nothing to do with driftgate is spared that.
"""

from collections.abc import Generator
from typing import Any

import pytest

from driftgate.plugin import hookspecs
from driftgate.plugin.option_table import TABLE
from driftgate.suites import names_suite

_HOOKS = "driftgate-hooks"
_NEEDS_ENCODER = (
    "driftgate has a fixture of the name {name}, in runs that name an encoder: give a folder or hub id with --encoder "
    "(ini: driftgate_encoder)"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Register every option with its ini twin."""
    group = parser.getgroup(
        "driftgate", "driftgate: is the optimized classifier still the same model, and still faster?"
    )
    for option in TABLE:
        shown = f"{option.help} (default: {option.default})" if option.default else option.help
        # argparse fills in help texts with the % operator; pytest's ini help is plain.
        escaped = shown.replace("%", "%%")
        if option.is_switch:
            group.addoption(option.flag, action="store_true", default=None, dest=option.ini, help=escaped)
            parser.addini(option.ini, option.help, type="bool", default=False)
        else:
            group.addoption(option.flag, metavar=option.metavar, default=None, dest=option.ini, help=escaped)
            parser.addini(option.ini, option.help, type="string", default="")


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Let a `conftest.py` implement our hooks."""
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin where a run has to do with it; pytest then calls the plugin's own `pytest_configure`."""
    # Hypothesis loads the profile that its option names after this; it need not be imported for any other.
    profile = config.getoption("--hypothesis-profile", None)
    if profile in ("dev", "nightly"):
        from driftgate.plugin.profiles import register_profile

        register_profile(profile)
    if not _has_to_do_with(config):
        return
    from driftgate.plugin import folding_hooks, hooks, suite_hooks
    from driftgate.plugin.progress import live_hooks
    from driftgate.plugin.speed import compare_hooks, gate_hooks

    config.pluginmanager.register(hooks, _HOOKS)
    config.pluginmanager.register(gate_hooks, "driftgate-gate")
    config.pluginmanager.register(suite_hooks, "driftgate-suites")
    config.pluginmanager.register(folding_hooks, "driftgate-folding")
    config.pluginmanager.register(compare_hooks, "driftgate-compare")
    config.pluginmanager.register(live_hooks, "driftgate-live")
    for module in hooks.FIXTURE_MODULES:
        config.pluginmanager.register(module)


def _has_to_do_with(config: pytest.Config) -> bool:
    """Whether an option or its ini twin is given, a conftest.py implements a hook, a suite is named, or fixtures are listed."""
    given, hook = config.option, config.hook
    return (
        any(getattr(given, option.ini) is not None or config.getini(option.ini) for option in TABLE)
        or bool(hook.pytest_driftgate_defaults.get_hookimpls() or hook.pytest_driftgate_backends.get_hookimpls())
        or any(names_suite(argument, config.invocation_params.dir) for argument in config.args)
        or any(getattr(given, listing, False) for listing in ("showfixtures", "show_fixtures_per_test", "markers"))
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, Any]:
    """A test that asks for a fixture of ours in a run without the plugin is told what is missing."""
    report = yield
    found = call.excinfo and call.excinfo.value
    if isinstance(found, pytest.FixtureLookupError) and not item.config.pluginmanager.hasplugin(_HOOKS):
        from driftgate.plugin import hooks

        if found.argname in hooks.list_fixtures():
            report.sections.append(("driftgate", _NEEDS_ENCODER.format(name=found.argname)))
    return report
